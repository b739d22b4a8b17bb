using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class WriteBehindStoreTests : IDisposable
{
    private readonly FakeTime _time = new();
    private readonly MemoryBackend _backend = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _backend.Dispose();

    [Fact]
    public async Task Of_several_writes_of_one_record_while_a_batch_is_under_way_the_last_is_made()
    {
        using var store = new WriteBehindStore(_backend, _time);
        var record = Record();
        store.Save(record);
        var first = store.Begin();
        store.Save(record with { State = LeaseRecordState.Bound });
        store.Save(record with { State = LeaseRecordState.Releasing });
        Assert.Null(store.Begin());

        Assert.Empty(store.Complete(first!, await first!.RunAsync(Cancelled)));
        Assert.True(store.IsPending(record.Id));
        await RunAsync(store);

        Assert.False(store.IsPending(record.Id));
        Assert.Equal([LeaseRecordState.Requesting, LeaseRecordState.Releasing], _backend.Written.Select(w => w.Record!.State));
    }

    [Fact]
    public async Task A_write_that_failed_is_repeated_and_new_ones_are_refused_until_it_succeeds()
    {
        using var store = new WriteBehindStore(_backend, _time);
        var record = Record();
        _backend.Fault = "disk full";
        store.Save(record);
        var stored = store.WhenStored(record.Id);
        await RunAsync(store);

        Assert.Equal("disk full", Assert.Throws<IOException>(() => store.Save(Record())).Message);
        Assert.Null(store.Begin());
        Assert.False(stored.IsCompleted);

        _backend.Fault = null;
        _time.Advance(WriteBehindStore.RepeatAfter);
        await RunAsync(store);
        await stored;
        store.Save(Record());
    }

    [Fact]
    public async Task What_nobody_waits_for_is_gathered_for_a_moment_and_written_together()
    {
        using var store = new WriteBehindStore(_backend, _time);
        store.SaveLater(Record());
        Assert.Null(store.Begin());
        Assert.Equal(WriteBehindStore.GatherFor, store.DueIn);
        _time.Advance(WriteBehindStore.GatherFor / 2);
        store.SaveLater(Record());
        Assert.Null(store.Begin());

        _time.Advance(WriteBehindStore.GatherFor / 2);
        Assert.Equal(TimeSpan.Zero, store.DueIn);
        await RunAsync(store);

        Assert.Equal(2, _backend.Written.Count);
        Assert.Null(store.DueIn);
    }

    [Theory]
    [InlineData("another write")]
    [InlineData("a waiter")]
    [InlineData("a hurry")]
    [InlineData("the end")]
    public async Task What_is_gathered_leaves_at_once_with(string reason)
    {
        using var store = new WriteBehindStore(_backend, _time);
        var record = Record();
        store.SaveLater(record);
        Assert.Null(store.Begin());
        var stored = Task.CompletedTask;
        switch (reason)
        {
            case "another write":
                store.Save(Record());
                break;
            case "a waiter":
                stored = store.WhenStored(record.Id);
                break;
            case "a hurry":
                store.Hurry();
                break;
            default:
                store.Recall();
                break;
        }

        await RunAsync(store);

        await stored;
        Assert.False(store.IsPending(record.Id));
        Assert.Contains(_backend.Written, write => write.Key == record.Id);
    }

    [Fact]
    public async Task A_failed_write_does_not_replace_the_newer_one()
    {
        using var store = new WriteBehindStore(_backend, _time);
        var record = Record();
        store.Save(record);
        var batch = store.Begin()!;
        store.Save(record with { State = LeaseRecordState.Bound });
        _ = store.Complete(batch, ["no answer"]);
        _time.Advance(WriteBehindStore.RepeatAfter);
        await RunAsync(store);
        Assert.Equal(LeaseRecordState.Bound, Assert.Single(_backend.Written).Record!.State);
    }

    [Fact]
    public void A_store_that_does_not_answer_refuses_new_writes()
    {
        using var store = new WriteBehindStore(_backend, _time);
        store.Save(Record());
        Assert.NotNull(store.Begin());
        _time.Advance(TimeSpan.FromSeconds(4));
        Assert.Throws<IOException>(() => store.Save(Record()));
    }

    [Fact]
    public void Deleting_what_was_never_taken_writes_nothing()
    {
        using var store = new WriteBehindStore(_backend, _time);
        store.Delete(Record());
        Assert.Null(store.Begin());
    }

    [Fact]
    public void The_first_round_trip_runs_beside_the_first_write_but_no_REQUEST_leaves_before_it_and_no_answer_before_the_second()
    {
        using var lab = new LeaseLab();
        lab.Store.Defers = true;
        var waiter = lab.Post("demo/web");
        Assert.Equal(1, lab.CountSent(DhcpMessageType.Discover));
        lab.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Request));
        Assert.Empty(lab.Server.Leases);

        lab.Store.CatchUp(lab.Keeper);
        lab.Settle();
        Assert.Equal(1, lab.CountSent(DhcpMessageType.Request));
        Assert.False(waiter.Task.IsCompleted);

        lab.Store.CatchUp(lab.Keeper);
        Assert.Equal(AcquireKind.Success, LeaseLab.Outcome(waiter).Kind);
        // The lease counts from when the REQUEST was made, not from when it left.
        Assert.True(LeaseLab.Outcome(waiter).Answer.ValidUntil <= lab.Clock.UtcNow + TimeSpan.FromSeconds(600));
    }

    [Fact]
    public void A_store_that_takes_nothing_for_long_makes_no_server_bind_an_address()
    {
        using var lab = new LeaseLab();
        lab.Store.Defers = true;
        _ = lab.Post("demo/web");
        lab.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Request));

        // Killed meanwhile: nothing is left of it, here or at the server, and the MAC is free.
        lab.Store.Defers = false;
        lab.Restart();
        lab.Advance(TimeSpan.FromMinutes(1));
        Assert.Empty(lab.Leases);
        Assert.Empty(lab.Server.Leases);
        Assert.Empty(lab.Joined);
        _ = lab.Lease("demo/web");
    }

    [Fact]
    public void A_service_deleted_before_its_identity_is_stored_never_asks_for_an_address()
    {
        using var lab = new LeaseLab();
        lab.Store.Defers = true;
        _ = lab.Post("demo/web");
        lab.Delete(service: "demo/web");
        lab.Store.CatchUp(lab.Keeper);
        lab.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Request));
        Assert.Empty(lab.Server.Leases);
        Assert.Empty(lab.Joined);
    }

    [Fact]
    public void No_RELEASE_leaves_before_the_tombstone_is_stored_and_renewals_of_others_go_on()
    {
        using var lab = new LeaseLab();
        lab.Lease("demo/web");
        lab.Lease("demo/other");
        lab.Store.Defers = true;
        lab.Delete(service: "demo/web");
        int before = lab.CountSent(DhcpMessageType.Request);
        lab.Advance(TimeSpan.FromHours(1));
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Release));
        Assert.True(lab.CountSent(DhcpMessageType.Request) > before, "the other lease was not renewed");

        lab.Store.CatchUp(lab.Keeper);
        lab.Advance(TimeSpan.FromSeconds(5));
        Assert.NotEqual(0, lab.CountSent(DhcpMessageType.Release));
    }

    [Fact]
    public void A_power_cut_before_the_tombstone_is_stored_leaves_the_lease()
    {
        using var lab = new LeaseLab();
        string ip = lab.Lease("demo/web").Ip;
        lab.Store.Defers = true;
        lab.Delete(service: "demo/web");
        lab.Advance(TimeSpan.FromSeconds(30));
        lab.Store.Defers = false;
        lab.Restart();
        lab.Settle();
        Assert.Equal(ip, Assert.Single(lab.Leases).Ip);
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Release));
    }

    private static async Task RunAsync(WriteBehindStore store)
    {
        var batch = store.Begin();
        Assert.NotNull(batch);
        _ = store.Complete(batch, await batch.RunAsync(Cancelled));
    }

    private static LeaseRecord Record() => new() { Service = "demo/web", Id = Guid.NewGuid(), Mac = "02:4c:42:00:00:01" };

    private sealed class MemoryBackend : ILeaseBackend
    {
        public string? Fault { get; set; }

        public List<StoreWrite> Written { get; } = [];

        public StoreContents Load() => new([], null, []);

        public byte[] MacKey() => new byte[32];

        public Task<IReadOnlyList<string?>> CommitAsync(IReadOnlyList<StoreWrite> writes, CancellationToken cancellationToken)
        {
            if (Fault is null)
                Written.AddRange(writes);
            return Task.FromResult<IReadOnlyList<string?>>([.. writes.Select(_ => Fault)]);
        }

        public void Dispose()
        {
        }
    }
}
