using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class AcquireTests
{
    [Fact]
    public void A_call_is_answered_with_a_lease_that_is_stored_already()
    {
        using var lab = new LeaseLab();

        var answer = lab.Lease("demo/web", "uid-1");

        Assert.Equal("10.77.0.100", answer.Ip);
        Assert.Equal("success", answer.Status);
        Assert.Equal(600, answer.LeaseSeconds);
        Assert.Equal(lab.Clock.UtcNow + TimeSpan.FromSeconds(600), answer.ValidUntil);
        Assert.Equal("10.77.0.1", answer.Server);
        Assert.Equal("web-demo", answer.Hostname);
        Assert.True(answer.Verified);
        Assert.StartsWith("02:4c:42:", answer.Mac, StringComparison.Ordinal);
        var record = Assert.Single(lab.Store.Records);
        Assert.Equal((LeaseRecordState.Bound, "10.77.0.100", answer.Mac, answer.Id), (record.State, record.Address, record.Mac, record.Id.ToString()));
        Assert.Equal([LeaseRecordState.Requesting, LeaseRecordState.Bound], lab.Store.Writes);
    }

    [Fact]
    public void The_identity_is_taken_by_the_store_before_the_first_DISCOVER()
    {
        using var lab = new LeaseLab();
        LeaseRecord? stored = null;
        lab.Leaving = message => stored ??= message.Type == DhcpMessageType.Discover ? lab.Store.Records.Single() : stored;

        var answer = lab.Lease("demo/web");

        Assert.Equal((LeaseRecordState.Requesting, answer.Mac), (stored!.State, stored.Mac));
    }

    [Fact]
    public void Case03_ten_calls_at_once_and_one_later_share_one_lease_and_one_DISCOVER()
    {
        using var lab = new LeaseLab();

        var calls = Enumerable.Range(0, 10).Select(_ => lab.Call("demo/web")).ToList();
        lab.Settle();
        lab.Advance(TimeSpan.FromMinutes(1));
        calls.Add(lab.Post("demo/web"));

        var answers = calls.ConvertAll(call => LeaseLab.Outcome(call).Answer);
        Assert.Single(answers.Select(a => (a.Ip, a.Id, a.Mac)).Distinct());
        Assert.Equal(1, lab.Server.Count(DhcpMessageType.Discover));
        Assert.Single(lab.Server.Leases);
    }

    [Fact]
    public void Different_services_get_different_addresses_and_MACs()
    {
        using var lab = new LeaseLab();

        var answers = Enumerable.Range(0, 15).Select(i => lab.Lease($"demo/web{i}")).ToList();

        Assert.Equal(15, answers.Select(a => a.Ip).Distinct().Count());
        Assert.Equal(15, answers.Select(a => a.Mac).Distinct().Count());
    }

    [Fact]
    [Trait("Fault", "A9")]
    public void A_hundred_calls_do_not_wait_for_one_that_no_server_answers()
    {
        using var lab = new LeaseLab();
        lab.Server.Script = (message, _) => message.Options.GetText(DhcpOptionCode.HostName) == "slow-demo" ? [] : null;

        var slow = lab.Call("demo/slow");
        var quick = Enumerable.Range(0, 99).Select(i => lab.Call($"demo/web{i}")).ToList();
        // Paced at 50 a second after a burst of 20: no later than this.
        lab.Advance(TimeSpan.FromSeconds(2));

        Assert.All(quick, call => Assert.Equal(AcquireKind.Success, LeaseLab.Outcome(call).Kind));
        Assert.False(slow.Task.IsCompleted);
    }

    [Fact]
    public void Case25_a_fourth_service_waits_for_a_pool_of_three_and_gets_what_is_given_back()
    {
        using var lab = new LeaseLab();
        var small = Enumerable.Range(100, 3).Select(i => IPv4Address.Parse($"10.77.0.{i}")).ToHashSet();
        lab.Server.Script = (_, regular) => regular.Any(m => m.Type == DhcpMessageType.Offer && !small.Contains(m.YourAddress)) ? [] : null;

        var first = lab.Lease("demo/a");
        _ = lab.Lease("demo/b");
        _ = lab.Lease("demo/c");
        var fourth = lab.Post("demo/d");
        lab.Advance(TimeSpan.FromSeconds(30));
        var timeout = lab.Keeper.GiveUp("demo/d", fourth);

        Assert.Equal((AcquireKind.Timeout, "timeout"), (timeout.Kind, timeout.Answer.Status));
        Assert.Matches(@"^no OFFER from any server \(\d DISCOVERs\)$", timeout.Answer.Detail);

        Assert.Equal(ReleaseKind.Success, lab.Delete(first.Ip).Kind);
        // The scripted server remembers its silent offer of .103; it is a pool of three for good.
        lab.Server.Script = (m, regular) => regular.Any(r => r.Type == DhcpMessageType.Offer && !small.Contains(r.YourAddress))
            ? lab.Server.Leases.ContainsValue(IPv4Address.Parse(first.Ip)) ? [] : [lab.Server.Reply(m, DhcpMessageType.Offer, IPv4Address.Parse(first.Ip))] : null;
        lab.Advance(TimeSpan.FromSeconds(66));
        Assert.Equal(first.Ip, lab.Lease("demo/d").Ip);
    }

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("127.0.0.1")]
    [InlineData("224.0.0.1")]
    [InlineData("10.77.1.9", "outside")]
    [InlineData("10.77.0.1")]
    [InlineData("10.77.0.7", "own address")]
    public void Case23_an_unusable_offer_is_refused_and_the_cause_told(string offered, string cause = "")
    {
        _ = IPv4Network.TryParse("10.77.0.0/24", out var range);
        using var lab = new LeaseLab(new AddressServiceOptions { Interface = { Cidrs = [range] } });
        lab.OwnAddresses.Add(IPv4Address.Parse("10.77.0.7"));
        lab.Server.Script = (message, _) =>
            message.Type == DhcpMessageType.Discover ? [lab.Server.Reply(message, DhcpMessageType.Offer, IPv4Address.Parse(offered))] : null;

        var call = lab.Post("demo/web");
        var outcome = lab.Keeper.GiveUp("demo/web", call);

        Assert.Equal(AcquireKind.Timeout, outcome.Kind);
        Assert.StartsWith($"offers refused: {offered} from 10.77.0.1 (", outcome.Answer.Detail, StringComparison.Ordinal);
        Assert.Contains(cause, outcome.Answer.Detail, StringComparison.Ordinal);
        Assert.Equal(0, lab.Server.Count(DhcpMessageType.Request));
    }

    [Fact]
    public void Case24_an_address_of_another_service_is_refused_and_the_first_lease_is_untouched()
    {
        using var lab = new LeaseLab();
        var first = lab.Lease("demo/a");
        lab.Server.Script = (message, _) =>
            message.Type == DhcpMessageType.Discover ? [lab.Server.Reply(message, DhcpMessageType.Offer, IPv4Address.Parse(first.Ip))] : null;

        var outcome = lab.Keeper.GiveUp("demo/b", lab.Post("demo/b"));

        Assert.Equal(AcquireKind.Timeout, outcome.Kind);
        Assert.Contains("held by our own lease of demo/a", outcome.Answer.Detail, StringComparison.Ordinal);
        Assert.Equal(first, lab.Lease("demo/a"));
    }

    [Fact]
    public void The_same_UID_keeps_the_lease_and_another_UID_gets_a_new_one()
    {
        using var lab = new LeaseLab();
        var first = lab.Lease("demo/web", "uid-1");

        Assert.Equal(first, lab.Lease("demo/web", "uid-1"));
        Assert.Equal(first, lab.Lease("demo/web"));
        var second = lab.Lease("demo/web", "uid-2");
        lab.Advance(TimeSpan.FromSeconds(5));

        Assert.NotEqual(first.Id, second.Id);
        Assert.NotEqual(first.Mac, second.Mac);
        Assert.NotEqual(first.Ip, second.Ip);
        Assert.Equal([MacAddress.Parse(second.Mac!)], lab.Server.Leases.Keys);
    }

    [Fact]
    [Trait("Fault", "A1")]
    [Trait("Fault", "C3")]
    public void A_search_that_finds_nothing_is_abandoned_and_its_MAC_is_free_again()
    {
        using var lab = new LeaseLab(new AddressServiceOptions
        {
            MacSource = MacSource.Pool,
            Macs = [MacAddress.Parse("02:00:00:00:00:01")],
            AbandonAfter = TimeSpan.FromMinutes(10),
        });
        lab.Server.IsSilent = true;
        var call = lab.Post("demo/web");
        Assert.Empty(lab.Keeper.Status().AvailableMacs);

        lab.Advance(TimeSpan.FromMinutes(11));

        Assert.Equal(AcquireKind.Released, LeaseLab.Outcome(call).Kind);
        Assert.Equal(["02:00:00:00:00:01"], lab.Keeper.Status().AvailableMacs);
        Assert.Empty(lab.Store.Records);
        Assert.Null(lab.Keeper.NextDeadline);
    }

    [Fact]
    public void A_store_that_takes_no_identity_fails_the_call_before_any_DISCOVER()
    {
        using var lab = new LeaseLab();
        lab.Store.BeforeSave = _ => throw new IOException("No space left on device");

        var outcome = LeaseLab.Outcome(lab.Post("demo/web"));

        Assert.Equal(AcquireKind.Unavailable, outcome.Kind);
        Assert.Contains("No space left on device", outcome.Answer.Detail, StringComparison.Ordinal);
        Assert.Empty(lab.Sent);
        Assert.Empty(lab.Leases);
    }

    [Fact]
    public void A_lease_is_not_told_before_the_store_takes_it()
    {
        using var lab = new LeaseLab();
        bool full = true;
        lab.Store.BeforeSave = record =>
        {
            if (full && record.State == LeaseRecordState.Bound)
                throw new IOException("No space left on device");
        };
        var call = lab.Post("demo/web");
        Assert.False(call.Task.IsCompleted);

        full = false;
        lab.Advance(TimeSpan.FromSeconds(6));

        Assert.Equal("10.77.0.100", LeaseLab.Outcome(call).Answer.Ip);
    }

    [Fact]
    public void Messages_are_paced_at_fifty_a_second_after_a_burst_of_twenty()
    {
        using var lab = new LeaseLab();
        var start = lab.Clock.Now;

        // Each takes two messages: a DISCOVER and the REQUEST, which is not held back.
        for (int i = 0; i < 200; i++)
            _ = lab.Call($"demo/web{i}");
        lab.Advance(TimeSpan.FromMilliseconds(3900));

        Assert.Equal(20, lab.Sent.Count(s => s.At == start && s.Message.Type == DhcpMessageType.Discover));
        Assert.All(Enumerable.Range(0, 2), second => Assert.InRange(
            lab.Sent.Count(s => s.Message.Type == DhcpMessageType.Discover && s.At > start + TimeSpan.FromSeconds(second) && s.At <= start + TimeSpan.FromSeconds(second + 1)),
            48, 51));
    }

    [Fact]
    public void A_lost_lease_is_shown_as_such_and_its_address_is_asked_for_again()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Server.IsSilent = true;

        lab.Advance(TimeSpan.FromSeconds(601));
        Assert.Equal(LeaseRecordState.Lost, lab.Store.Records.Single().State);
        Assert.Equal("", lab.Leases.Single().Ip);

        lab.Server.IsSilent = false;
        lab.Advance(TimeSpan.FromSeconds(70));
        Assert.Equal((lease.Ip, "bound"), (lab.Leases.Single().Ip, lab.Leases.Single().State));
        Assert.Equal(lease.Id, lab.Leases.Single().Id);
    }

    [Fact]
    public void Config_tells_the_subnet_that_the_servers_lease_from()
    {
        using var lab = new LeaseLab();
        Assert.Empty(lab.Keeper.Config().Cidrs);

        _ = lab.Lease("demo/web");

        var config = lab.Keeper.Config();
        Assert.Equal(["10.77.0.0/24"], config.Cidrs);
        Assert.Equal(("lan0", "nic", "generate", "02:4c:42", 30), (config.Interface, config.Transport, config.MacSource, config.MacPrefix, config.RequestTimeoutSeconds));
    }
}
