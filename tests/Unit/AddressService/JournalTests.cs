using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Journal;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>What is told of leases, in which order, and when.</summary>
public sealed class JournalTests
{
    private static IEnumerable<string> Types(LeaseLab lab) => Events(lab).Select(e => e.Type);

    private static IReadOnlyList<LeaseEvent> Events(LeaseLab lab)
    {
        string boot = lab.Keeper.Journal.LastId.Split('-')[0];
        return lab.Keeper.Journal.After($"{boot}-0") ?? [];
    }

    [Fact]
    public void The_life_of_a_lease_is_told_in_order()
    {
        using var lab = new LeaseLab();
        _ = lab.Keeper.Journal;
        var lease = lab.Lease("demo/web");
        lab.Advance(TimeSpan.FromMinutes(6));
        lab.Delete(lease.Ip);
        lab.Advance(TimeSpan.FromSeconds(10));

        Assert.Equal(["requested", "bound", "renewed", "releasing", "released"], Types(lab));
        Assert.All(Events(lab), e => Assert.Equal(("demo/web", lease.Id, lease.Mac), (e.Service, e.LeaseId, e.Mac)));
        var bound = Events(lab)[1];
        Assert.Equal((lease.Ip, lease.Server, lease.LeaseSeconds, lease.ValidUntil), (bound.Ip, bound.Server, bound.LeaseSeconds, bound.ValidUntil));
        Assert.Equal("", Events(lab)[0].Ip);
        Assert.Equal(lease.Ip, Events(lab)[^1].Ip);
        Assert.True(Events(lab)[2].ValidUntil > bound.ValidUntil);
    }

    [Fact]
    public void Ids_grow_with_every_event_and_every_start()
    {
        using var lab = new LeaseLab();
        lab.Lease("demo/web");
        string[] first = [.. Events(lab).Select(e => e.Id)];
        lab.Clock.Now += TimeSpan.FromSeconds(1);
        lab.Restart();
        lab.Lease("demo/other");
        string[] second = [.. Events(lab).Select(e => e.Id)];

        Assert.Equal([1, 2], first.Select(id => int.Parse(id.Split('-')[1])));
        Assert.True(long.Parse(second[0].Split('-')[0]) > long.Parse(first[0].Split('-')[0]));
        Assert.Null(lab.Keeper.Journal.After(first[^1]));
    }

    [Fact]
    public void A_bound_lease_is_told_when_it_is_stored_and_not_before()
    {
        using var lab = new LeaseLab();
        lab.Store.BeforeSave = record =>
        {
            if (record.State == LeaseRecordState.Bound)
                throw new IOException("No space left on device");
        };
        lab.Post("demo/web");
        Assert.Equal(["requested"], Types(lab));

        lab.Store.BeforeSave = _ => { };
        lab.Advance(TimeSpan.FromSeconds(6));
        Assert.Equal(["requested", "bound"], Types(lab));
    }

    [Fact]
    public void What_a_store_has_taken_but_not_made_durable_is_not_told_yet()
    {
        using var lab = new LeaseLab();
        lab.Store.Defers = true;
        lab.Post("demo/web");
        Assert.Empty(Events(lab));
        lab.Store.CatchUp(lab.Keeper);
        lab.Settle();
        Assert.Equal(["requested"], Types(lab));
        lab.Store.CatchUp(lab.Keeper);
        lab.Settle();
        Assert.Equal(["requested", "bound"], Types(lab));
        lab.Delete(service: "demo/web");
        Assert.Equal(["requested", "bound"], Types(lab));
        lab.Store.CatchUp(lab.Keeper);
        Assert.Equal(["requested", "bound", "releasing"], Types(lab));
    }

    [Fact]
    [Trait("Fault", "C6")]
    public void An_address_that_is_lost_is_told_at_that_moment_even_when_nothing_can_be_stored()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Server.IsSilent = true;
        lab.Store.BeforeSave = _ => throw new IOException("Read-only file system");
        lab.Advance(lease.ValidUntil!.Value - lab.Clock.UtcNow);

