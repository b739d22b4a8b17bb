using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>Whether another host has the address: asked once, before it is used (RFC 5227).</summary>
public sealed class DhcpProbeTests
{
    private static readonly DhcpClientSettings Probing = DhcpClientSettings.Default with { Probe = ArpProbeTiming.Fast };
    private static readonly IPv4Address Taken = IPv4Address.Parse("10.77.0.100");
    private static readonly MacAddress Host = MacAddress.Parse("02:00:00:00:00:42");
    private readonly DhcpLab _lab = new(new FakeDhcpServer());

    private FakeDhcpServer Server => _lab.Servers[0];

    [Fact]
    public void A_first_address_is_probed_three_times_and_is_ours_after_700_milliseconds()
    {
        var client = _lab.NewClient(Probing);
        var begun = _lab.Now;
        client.Acquire(_lab.Now, null);
        _lab.RunUntil(() => client.State == DhcpClientState.Probing, _lab.Now + TimeSpan.FromSeconds(1));
        var granted = _lab.Now;
        Assert.Null(client.Lease);
        Assert.Empty(_lab.Events);
        _lab.RunUntil(() => client.State == DhcpClientState.Bound, _lab.Now + TimeSpan.FromSeconds(2));
        Assert.Equal([0, 200, 400], _lab.Probes.Select(p => (int)(p.At - granted).TotalMilliseconds));
        Assert.All(_lab.Probes, p => Assert.Equal(Taken, p.Address));
        Assert.Equal(TimeSpan.FromMilliseconds(700), _lab.Now - granted);
        Assert.Equal(["bound 10.77.0.100"], _lab.Events);
        // The lease counts from the REQUEST all the same.
        Assert.InRange(client.Lease!.ObtainedAt, begun, granted);
    }

    [Fact]
    public void The_standards_own_timing_takes_four_to_seven_seconds()
    {
        for (int i = 1; i <= 50; i++)
        {
            var client = _lab.NewClient(DhcpClientSettings.Default with { Probe = ArpProbeTiming.Strict }, i);
            client.Acquire(_lab.Now, null);
            _lab.RunUntil(() => client.State == DhcpClientState.Probing, _lab.Now + TimeSpan.FromSeconds(1));
            var granted = _lab.Now;
            _lab.RunUntil(() => client.State == DhcpClientState.Bound, _lab.Now + TimeSpan.FromSeconds(20));
            Assert.InRange(_lab.Now - granted, TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(7));
        }
    }

    [Fact]
    public void Case26_a_taken_address_is_declined_and_another_one_found()
    {
        _lab.Hosts[Taken] = Host;
        var client = _lab.NewClient(Probing);
        client.Acquire(_lab.Now, Taken);
        _lab.RunUntil(() => client.State == DhcpClientState.Bound, _lab.Now + TimeSpan.FromSeconds(10));
        Assert.Equal(["declined 10.77.0.100 02:00:00:00:00:42", "bound 10.77.0.101"], _lab.Events);
        Assert.Equal([Taken], Server.Declined);

        var decline = Assert.Single(_lab.Sent, s => s.Message.Type == DhcpMessageType.Decline);
        Assert.Equal(DhcpDestination.Broadcast, decline.Destination);
        Assert.Equal([53, 61, 50, 54, 56], decline.Message.Options.Codes.Select(c => (int)c));
        Assert.Equal((IPv4Address.Any, false, (ushort)0), (decline.Message.ClientAddress, decline.Message.Broadcast, decline.Message.Seconds));
        Assert.True(decline.Message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var declined));
        Assert.Equal((Taken, Server.Id), (declined, decline.Message.ServerId));
        Assert.Equal("address in use by 02:00:00:00:00:42", decline.Message.Options.GetText(DhcpOptionCode.Message));
        Assert.NotEqual(_lab.Sent[0].Message.TransactionId, decline.Message.TransactionId);

        // The hint was the taken one: it is not asked for again.
        var discovers = _lab.Sent.Where(s => s.Message.Type == DhcpMessageType.Discover).ToList();
        Assert.Equal([true, false], discovers.Select(d => d.Message.Options.Contains(DhcpOptionCode.RequestedAddress)));
        Assert.InRange(discovers[1].At - decline.At, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        Assert.InRange(discovers[1].Message.Seconds, 0, 2);
    }

