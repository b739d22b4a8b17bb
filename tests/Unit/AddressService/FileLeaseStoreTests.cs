using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Store;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class FileLeaseStoreTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("dynamiclb-store-");

    private string Leases => Path.Combine(_folder.FullName, "leases");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task What_was_saved_is_there_again()
    {
        var record = Record("demo/web");
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record with { State = LeaseRecordState.Requesting });
            await store.SaveAsync(record);
            await store.SaveMacsAsync(["02:00:00:00:00:01"]);
        }

        using var again = FileLeaseStore.Open(_folder.FullName);
        var contents = again.Load();

        Assert.Equal([record], contents.Leases);
        Assert.Equal(["02:00:00:00:00:01"], contents.Macs);
        Assert.Empty(contents.Faults);
    }

    [Fact]
    public async Task A_lease_is_one_file_that_a_person_can_read_and_only_the_owner_may()
    {
        using var store = FileLeaseStore.Open(_folder.FullName);
        await store.SaveAsync(Record("demo/web"));

        string file = Assert.Single(Directory.GetFiles(Leases));
        string text = File.ReadAllText(file);
        Assert.StartsWith("demo.web.", Path.GetFileName(file), StringComparison.Ordinal);
        Assert.Contains("\"service\": \"demo/web\"", text, StringComparison.Ordinal);
        Assert.Contains("\"address\": \"10.77.0.100\"", text, StringComparison.Ordinal);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Fact]
    public async Task A_deleted_lease_is_gone_and_deleting_it_again_is_harmless()
    {
        using var store = FileLeaseStore.Open(_folder.FullName);
        await store.SaveAsync(Record("demo/web"));

        await store.DeleteAsync(Record("demo/web"));
        await store.DeleteAsync(Record("demo/web"));

        Assert.Empty(store.Load().Leases);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"service\": \"demo/b")]
    [InlineData("null")]
    [InlineData("{\"service\":\"../../x\",\"id\":\"6f9619ff-8b86-d011-b42d-00c04fc964ff\",\"mac\":\"02:00:00:00:00:02\"}")]
    [InlineData("{\"service\":\"demo/b\",\"id\":\"6f9619ff-8b86-d011-b42d-00c04fc964ff\",\"mac\":\"01:00:5e:00:00:02\"}")]
    public async Task A_damaged_file_is_reported_and_set_aside_and_the_others_are_read(string damaged)
    {
        using var store = FileLeaseStore.Open(_folder.FullName);
        await store.SaveAsync(Record("demo/web"));
        File.WriteAllText(Path.Combine(Leases, "demo.b.12345678.json"), damaged);

        var contents = store.Load();

        Assert.Equal("demo/web", Assert.Single(contents.Leases).Service);
        Assert.Contains("demo.b.12345678.json", Assert.Single(contents.Faults), StringComparison.Ordinal);
        Assert.Equal(damaged, File.ReadAllText(Path.Combine(Leases, "demo.b.12345678.json.corrupt")));
        Assert.Empty(store.Load().Faults);
    }

    [Fact]
    public async Task What_a_crash_left_of_a_write_is_removed_and_the_old_state_stands()
    {
        using var store = FileLeaseStore.Open(_folder.FullName);
        await store.SaveAsync(Record("demo/web"));
        string file = Assert.Single(Directory.GetFiles(Leases));
        File.WriteAllText(file + ".tmp", "{\"service\":");

        Assert.Equal("demo/web", Assert.Single(store.Load().Leases).Service);
        Assert.Equal([file], Directory.GetFiles(Leases));
    }

    [Fact]
    public void Two_processes_cannot_share_a_folder()
    {
        using var store = FileLeaseStore.Open(_folder.FullName);

        var fault = Assert.Throws<UnusableException>(() => FileLeaseStore.Open(_folder.FullName));

        Assert.Contains("Only one address service", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_MAC_key_is_made_once_and_stays()
    {
        byte[] key;
        using (var store = FileLeaseStore.Open(_folder.FullName))
            key = store.MacKey();

        using var again = FileLeaseStore.Open(_folder.FullName);
        Assert.Equal(key, again.MacKey());
        Assert.Equal(32, key.Length);
    }

    [Fact]
    public async Task A_batch_is_durable_as_a_whole_but_for_what_cannot_be_written()
    {
        using var store = FileLeaseStore.Open(_folder.FullName);
        var records = Enumerable.Range(0, 100).Select(i => Record($"demo/s{i}", Guid.NewGuid())).ToArray();
        Directory.CreateDirectory(Path.Combine(Leases, $"demo.s50.{records[50].Id.ToString("N")[..8]}.json"));

        var faults = await store.CommitAsync([.. records.Select(r => new StoreWrite(StoreWriteKind.Save, r, null))], TestContext.Current.CancellationToken);

        Assert.NotNull(faults[50]);
        Assert.Equal(99, faults.Count(fault => fault is null));
        Assert.Equal(99, store.Load().Leases.Count);
    }

    [Fact]
    public async Task A_renewal_is_a_line_beside_the_file_and_counts_after_a_restart()
    {
        var record = Record("demo/web");
        var renewed = Renewed(record, 300);
        var again = Renewed(renewed, 300);
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record);
            string file = File.ReadAllText(Assert.Single(Directory.GetFiles(Leases)));
            await store.SaveAsync(renewed);
            await store.SaveAsync(again);
            Assert.Equal(file, File.ReadAllText(Assert.Single(Directory.GetFiles(Leases))));
            Assert.Equal(2, File.ReadAllLines(Renewals).Length);
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Renewals));
        }

        Assert.Equal([again], Reopened().Leases);
    }

    [Fact]
    public async Task A_renewal_does_not_outlive_the_record_it_renewed()
    {
        var record = Record("demo/web");
        var renewed = Renewed(record, 300);
        // The clock was set back meanwhile: times do not tell which came later.
        var releasing = renewed with { State = LeaseRecordState.Releasing, SavedAt = record.SavedAt - TimeSpan.FromHours(1) };
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record);
            await store.SaveAsync(renewed);
            await store.SaveAsync(releasing);
        }

        Assert.Equal([releasing], Reopened().Leases);
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            store.Load();
            await store.DeleteAsync(releasing);
        }
        Assert.Empty(Reopened().Leases);
    }

    [Fact]
    public async Task A_renewal_that_a_crash_cut_off_leaves_the_one_before_and_the_next_is_written_in_its_place()
    {
        var record = Record("demo/web");
        var renewed = Renewed(record, 300);
        byte[] whole;
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record);
            await store.SaveAsync(renewed);
            whole = await File.ReadAllBytesAsync(Renewals, TestContext.Current.CancellationToken);
            await store.SaveAsync(Renewed(renewed, 300));
        }
        byte[] both = await File.ReadAllBytesAsync(Renewals, TestContext.Current.CancellationToken);
        for (int length = 0; length < both.Length; length++)
        {
            await File.WriteAllBytesAsync(Renewals, both[..length], TestContext.Current.CancellationToken);
            var contents = Reopened();
            Assert.Equal([length < whole.Length ? record : renewed], contents.Leases);
            Assert.Empty(contents.Faults);
        }

        // A disk may also have made room for what was never written.
        await File.WriteAllBytesAsync(Renewals, [.. whole, .. new byte[100], (byte)'\n'], TestContext.Current.CancellationToken);
        var last = Renewed(renewed, 500);
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            Assert.Equal([renewed], store.Load().Leases);
            await store.SaveAsync(last);
        }
        Assert.Equal([last], Reopened().Leases);
    }

    [Fact]
    public async Task Damage_among_the_renewals_is_reported_and_costs_no_more_than_its_line()
    {
        var record = Record("demo/web");
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record);
            await store.SaveAsync(Renewed(record, 300));
            await store.SaveAsync(Renewed(record, 400));
        }
        var lines = await File.ReadAllLinesAsync(Renewals, TestContext.Current.CancellationToken);
        await File.WriteAllLinesAsync(Renewals, ["{\"id\":", lines[1]], TestContext.Current.CancellationToken);

        var contents = Reopened();

        Assert.Equal([Renewed(record, 400)], contents.Leases);
        Assert.Contains("damaged lines", Assert.Single(contents.Faults), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_renewals_are_written_anew_before_they_fill_the_disk()
    {
        var record = Record("demo/web");
        var last = record;
        long longest = 0;
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record);
            for (int i = 0; i < 2500; i++)
            {
                last = Renewed(last, 300);
                await store.SaveAsync(last);
                longest = Math.Max(longest, new FileInfo(Renewals).Length);
            }
        }

        Assert.InRange(longest, 1, 512 * 1024);
        Assert.InRange(File.ReadAllLines(Renewals).Length, 1, 1002);
        Assert.Equal([last], Reopened().Leases);
    }

    private string Renewals => Path.Combine(_folder.FullName, "renewals.jsonl");

    private StoreContents Reopened()
    {
        using var store = FileLeaseStore.Open(_folder.FullName);
        return store.Load();
    }

    private static LeaseRecord Renewed(LeaseRecord record, int seconds) => record with
    {
        SentAt = record.SentAt + TimeSpan.FromSeconds(seconds),
        ExpiresAt = record.ExpiresAt + TimeSpan.FromSeconds(seconds),
        SavedAt = record.SavedAt + TimeSpan.FromSeconds(seconds),
        BootId = "another",
        Counts = new LeaseCounts((record.Counts?.Renewals ?? 0) + 1, 0, 0, 0),
    };

    private static LeaseRecord Record(string service, Guid? id = null) => new()
    {
        Service = service,
        Id = id ?? new Guid("6f9619ff-8b86-d011-b42d-00c04fc964f0"),
        Mac = "02:4c:42:00:00:01",
        State = LeaseRecordState.Bound,
        Address = "10.77.0.100",
        PrefixLength = 24,
        ServerId = "10.77.0.1",
        LeaseSeconds = 600,
        SentAt = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
        ExpiresAt = new DateTimeOffset(2026, 1, 1, 0, 10, 0, TimeSpan.Zero),
        SavedAt = new DateTimeOffset(2026, 1, 1, 0, 0, 1, TimeSpan.Zero),
    };
}
