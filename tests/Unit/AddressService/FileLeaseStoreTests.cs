using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Store;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>The leases in files, and what stands between a call and them. See <c>FileLeaseStoreTests.Log.cs</c> for the log itself.</summary>
public sealed partial class FileLeaseStoreTests : IDisposable
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
        await store.FileAsync();

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
        await store.FileAsync();
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
        await store.FileAsync();
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
    public async Task A_batch_is_durable_with_one_line_each_and_the_files_follow()
    {
        var time = new FakeTime();
        using var store = FileLeaseStore.Open(_folder.FullName, time);
        var records = Enumerable.Range(0, 100).Select(i => Record($"demo/s{i}", Guid.NewGuid())).ToArray();
        await store.SaveAsync(records[0]);
        _ = await store.CommitAsync([.. records.Skip(1).Select(r => new StoreWrite(StoreWriteKind.Save, r, null))], TestContext.Current.CancellationToken);

        Assert.Equal(100, Lines().Length);
        Assert.Equal(100, Killed().Leases.Count);
        Assert.Empty(Directory.GetFiles(Leases));

        time.Advance(TimeSpan.FromSeconds(1));
        while (Directory.GetFiles(Leases, "*.json").Length < 100)
            await Task.Yield();
        Assert.Equal(100, Killed().Leases.Count);
    }

    [Fact]
    public async Task While_writes_go_on_files_wait_but_not_for_ever()
    {
        var time = new FakeTime();
        using var store = FileLeaseStore.Open(_folder.FullName, time);
        for (int i = 0; i < 30 && Directory.GetFiles(Leases, "*.json").Length == 0; i++)
        {
            await store.SaveAsync(Record($"demo/s{i}", Guid.NewGuid()));
            Assert.True(i >= 20 || Directory.GetFiles(Leases).Length == 0, "a file was written while callers waited for the disk");
            time.Advance(TimeSpan.FromMilliseconds(250));
            for (int turn = 0; i > 20 && turn < 1000 && Directory.GetFiles(Leases, "*.json").Length == 0; turn++)
                await Task.Yield();
        }
        while (Directory.GetFiles(Leases, "*.json").Length == 0)
            await Task.Yield();
    }

    [Fact]
    public async Task A_file_that_cannot_be_written_costs_nothing_but_the_file()
    {
        var records = Enumerable.Range(0, 3).Select(i => Record($"demo/s{i}", Guid.NewGuid())).ToArray();
        string taken = Path.Combine(Leases, $"demo.s1.{records[1].Id.ToString("N")[..8]}.json");
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            Directory.CreateDirectory(Path.Combine(taken, "in the way"));
            foreach (var record in records)
                await store.SaveAsync(record);
            await Assert.ThrowsAsync<IOException>(store.FileAsync);
            Assert.Equal(2, Directory.GetFiles(Leases, "*.json").Length);
        }

        Assert.Equal(3, Reopened().Leases.Count);
        Directory.Delete(taken, recursive: true);
        Assert.Equal(3, Reopened().Leases.Count);
        Assert.Equal(3, Directory.GetFiles(Leases, "*.json").Length);
    }

    private string Log => Path.Combine(_folder.FullName, "writes.jsonl");

    private string[] Lines() => [.. File.ReadAllLines(Log).Where(line => line.Length > 0)];

    /// <summary>Where the last line ends.</summary>
    private long End() => File.ReadAllBytes(Log).AsSpan().LastIndexOfAnyExcept((byte)'\n') + 2;

    /// <summary>What the next process finds when this one is killed now.</summary>
    private StoreContents Killed(byte[]? log = null)
    {
        var copy = Directory.CreateTempSubdirectory("dynamiclb-killed-");
        try
        {
            Directory.CreateDirectory(Path.Combine(copy.FullName, "leases"));
            foreach (string file in Directory.GetFiles(Leases))
                File.Copy(file, Path.Combine(copy.FullName, "leases", Path.GetFileName(file)));
            File.WriteAllBytes(Path.Combine(copy.FullName, "writes.jsonl"), log ?? File.ReadAllBytes(Log));
            using var store = FileLeaseStore.Open(copy.FullName, new FakeTime());
            return store.Load();
        }
        finally
        {
            copy.Delete(recursive: true);
        }
    }

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
