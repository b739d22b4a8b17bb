using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Addresses that other hosts use.</summary>
public sealed class ConflictTests : IDisposable
{
    private static readonly IPv4Address First = IPv4Address.Parse("10.77.0.100");
    private static readonly MacAddress Host = MacAddress.Parse("02:00:00:00:00:42");
    private readonly LeaseLab _lab = new(canProbe: true);

    public void Dispose() => _lab.Dispose();

    [Fact]
    public void Case26_a_call_is_answered_with_another_address_and_the_taken_one_is_declined_and_told()
    {
        _lab.Hosts[First] = Host;
        var call = _lab.Post("demo/web", ip: "10.77.0.100");
        _lab.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal("10.77.0.101", LeaseLab.Outcome(call).Answer.Ip);
        Assert.Contains(First, _lab.Server.Declined);
        var events = _lab.Keeper.Journal.After(Begin())!;
        Assert.Equal(["requested", "declined", "bound"], events.Select(e => e.Type));
        Assert.Equal(("10.77.0.100", "in use by 02:00:00:00:00:42", "10.77.0.1"), (events[1].Ip, events[1].Detail, events[1].Server));
        Assert.Equal(1, _lab.Keeper.Status().Counters["lease.declined"]);
        Assert.Equal(1, _lab.Keeper.Status().Counters["exchange.acquire.declined"]);
        Assert.Equal(1, _lab.Keeper.Status().Counters["exchange.acquire.ack"]);
        var history = _lab.Keeper.Lease("10.77.0.101")!.History;
        Assert.Contains(history.Events, e => e is { Type: "declined", Ip: "10.77.0.100" });
        Assert.Null(_lab.Leases[0].LastError);
    }