        var lost = Events(lab)[^1];
        Assert.Equal(("lost", lease.Ip, "nobody extended it in time"), (lost.Type, lost.Ip, lost.Detail));
        Assert.Equal(lease.ValidUntil, lost.At);
    }

    [Fact]
    public void A_refused_lease_is_told_as_suspect_and_its_return_as_recovered()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        bool refused = false;
        lab.Server.Script = (message, regular) =>
        {
            if (refused || message.Type != DhcpMessageType.Request)
                return regular;
            refused = true;
            return [lab.Server.Reply(message, DhcpMessageType.Nak, default)];
        };
        lab.Advance(TimeSpan.FromMinutes(6));

        Assert.Equal(["requested", "bound", "suspect", "recovered"], Types(lab));
        var history = lab.Keeper.Lease(lease.Ip)!.History;
        Assert.Equal(1, history.Naks);
        Assert.Contains(history.Events, e => e.Type == "nak" && e.Server == lease.Server);
    }

    [Fact]
    public void The_history_is_counted_and_bounded()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Advance(TimeSpan.FromHours(2));

        var (_, answer, history) = lab.Keeper.Lease(lease.Ip)!;
        Assert.Equal("bound", answer.State);
        Assert.InRange(history.Renewals, 20, 30);
        Assert.Equal(LeaseHistory.Renewals, history.LastRenewals.Count);
        Assert.True(history.LastRenewals[0].At > history.LastRenewals[1].At);
        Assert.Equal(["bound", "requested"], history.Events.Select(e => e.Type));
        var server = Assert.Single(history.Servers);
        Assert.Equal((lease.Server, history.Renewals + 1), (server.Server, server.Acks));
    }

    [Fact]
    public void The_counters_of_a_lease_survive_a_restart()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Advance(TimeSpan.FromMinutes(21));
        long before = lab.Keeper.Lease(lease.Ip)!.History.Renewals;
        Assert.InRange(before, 3, 5);
        lab.Restart();
        Assert.Equal(before, lab.Keeper.Lease(lease.Ip)!.History.Renewals);
        lab.Settle();
        var history = lab.Keeper.Lease(lease.Ip)!.History;
        Assert.Equal((before + 1, 1), (history.Renewals, history.LastRenewals.Count));
    }

    [Fact]
    public void A_released_lease_keeps_its_history_for_ten_minutes()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Delete(lease.Ip);
        lab.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal("released", lab.Keeper.Lease(lease.Ip)!.History.Events[0].Type);
        Assert.Empty(lab.Keeper.Leases(new LeaseFilter(null, null, 10, null)).Leases);
        lab.Advance(TimeSpan.FromMinutes(6));
        Assert.Null(lab.Keeper.Lease(lease.Ip));
    }

    [Fact]
    public void Pages_hold_every_lease_once_also_when_leases_come_and_go_between_them()
    {
        using var lab = new LeaseLab(new AddressServiceOptions { Interface = { MessagesPerSecond = 1000, MessageBurst = 150 } });
        for (int i = 0; i < 25; i++)
            lab.Lease($"demo/s{i:00}");
        var first = lab.Keeper.Leases(new LeaseFilter(null, null, 10, null));
        lab.Delete(service: "demo/s03");
        lab.Lease("demo/s000");
        var names = first.Leases.Select(l => l.Service).ToList();
        for (string? next = first.Continue; next is not null;)
        {
            Assert.True(LeasePlace.TryParse(next, out var place));
            var page = lab.Keeper.Leases(new LeaseFilter(null, null, 10, place));
            names.AddRange(page.Leases.Select(l => l.Service));
            next = page.Continue;
        }
        Assert.Equal(Enumerable.Range(0, 25).Select(i => $"demo/s{i:00}"), names);
        Assert.Equal("demo/s07", Assert.Single(lab.Keeper.Leases(new LeaseFilter("demo/s07", null, 10, null)).Leases).Service);
        Assert.Equal("demo/s03", Assert.Single(lab.Keeper.Leases(new LeaseFilter(null, "releasing", 10, null)).Leases).Service);
    }

    [Theory]
    [InlineData("")]
    [InlineData("x")]
    [InlineData("ZGVtby93ZWI=")]
    [InlineData("ZGVtby93ZWIgeA==")]
    public void A_place_that_no_page_gave_is_refused(string text) => Assert.False(LeasePlace.TryParse(text, out _));

    [Fact]
    public void The_ring_forgets_the_oldest_and_says_so()
    {
        var journal = new LeaseJournal(LabClock.Start, 1);
        var record = new LeaseRecord { Service = "demo/web", Id = Guid.Empty, Mac = "02:00:00:00:00:01" };
        string first = journal.LastId;
        for (int i = 0; i < LeaseJournal.Capacity; i++)
            journal.Tell(new JournalEntry(LeaseEventType.Renewed, LabClock.Start, record, null, null));
        Assert.Equal(LeaseJournal.Capacity, journal.After(first)!.Count);
        journal.Tell(new JournalEntry(LeaseEventType.Renewed, LabClock.Start, record, null, null));
        Assert.Null(journal.After(first));
        Assert.Empty(journal.After(journal.LastId)!);
        var boot = first.Split('-')[0];
        foreach (string unknown in new[] { "", "x", "-", $"{boot}", $"{boot}-", $"{boot}-x", $"{boot}-99999", $"{boot}--1", $"1-{boot}" })
            Assert.Null(journal.After(unknown));
    }

    [Fact]
    [Trait("Fault", "C13")]
    public void A_watcher_that_does_not_read_is_cut_off_and_the_others_go_on()
    {
        var journal = new LeaseJournal(LabClock.Start, 2);
        var record = new LeaseRecord { Service = "demo/web", Id = Guid.Empty, Mac = "02:00:00:00:00:01" };
        var slow = new LeaseWatcher();
        var good = new LeaseWatcher();
        Assert.True(journal.TryWatch(slow));
        Assert.True(journal.TryWatch(good));
        Assert.False(journal.TryWatch(new LeaseWatcher()));
        for (int i = 0; i <= LeaseWatcher.QueueLength; i++)
        {
            journal.Tell(new JournalEntry(LeaseEventType.Renewed, LabClock.Start, record, null, null));
            Assert.True(good.Events.TryRead(out _));
        }
        Assert.Equal((1, 1L), (journal.Watchers, journal.CutOff));
        Assert.True(slow.Cut.IsCompleted);
        Assert.False(good.Cut.IsCompleted);
    }

    [Fact]
    public void A_renewal_that_nobody_watches_is_told_without_memory()
    {
        var journal = new LeaseJournal(LabClock.Start, 1);
        var history = new LeaseHistory();
        var record = new LeaseRecord { Service = "demo/web", Id = Guid.Empty, Mac = "02:00:00:00:00:01", ServerId = "10.0.0.1" };
        for (int i = 0; i < LeaseJournal.Capacity * 2; i++)
            Tell(i);
        long allocated = Allocations.LeastOf(() =>
        {
            for (int i = 0; i < 1000; i++)
                Tell(i);
        });
        Assert.Equal(0, allocated);

        void Tell(int second)
        {
            var entry = new JournalEntry(LeaseEventType.Renewed, LabClock.Start.AddSeconds(second), record, null, null);
            history.Add(entry);
            journal.Tell(entry);
        }
    }

    [Fact]
    public void The_overview_counts_states_servers_and_MACs()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Lease("demo/api");
        lab.Keeper.AddMacs(["02:00:00:00:00:01"]);
        var overview = lab.Keeper.Overview();
        Assert.Equal(2, overview.LeasesByState["bound"]);
        Assert.Equal((1, 1), (overview.PoolMacs, overview.FreeMacs));
        Assert.Equal((lease.Server, 2, 2L), (overview.Servers[0].Server, overview.Servers[0].Leases, overview.Servers[0].Acks));
        Assert.Equal(lease.ValidUntil, overview.NextExpiry);
        Assert.Equal(lab.CountSent(DhcpMessageType.Request), overview.Counters["sent.request"]);
    }

    [Fact]
    [Trait("Fault", "A20")]
    public void Exchanges_are_counted_by_what_was_wanted_and_how_it_ended()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Advance(TimeSpan.FromMinutes(6));
        lab.Server.IsSilent = true;
        lab.Advance(TimeSpan.FromMinutes(20));
        var counters = lab.Keeper.Overview().Counters;
        Assert.Equal((1, 1), (counters["exchange.acquire.ack"], counters["exchange.renew.ack"]));
        Assert.Equal((1, 1), (counters["exchange.renew.unanswered"], counters["exchange.rebind.unanswered"]));
        Assert.Equal(lease.Ip, Events(lab)[^1].Ip);
    }
}