    [Fact]
    public void After_the_first_conflict_pauses_are_ten_seconds_and_after_ten_sixty()
    {
        Server.ForgetsDeclines = true;
        for (uint i = 0; i < 100; i++)
            _lab.Hosts[new IPv4Address(Taken.Value + i)] = Host;
        var client = _lab.NewClient(Probing);
        client.Acquire(_lab.Now, null);
        _lab.Run(TimeSpan.FromMinutes(8));
        var declines = _lab.Sent.Where(s => s.Message.Type == DhcpMessageType.Decline).Select(s => s.At).ToList();
        var discovers = _lab.Sent.Where(s => s.Message.Type == DhcpMessageType.Discover).Select(s => s.At).Skip(1).ToList();
        var pauses = discovers.Select((at, i) => (at - declines[i]).TotalSeconds).ToList();
        Assert.InRange(pauses[0], 0, 1);
        Assert.All(pauses[1..9], p => Assert.Equal(10, p));
        Assert.All(pauses[9..], p => Assert.Equal(60, p));
        Assert.True(pauses.Count > 12);
        Assert.Equal("offers refused: 10.77.0.100 from 10.77.0.1 (in use by 02:00:00:00:00:42)", client.Attempt!.Describe());
        Assert.Equal(declines.Count, client.Attempt.Declines);
    }

    [Fact]
    public void Case27_neither_a_renewal_nor_a_restart_nor_the_same_address_again_is_probed()
    {
        var client = _lab.NewClient(Probing);
        client.Acquire(_lab.Now, null);
        _lab.RunUntil(() => client.State == DhcpClientState.Bound, _lab.Now + TimeSpan.FromSeconds(2));
        var lease = client.Lease!;
        _lab.Probes.Clear();
        // From now on our own speaker has it.
        _lab.Hosts[Taken] = Host;
        _lab.Run(TimeSpan.FromMinutes(20));
        var restarted = _lab.NewClient(Probing, 1);
        client.Abandon();
        restarted.Resume(lease with { ExpiresAt = _lab.Now + TimeSpan.FromMinutes(5), T2 = null, T1 = null }, _lab.Now);
        _lab.Run(TimeSpan.FromMinutes(20));
        Server.IsSilent = true;
        _lab.RunUntil(() => restarted.Lease is null, _lab.Now + TimeSpan.FromMinutes(20));
        Server.IsSilent = false;
        _lab.RunUntil(() => restarted.State == DhcpClientState.Bound, _lab.Now + TimeSpan.FromMinutes(5));
        Assert.Equal(Taken, restarted.Lease!.Address);
        // A restart after the loss.
        restarted.Abandon();
        var again = _lab.NewClient(Probing, 1);
        again.Acquire(_lab.Now, Taken, Taken);
        _lab.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(Taken, again.Lease!.Address);
        Assert.Empty(_lab.Probes);
        Assert.Empty(Server.Declined);
        Assert.Equal("recovered 10.77.0.100", _lab.Events[^1]);
    }

    [Fact]
    public void Another_address_in_a_renewal_is_probed_while_the_old_one_stands()
    {
        var client = _lab.NewBoundClient(Probing);
        Assert.Equal(3, _lab.Probes.Count);
        Server.Script = (message, regular) => message.Type == DhcpMessageType.Request ? [Server.Reply(message, DhcpMessageType.Ack, IPv4Address.Parse("10.77.0.120"))] : null;
        _lab.RunUntil(() => client.State == DhcpClientState.Probing, _lab.Now + TimeSpan.FromMinutes(10));
        Assert.Equal(Taken, client.Lease!.Address);
        _lab.RunUntil(() => client.State == DhcpClientState.Bound, _lab.Now + TimeSpan.FromSeconds(1));
        Assert.Equal(["changed 10.77.0.100 10.77.0.120"], _lab.Events);
        Assert.Equal(6, _lab.Probes.Count);
    }

