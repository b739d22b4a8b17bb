using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Store;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class KubernetesLeaseStoreTests : IAsyncLifetime
{
    private const string Namespace = "default";
    private readonly Fence _fence = new();
    private KubeApiServer _server = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _server = await KubeApiServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    [Trait("Fault", "C20")]
    public async Task What_was_saved_is_there_for_the_next_leader()
    {
        var record = Record("demo/web");
        using (var store = await OpenAsync("a"))
        {
            await store.SaveAsync(record with { State = LeaseRecordState.Requesting, Address = null });
            await store.SaveAsync(record);
            await store.SaveMacsAsync(["02:00:00:00:00:01"]);
            await store.SaveMacsAsync(["02:00:00:00:00:01", "02:00:00:00:00:02"]);
        }

        using var next = await OpenAsync("b");
        var contents = next.Load();

        Assert.Equal([record], contents.Leases);
        Assert.Equal(["02:00:00:00:00:01", "02:00:00:00:00:02"], contents.Macs);
        Assert.Empty(contents.Faults);
        var item = Assert.Single(await ItemsAsync());
        Assert.Equal("demo.web.6f9619ff", item.Metadata.Name);
        Assert.Equal("a", item.Writer!.Leader);
        Assert.True(next.Writer.Epoch > item.Writer.Epoch);
    }

    [Fact]
    public async Task A_deleted_lease_is_gone_and_deleting_it_again_is_harmless()
    {
        using var store = await OpenAsync("a");
        await store.SaveAsync(Record("demo/web"));
        await store.DeleteAsync(Record("demo/web"));
        await store.DeleteAsync(Record("demo/web"));
        Assert.Empty(await ItemsAsync());
    }

    [Fact]
    public async Task A_person_who_labels_or_deletes_the_object_does_not_stop_the_leader()
    {
        using var store = await OpenAsync("a");
        await store.SaveAsync(Record("demo/web"));
        await _server.Client.PatchAsync(
            AddressLease.Type, Namespace, "demo.web.6f9619ff", PatchType.Merge, """{"metadata":{"labels":{"seen":"yes"}}}"""u8.ToArray(), null, Cancelled);

        await store.SaveAsync(Record("demo/web") with { LeaseSeconds = 700 });
        var labelled = Assert.Single(await ItemsAsync());
        Assert.Equal("yes", labelled.Metadata.Labels!["seen"]);
        Assert.Equal(700, labelled.Spec.GetProperty("leaseSeconds").GetInt32());

        await _server.Client.DeleteAsync(AddressLease.Type, Namespace, "demo.web.6f9619ff", Cancelled);
        await store.SaveAsync(Record("demo/web"));
        Assert.Single(await ItemsAsync());
        Assert.Null(_fence.Cause);
    }

    [Fact]
    public async Task Case33_an_old_leader_that_writes_after_its_successor_is_refused_and_ends()
    {
        using var old = await OpenAsync("a");
        await old.SaveAsync(Record("demo/web"));
        using var next = await OpenAsync("b");
        await next.SaveAsync(Record("demo/web"));

        var fault = Assert.Single(await old.CommitAsync(
            [new StoreWrite(StoreWriteKind.Save, Record("demo/web") with { State = LeaseRecordState.Releasing }, null)], Cancelled));

        Assert.Equal("b leads", fault);
        Assert.NotNull(_fence.Cause);
        Assert.Equal("Bound", Assert.Single(await ItemsAsync()).Spec.GetProperty("state").GetString());
    }

    [Fact]
    public async Task Case33_an_old_leader_deletes_nothing_that_its_successor_wrote()
    {
        using var old = await OpenAsync("a");
        await old.SaveAsync(Record("demo/web"));
        using var next = await OpenAsync("b");
        await next.SaveAsync(Record("demo/web"));

        Assert.Equal("b leads", Assert.Single(await old.CommitAsync([new StoreWrite(StoreWriteKind.Delete, Record("demo/web"), null)], Cancelled)));
        Assert.NotNull(_fence.Cause);
        Assert.Single(await ItemsAsync());
    }

    [Fact]
    public async Task A_label_put_on_by_hand_does_not_keep_a_lease_from_being_deleted()
    {
        using var store = await OpenAsync("a");
        await store.SaveAsync(Record("demo/web"));
        await _server.Client.PatchAsync(
            AddressLease.Type, Namespace, "demo.web.6f9619ff", PatchType.Merge, """{"metadata":{"labels":{"seen":"yes"}}}"""u8.ToArray(), null, Cancelled);
        await store.DeleteAsync(Record("demo/web"));
        Assert.Empty(await ItemsAsync());
        Assert.Null(_fence.Cause);
    }

    [Fact]
    public async Task Leases_of_a_data_folder_are_taken_over_once_with_the_MACs_and_their_key()
    {
        var folder = Directory.CreateTempSubdirectory("dynamiclb-import-");
        try
        {
            var here = Record("demo/here") with { Id = Guid.NewGuid(), Mac = "02:4c:42:00:00:09" };
            using (var before = await OpenAsync("a"))
                await before.SaveAsync(here);
            byte[] key;
            using (var files = FileLeaseStore.Open(folder.FullName))
            {
                key = files.MacKey();
                await files.SaveAsync(Record("demo/web"));
                await files.SaveMacsAsync(["02:00:00:00:00:01"]);
                // While the old one still runs, nothing is taken from under it.
                Assert.Throws<UnusableException>(() => Import(folder));
            }

            using (var import = Import(folder))
            {
                using var store = await OpenAsync("b", needsMacKey: true, import);
                var contents = store.Load();
                Assert.Equal([here, Record("demo/web")], contents.Leases.OrderBy(r => r.Service));
                Assert.Equal(["02:00:00:00:00:01"], contents.Macs);
                Assert.Equal(key, store.MacKey());
                await store.DeleteAsync(Record("demo/web"));
            }

            // What was released since does not come back, and nobody leases with what the folder held.
            Assert.Null(Import(folder));
            Assert.Contains(LeaseImport.Marker, Assert.Throws<UnusableException>(() => FileLeaseStore.Open(folder.FullName)).Message, StringComparison.Ordinal);
            using var next = await OpenAsync("c");
            Assert.Equal([here], next.Load().Leases);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task An_import_that_was_cut_short_goes_on_at_the_next_start()
    {
        var folder = Directory.CreateTempSubdirectory("dynamiclb-import-");
        try
        {
            var records = Enumerable.Range(0, 5).Select(i => Record($"demo/s{i}") with { Id = Guid.NewGuid(), Mac = $"02:4c:42:00:00:0{i}" }).ToList();
            using (var files = FileLeaseStore.Open(folder.FullName))
            {
                foreach (var record in records)
                    await files.SaveAsync(record);
            }
            // As if it had been killed after the second.
            using (var before = await OpenAsync("a"))
            {
                foreach (var record in records.Take(2))
                    await before.SaveAsync(record);
            }

            using var import = Import(folder);
            using var store = await OpenAsync("b", import: import);
            Assert.Equal(records, store.Load().Leases.OrderBy(r => r.Service));
            Assert.Equal(5, (await ItemsAsync()).Count);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static LeaseImport? Import(DirectoryInfo folder) => LeaseImport.Open(folder.FullName, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);

    [Fact]
    public async Task Without_a_confirmed_claim_nothing_is_written()
    {
        using var store = await OpenAsync("a");
        _fence.Refusal = "not confirmed";
        Assert.Equal(["not confirmed"], await store.CommitAsync([new StoreWrite(StoreWriteKind.Save, Record("demo/web"), null)], Cancelled));
        Assert.Empty(await ItemsAsync());
    }

    [Fact]
    public async Task A_damaged_object_is_reported_and_left_alone_and_the_others_are_read()
    {
        using (var store = await OpenAsync("a"))
            await store.SaveAsync(Record("demo/web"));
        await _server.Client.CreateAsync(
            AddressLease.Type,
            new AddressLease
            {
                Metadata = new ObjectMeta { Namespace = Namespace, Name = "bad" },
                Spec = System.Text.Json.JsonDocument.Parse("""{"service":"../x","id":7}""").RootElement,
            },
            Cancelled);

        using var next = await OpenAsync("b");
        var contents = next.Load();

        Assert.Equal("demo/web", Assert.Single(contents.Leases).Service);
        Assert.Contains("bad", Assert.Single(contents.Faults), StringComparison.Ordinal);
        Assert.Equal(2, (await ItemsAsync()).Count);
    }

    [Fact]
    public async Task The_MAC_key_is_made_once_and_stays()
    {
        using var first = await OpenAsync("a", needsMacKey: true);
        using var second = await OpenAsync("b", needsMacKey: true);
        Assert.Equal(first.MacKey(), second.MacKey());
        Assert.Equal(32, first.MacKey().Length);
    }

    [Fact]
    public async Task A_server_that_refuses_is_named_as_the_cause()
    {
        _server.Faults.AnswerWith(System.Net.HttpStatusCode.Forbidden);
        var fault = await Assert.ThrowsAsync<UnusableException>(() => OpenAsync("a"));
        Assert.Contains("manifests/crds", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_CRD_knows_every_field_of_a_record()
    {
        string crd = RepositoryFiles.Read("manifests/crds/addressleases.yaml");
        foreach (var property in System.Text.Json.JsonSerializer.SerializeToNode(Full(), StoreJsonContext.Default.LeaseRecord)!.AsObject())
            Assert.Contains($"\n              {property.Key}:", crd, StringComparison.Ordinal);
    }

    private async Task<IReadOnlyList<AddressLease>> ItemsAsync() => (await _server.Client.ListAsync(AddressLease.Type, Namespace, Cancelled)).Items;

    private Task<KubernetesLeaseStore> OpenAsync(string leader, bool needsMacKey = false, LeaseImport? import = null) =>
        KubernetesLeaseStore.OpenAsync(_server.Client, Namespace, leader, 0, needsMacKey, _fence, TimeProvider.System, import, Cancelled);

    private static LeaseRecord Full() => Record("demo/web") with
    {
        Uid = "u",
        Hostname = "web-demo",
        VendorClass = "v",
        RequestedAddress = "10.77.0.100",
        Router = "10.77.0.1",
        ServerMac = "02:00:00:00:00:01",
        ObtainedAt = DateTimeOffset.UnixEpoch,
        SentAtBoot = 1,
        BootId = "b",
        T1 = DateTimeOffset.UnixEpoch,
        T2 = DateTimeOffset.UnixEpoch,
        ReleasedAt = DateTimeOffset.UnixEpoch,
        Counts = new LeaseCounts(1, 2, 3, 4),
    };

    private static LeaseRecord Record(string service) => new()
    {
        Service = service,
        Id = new Guid("6f9619ff-8b86-d011-b42d-00c04fc964f0"),
        Mac = "02:4c:42:00:00:01",
        ClientId = "01024c42000001",
        State = LeaseRecordState.Bound,
        Address = "10.77.0.100",
        PrefixLength = 24,
        ServerId = "10.77.0.1",
        LeaseSeconds = 600,
        SentAt = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
        ExpiresAt = new DateTimeOffset(2026, 1, 1, 0, 10, 0, TimeSpan.Zero),
    };

    private sealed class Fence : IStoreFence
    {
        public string? Refusal { get; set; }

        public string? Cause { get; private set; }

        public void Fenced(string cause) => Cause = cause;
    }
}