    [Fact]
    public void Another_host_that_uses_a_leased_address_is_counted_told_with_its_MAC_and_nothing_is_given_up()
    {
        using var lab = new LeaseLab(Options(o => o.SpeakerMacs = [MacAddress.Parse("02:00:00:00:00:43")]));
        var lease = lab.Lease("demo/web");
        Assert.Equal([First], lab.Watched);
        var link = lab.Keeper.Links[0];
        foreach (string ours in new[] { "02:00:00:00:00:43", lease.Mac!, lab.Nic.ToString() })
            lab.Keeper.Used(link, First, MacAddress.Parse(ours));
        lab.Keeper.Used(link, IPv4Address.Parse("10.77.0.101"), Host);
        Assert.False(lab.Keeper.Status().Counters.ContainsKey("lease.conflict"));

        for (int i = 0; i < 6; i++)
        {
            lab.Keeper.Used(link, First, Host);
            lab.Advance(TimeSpan.FromSeconds(10));
        }
        Assert.Equal(6, lab.Keeper.Status().Counters["lease.conflict"]);
        var events = lab.Keeper.Journal.After($"{lab.Keeper.Journal.LastId.Split('-')[0]}-0")!;
        var told = Assert.Single(events, e => e.Type == "conflict");
        Assert.Equal(("10.77.0.100", "used by 02:00:00:00:00:42, too"), (told.Ip, told.Detail));
        Assert.Contains(lab.Keeper.Lease("10.77.0.100")!.History.Events, e => e.Type == "conflict");
        Assert.Equal(("bound", "10.77.0.100 is used by 02:00:00:00:00:42, too"), (lab.Leases[0].State, lab.Leases[0].LastError));
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Decline));
        lab.Keeper.Used(link, First, MacAddress.Parse("02:00:00:00:00:44"));
        lab.Advance(TimeSpan.FromMinutes(10));
        lab.Keeper.Used(link, First, MacAddress.Parse("02:00:00:00:00:44"));
        Assert.Equal(3, lab.Keeper.Lease("10.77.0.100")!.History.Events.Count(e => e.Type == "conflict"));

        lab.Delete("10.77.0.100");
        lab.Keeper.Used(link, First, Host);
        lab.Advance(TimeSpan.FromSeconds(3));
        Assert.Empty(lab.Watched);
        Assert.Equal(8, lab.Keeper.Status().Counters["lease.conflict"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true, "--speaker-macs", "02:00:00:00:00:43")]
    [InlineData(false, "--speaker-macs", "02:00:00:00:00:43", "--conflict-watch", "off")]
    [InlineData(true, "--conflict-watch", "on", "--probe", "off")]
    public void Addresses_are_watched_where_it_is_known_who_announces_or_the_settings_say_so(bool watches, params string[] arguments) =>
        Assert.Equal(watches, OptionSources.Read(["--allow-anonymous", .. arguments], static _ => null).Options!.Interface.WatchesConflicts);

    [Fact]
    public void A_call_waits_700_milliseconds_for_the_probes_and_its_lease_is_not_shown_as_had_before()
    {
        var call = _lab.Post("demo/web");
        Assert.False(call.Task.IsCompleted);
        Assert.Equal(("probing", ""), (_lab.Leases[0].State, _lab.Leases[0].Ip));
        _lab.Advance(TimeSpan.FromMilliseconds(699));
        Assert.False(call.Task.IsCompleted);
        _lab.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal("10.77.0.100", LeaseLab.Outcome(call).Answer.Ip);
        Assert.Equal(3, _lab.Probes.Count);
    }

    [Fact]
    public void Probing_takes_nothing_from_the_pace_of_messages()
    {
        using var lab = new LeaseLab(Options(o => (o.MessagesPerSecond, o.MessageBurst) = (10, 1)), canProbe: true);
        for (int i = 0; i < 20; i++)
            lab.Post($"demo/s{i}");
        lab.Advance(TimeSpan.FromSeconds(2.8));
        Assert.Equal(20, lab.Leases.Count(l => l.State == "bound"));
    }

    [Fact]
    public void A_server_that_forgets_DECLINEs_does_not_lead_the_next_service_to_the_same_address()
    {
        _lab.Server.ForgetsDeclines = true;
        _lab.Hosts[First] = Host;
        // It offers the taken address first, to everybody once.
        var offered = new List<MacAddress>();
        _lab.Server.Script = (message, regular) =>
        {
            if (message.Type != DhcpMessageType.Discover)
                return null;
            bool isFirst = !offered.Contains(message.HardwareAddress);
            if (isFirst)
                offered.Add(message.HardwareAddress);
            return [_lab.Server.Reply(message, DhcpMessageType.Offer, isFirst ? First : new IPv4Address(First.Value + (uint)offered.Count))];
        };
        _lab.Post("demo/a");
        _lab.Advance(TimeSpan.FromSeconds(5));
        var second = _lab.Post("demo/b");
        _lab.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("10.77.0.102", LeaseLab.Outcome(second).Answer.Ip);
        Assert.Equal(1, _lab.CountSent(DhcpMessageType.Decline));
    }

    [Fact]
    public void A_server_that_offers_nothing_else_is_told_again_by_a_DECLINE_within_seconds()
    {
        _lab.Server.ForgetsDeclines = true;
        _lab.Hosts[First] = Host;
        // As dnsmasq: the same address for a client until that client declines it.
        var declined = new List<MacAddress>();
        _lab.Server.Script = (message, regular) =>
        {
            if (message.Type == DhcpMessageType.Decline)
                declined.Add(message.HardwareAddress);
            return message.Type == DhcpMessageType.Discover
                ? [_lab.Server.Reply(message, DhcpMessageType.Offer, new IPv4Address(First.Value + (uint)declined.IndexOf(message.HardwareAddress) + 1))] : null;
        };
        _lab.Post("demo/a");
        _lab.Advance(TimeSpan.FromSeconds(5));
        var second = _lab.Post("demo/b");
        _lab.Advance(TimeSpan.FromSeconds(5));
        Assert.NotEqual("10.77.0.100", LeaseLab.Outcome(second).Answer.Ip);
        Assert.Equal(2, _lab.CountSent(DhcpMessageType.Decline));
    }

    [Fact]
    public void The_only_address_left_is_explained_and_taken_as_soon_as_its_user_is_gone()
    {
        _lab.Server.ForgetsDeclines = true;
        for (uint i = 0; i < 100; i++)
            _lab.Hosts[new IPv4Address(First.Value + i)] = Host;
        var call = _lab.Post("demo/web");
        _lab.Advance(TimeSpan.FromSeconds(20));
        Assert.Contains("10.77.0.100 from 10.77.0.1 (in use by 02:00:00:00:00:42)", _lab.Keeper.GiveUp("demo/web", call).Answer.Detail, StringComparison.Ordinal);
        _lab.Hosts.Clear();
        _lab.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal("bound", _lab.Leases[0].State);
    }

    [Fact]
    public void An_avoided_address_is_not_asked_for_by_another_service()
    {
        _lab.Hosts[First] = Host;
        _lab.Post("demo/a");
        _lab.Advance(TimeSpan.FromSeconds(3));
        _lab.Sent.Clear();
        _lab.Post("demo/b", ip: "10.77.0.100");
        Assert.False(_lab.Sent[0].Message.Options.Contains(DhcpOptionCode.RequestedAddress));
        // An hour later it may be.
        _lab.Advance(TimeSpan.FromHours(1));
        _lab.Sent.Clear();
        _lab.Post("demo/c", ip: "10.77.0.100");
        Assert.True(_lab.Sent[^1].Message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out _));
    }

    [Fact]
    public void Case27_what_our_own_hosts_answer_for_a_lease_declines_nothing_over_restarts_and_losses()
    {
        _lab.Post("demo/web");
        _lab.Advance(TimeSpan.FromSeconds(2));
        _lab.Hosts[First] = Host;
        _lab.Probes.Clear();
        _lab.Restart();
        _lab.Advance(TimeSpan.FromHours(2));
        _lab.Server.IsSilent = true;
        _lab.Advance(TimeSpan.FromMinutes(15));
        Assert.Equal(DynamicLb.AddressService.Store.LeaseRecordState.Lost, Assert.Single(_lab.Store.Records).State);
        _lab.Restart();
        _lab.Server.IsSilent = false;
        _lab.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(("bound", "10.77.0.100"), (_lab.Leases[0].State, _lab.Leases[0].Ip));
        Assert.Empty(_lab.Probes);
        Assert.Equal(0, _lab.CountSent(DhcpMessageType.Decline));
    }

    [Fact]
    public void Case29_a_service_whose_lease_was_forgotten_keeps_the_address_that_its_hosts_answer_for()
    {
        using var lab = new LeaseLab(canProbe: true);
        lab.Hosts[First] = Host;
        var call = lab.Post("demo/web", ip: "10.77.0.100", held: "10.77.0.100");
        Assert.Equal("10.77.0.100", LeaseLab.Outcome(call).Answer.Ip);
        Assert.Empty(lab.Probes);
    }

    [Fact]
    public void Speakers_named_in_the_configuration_and_our_own_MACs_are_no_conflict()
    {
        using var lab = new LeaseLab(Options(o => o.SpeakerMacs = [Host]), canProbe: true);
        lab.Hosts[First] = Host;
        lab.Post("demo/web");
        lab.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("10.77.0.100", lab.Leases[0].Ip);
        lab.Hosts[IPv4Address.Parse("10.77.0.101")] = MacAddress.Parse(lab.Leases[0].Mac);
        lab.Post("demo/b");
        lab.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("10.77.0.101", lab.Leases.Single(l => l.Service == "demo/b").Ip);
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Decline));
    }

    [Fact]
    public void A_release_while_an_address_is_probed_gives_it_back_and_leaves_nothing_behind()
    {
        var call = _lab.Post("demo/web");
        Assert.Equal(ReleaseKind.Success, _lab.Delete(service: "demo/web").Kind);
        Assert.Equal(AcquireKind.Released, LeaseLab.Outcome(call).Kind);
        _lab.Advance(TimeSpan.FromSeconds(5));
        Assert.Empty(_lab.Server.Leases);
        Assert.Empty(_lab.Joined);
        _lab.Keeper.Heard(_lab.Keeper.Links[0], First, Host);
        Assert.Equal(0, _lab.CountSent(DhcpMessageType.Decline));
    }

    [Fact]
    public void A_crash_while_an_address_is_probed_ends_with_one_lease()
    {
        _lab.Post("demo/web");
        Assert.Equal("probing", _lab.Leases[0].State);
        _lab.Restart();
        _lab.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(("bound", "10.77.0.100"), (_lab.Leases[0].State, _lab.Leases[0].Ip));
        Assert.Single(_lab.Server.Leases);
    }

    [Fact]
    public void The_list_of_avoided_addresses_is_bounded_and_forgets()
    {
        var list = new AvoidList();
        for (uint i = 0; i < 2000; i++)
            list.Add(new IPv4Address(First.Value + i), Host, TimeSpan.FromSeconds(i));
        Assert.Equal(AvoidList.Most, list.CountAt(TimeSpan.FromSeconds(2000)));
        Assert.False(list.TryFind(First, TimeSpan.FromSeconds(2000), out _));
        Assert.True(list.TryFind(new IPv4Address(First.Value + 1999), TimeSpan.FromSeconds(2000), out var host));
        Assert.Equal(Host, host);
        Assert.Equal(0, list.CountAt(TimeSpan.FromSeconds(1999) + AvoidList.Lasts));
    }

    private static AddressServiceOptions Options(Action<InterfaceOptions> change)
    {
        var options = new AddressServiceOptions();
        change(options.Interface);
        return options;
    }

    private string Begin() => $"{_lab.Keeper.Journal.Started.ToUnixTimeMilliseconds()}-0";
}
