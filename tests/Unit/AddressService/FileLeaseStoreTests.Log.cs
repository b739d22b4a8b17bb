using DynamicLb.AddressService.Store;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>The log that writes are durable by: kills, damage, renewals, its length.</summary>
public sealed partial class FileLeaseStoreTests
{
    [Fact]
    public async Task A_kill_at_any_byte_of_any_write_leaves_the_state_before_or_after_it()
    {
        var first = Record("demo/web") with { State = LeaseRecordState.Requesting, Address = null };
        var bound = Record("demo/web");
        var renewed = Renewed(bound, 300);
        var other = Record("demo/other", Guid.NewGuid());
        var states = new List<(long End, LeaseRecord[] Leases)> { (0, []) };
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            async Task StepAsync(Task write, params LeaseRecord[] after)
            {
                await write;
                states.Add((End(), after));
            }

            await StepAsync(store.SaveAsync(first), first);
            await StepAsync(store.SaveAsync(bound), bound);
            await StepAsync(store.SaveAsync(other), bound, other);
            await StepAsync(store.SaveAsync(renewed), renewed, other);
            await StepAsync(store.DeleteAsync(other), renewed);
            await StepAsync(store.SaveAsync(renewed with { State = LeaseRecordState.Releasing, SavedAt = bound.SavedAt - TimeSpan.FromHours(1) }), renewed with { State = LeaseRecordState.Releasing, SavedAt = bound.SavedAt - TimeSpan.FromHours(1) });
            await StepAsync(store.DeleteAsync(renewed));

            byte[] log = await File.ReadAllBytesAsync(Log, TestContext.Current.CancellationToken);
            for (int cut = 0; cut <= states[^1].End; cut += 23)
            {
                // The disk took the first part of a line, and the empty lines that stood there before stand behind it.
                byte[] torn = [.. log.AsSpan(0, cut), .. Enumerable.Repeat((byte)'\n', 2000)];
                var contents = Killed(torn);
                // A line counts with its last brace, before the end of the line.
                var expected = states.Last(state => state.End <= cut + 1).Leases;
                Assert.Equal(expected.OrderBy(r => r.Id), contents.Leases.OrderBy(r => r.Id));
                Assert.Empty(contents.Faults);
            }
        }
    }

    [Fact]
    public async Task Files_older_than_the_log_and_newer_ones_give_the_same_leases()
    {
        var bound = Record("demo/web");
        var changed = bound with { Address = "10.77.0.200", SavedAt = bound.SavedAt + TimeSpan.FromSeconds(9) };
        var gone = Record("demo/gone", Guid.NewGuid());
        using var store = FileLeaseStore.Open(_folder.FullName);
        await store.SaveAsync(bound);
        await store.SaveAsync(gone);
        byte[] early = await File.ReadAllBytesAsync(Log, TestContext.Current.CancellationToken);
        await store.FileAsync();
        await store.SaveAsync(changed);
        await store.DeleteAsync(gone);
        Assert.Equal([changed], Killed().Leases);

        await store.FileAsync();
        Assert.Equal([changed], Killed().Leases);
        // As in a backup that copied the log before and the files after.
        Assert.Equal([bound, gone], Killed(early).Leases.OrderBy(r => r.Address).ThenByDescending(r => r.Service));
    }

    [Fact]
    public async Task After_an_orderly_end_all_is_in_the_files_and_the_log_is_empty_but_for_renewals()
    {
        var record = Record("demo/web");
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record);
            await store.SaveAsync(Record("demo/other", Guid.NewGuid()));
            await store.SaveAsync(Renewed(record, 300));
        }

        Assert.Equal(2, Directory.GetFiles(Leases, "*.json").Length);
        Assert.StartsWith("{\"renew\":", Assert.Single(File.ReadAllLines(Log)), StringComparison.Ordinal);
        Assert.Contains(Renewed(record, 300), Reopened().Leases);
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
            await store.FileAsync();
            string file = File.ReadAllText(Assert.Single(Directory.GetFiles(Leases)));
            await store.SaveAsync(renewed);
            await store.SaveAsync(again);
            await store.FileAsync();
            Assert.Equal(file, File.ReadAllText(Assert.Single(Directory.GetFiles(Leases))));
            Assert.Equal(2, Lines().Count(line => line.StartsWith("{\"renew\":", StringComparison.Ordinal)));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Log));
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
            Assert.Equal([releasing], Killed().Leases);
        }

        Assert.Equal([releasing], Reopened().Leases);
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            store.Load();
            await store.DeleteAsync(releasing);
            Assert.Empty(Killed().Leases);
        }
        Assert.Empty(Reopened().Leases);
    }

    [Fact]
    public async Task What_a_crash_left_behind_the_last_line_is_overwritten()
    {
        var record = Record("demo/web");
        var renewed = Renewed(record, 300);
        byte[] whole;
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record);
            await store.SaveAsync(renewed);
            whole = (await File.ReadAllBytesAsync(Log, TestContext.Current.CancellationToken))[..(int)End()];
        }
        // Of a batch the first line is torn and a later sector is whole: neither was told to anybody.
        await File.WriteAllBytesAsync(Log, [.. whole, .. new byte[5000], .. "{\"save\":"u8, (byte)'\n'], TestContext.Current.CancellationToken);
        var last = Renewed(renewed, 500);
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            Assert.Equal([renewed], store.Load().Leases);
            await store.SaveAsync(last);
            Assert.All(Lines(), line => Assert.StartsWith("{\"", line, StringComparison.Ordinal));
            var contents = Killed();
            Assert.Equal([last], contents.Leases);
            Assert.Empty(contents.Faults);
        }
        Assert.Equal([last], Reopened().Leases);
    }

    [Fact]
    public async Task Damage_within_the_log_is_reported_kept_and_costs_no_more_than_its_line()
    {
        var record = Record("demo/web");
        using (var store = FileLeaseStore.Open(_folder.FullName))
        {
            await store.SaveAsync(record);
            await store.SaveAsync(Renewed(record, 300));
            await store.SaveAsync(Renewed(record, 400));
            await store.FileAsync();
            var lines = Lines();
            var contents = Killed(System.Text.Encoding.UTF8.GetBytes($"{lines[0]}\n{{\"id\":\n{lines[2]}\n"));
            Assert.Equal([Renewed(record, 400)], contents.Leases);
            Assert.Contains("damaged lines", Assert.Single(contents.Faults), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task The_log_is_written_anew_before_it_fills_the_disk()
    {
        var record = Record("demo/web");
        var last = record;
        long longest = 0;
        var time = new FakeTime();
        using (var store = FileLeaseStore.Open(_folder.FullName, time))
        {
            await store.SaveAsync(record);
            time.Advance(TimeSpan.FromSeconds(1));
            for (int i = 0; i < 2500; i++)
            {
                last = Renewed(last, 300);
                await store.SaveAsync(last);
                longest = Math.Max(longest, new FileInfo(Log).Length);
            }
            Assert.InRange(longest, 1, 3 << 20);
            Assert.InRange(Lines().Length, 1, 1005);
            Assert.Equal([last], Killed().Leases);
        }

        Assert.Equal([last], Reopened().Leases);
    }

    [Fact]
    public async Task A_log_of_many_leases_is_read_as_it_was_written_and_again_after_it_was_written_anew()
    {
        var records = Enumerable.Range(0, 700).Select(i => Record($"demo/s{i:000}", Guid.NewGuid()) with { Hostname = new string('h', i % 60) }).ToArray();
        using var store = FileLeaseStore.Open(_folder.FullName, new FakeTime());
        foreach (var batch in records.Chunk(100))
            _ = await store.CommitAsync([.. batch.Select(r => new StoreWrite(StoreWriteKind.Save, r, null))], TestContext.Current.CancellationToken);
        Assert.Equal(records, Killed().Leases.OrderBy(r => r.Service));

        // Far more lines than count: it is written anew also while callers wait.
        var last = records[0];
        for (int i = 0; i < 110; i++)
        {
            var writes = new List<StoreWrite>();
            foreach (var record in records.Skip(1).Take(100))
                writes.Add(new StoreWrite(StoreWriteKind.Save, Renewed(record, i + 1), null));
            writes.Add(new StoreWrite(StoreWriteKind.Save, last = last with { SavedAt = last.SavedAt + TimeSpan.FromSeconds(1), LeaseSeconds = (uint)i }, null));
            Assert.All(await store.CommitAsync(writes, TestContext.Current.CancellationToken), Assert.Null);
        }
        Assert.InRange(Lines().Length, 800, 5000);
        LeaseRecord[] expected = [last, .. records.Skip(1).Take(100).Select(r => Renewed(r, 110)), .. records.Skip(101)];
        Assert.Equal(expected, Killed().Leases.OrderBy(r => r.Service));
        Assert.Equal(expected, store.Load().Leases.OrderBy(r => r.Service));
    }

    [Fact]
    public async Task Renewals_of_the_form_before_are_taken_over()
    {
        var record = Record("demo/web");
        using (var store = FileLeaseStore.Open(_folder.FullName))
            await store.SaveAsync(record);
        string former = Path.Combine(_folder.FullName, "renewals.jsonl");
        string line = System.Text.Json.JsonSerializer.Serialize(LeaseRenewal.Between(StoredVersion.Of(record), Renewed(record, 300)), LogJsonContext.Default.LeaseRenewal);
        await File.WriteAllTextAsync(former, $"{line}\n{line[..40]}", TestContext.Current.CancellationToken);

        Assert.Equal([Renewed(record, 300)], Reopened().Leases);
        Assert.False(File.Exists(former));
        Assert.Equal([Renewed(record, 300)], Reopened().Leases);
    }
}