    [Fact]
    public void A_taken_address_in_a_renewal_is_declined_and_the_old_one_asked_for()
    {
        var other = IPv4Address.Parse("10.77.0.120");
        var client = _lab.NewBoundClient(Probing);
        _lab.Hosts[other] = Host;
        Server.Script = (message, regular) => message.Type == DhcpMessageType.Request && !message.Options.Contains(DhcpOptionCode.ServerId)
            ? [Server.Reply(message, DhcpMessageType.Ack, other)] : null;
        _lab.RunUntil(() => _lab.Events.Count > 2, _lab.Now + TimeSpan.FromMinutes(10));
        Assert.Equal(["suspect 10.77.0.100", "declined 10.77.0.120 02:00:00:00:00:42", "recovered 10.77.0.100"], _lab.Events);
        Assert.Equal(Taken, client.Lease!.Address);
    }

    [Fact]
    public void A_taken_address_in_a_renewal_is_declined_also_when_the_old_lease_ended_while_it_was_probed()
    {
        var other = IPv4Address.Parse("10.77.0.120");
        var client = _lab.NewBoundClient(Probing);
        Server.Script = (message, regular) => message.Type == DhcpMessageType.Request ? [Server.Reply(message, DhcpMessageType.Ack, other)] : null;
        _lab.RunUntil(() => client.State == DhcpClientState.Probing, _lab.Now + TimeSpan.FromMinutes(10));
        var end = client.Lease!.ExpiresAt!.Value;
        client.Tick(end);
        Assert.Equal(DhcpClientState.Probing, client.State);
        Assert.Null(client.Lease);
        Assert.True(client.Conflict(other, Host, end));
        Assert.Equal(["lost 10.77.0.100 Expired", "declined 10.77.0.120 02:00:00:00:00:42"], _lab.Events);
        Assert.Equal(1, client.Attempt!.Declines);
        client.Tick(client.NextDeadline!.Value);
        Assert.Equal(DhcpClientState.Selecting, client.State);
    }

    [Fact]
    public void What_is_granted_is_given_back_when_the_service_goes_while_it_is_probed()
    {
        var client = _lab.NewClient(Probing);
        client.Acquire(_lab.Now, null);
        _lab.RunUntil(() => client.State == DhcpClientState.Probing, _lab.Now + TimeSpan.FromSeconds(1));
        client.Release(_lab.Now, "service deleted");
        _lab.Run(TimeSpan.FromSeconds(5));
        Assert.Empty(Server.Leases);
        Assert.Equal(["released 10.77.0.100"], _lab.Events);
        Assert.False(client.Conflict(Taken, Host, _lab.Now));
    }

    [Fact]
    public void Probes_are_sent_again_when_the_link_returns()
    {
        var client = _lab.NewClient(Probing);
        client.Acquire(_lab.Now, null);
        _lab.RunUntil(() => _lab.Probes.Count == 2, _lab.Now + TimeSpan.FromSeconds(1));
        client.Hurry(_lab.Now);
        _lab.RunUntil(() => client.State == DhcpClientState.Bound, _lab.Now + TimeSpan.FromSeconds(2));
        Assert.Equal(5, _lab.Probes.Count);
    }

    [Fact]
    public void A_lease_that_ends_while_its_address_is_probed_is_asked_for_anew()
    {
        Server.LeaseSeconds = 5;
        var client = _lab.NewClient(DhcpClientSettings.Default with { Probe = ArpProbeTiming.Fast with { Quiet = TimeSpan.FromSeconds(6) } });
        client.Acquire(_lab.Now, null);
        _lab.Run(TimeSpan.FromSeconds(6));
        Server.LeaseSeconds = 60;
        _lab.RunUntil(() => client.State == DhcpClientState.Bound, _lab.Now + TimeSpan.FromSeconds(20));
        Assert.Equal(60u, client.Lease!.LeaseSeconds);
        Assert.Equal(["bound 10.77.0.100"], _lab.Events);
    }

    [Fact]
    public void Conflicts_over_other_addresses_or_at_other_times_count_for_nothing()
    {
        var client = _lab.NewClient(Probing);
        Assert.False(client.Conflict(Taken, Host, _lab.Now));
        client.Acquire(_lab.Now, null);
        _lab.RunUntil(() => client.State == DhcpClientState.Probing, _lab.Now + TimeSpan.FromSeconds(1));
        Assert.False(client.Conflict(IPv4Address.Parse("10.77.0.101"), Host, _lab.Now));
        _lab.Run(TimeSpan.FromSeconds(1));
        Assert.False(client.Conflict(Taken, Host, _lab.Now));
        Assert.Equal(DhcpClientState.Bound, client.State);
    }
}
