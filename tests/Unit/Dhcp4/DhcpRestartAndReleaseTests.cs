using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>The two ends of a lease's life in one process: taken up after a restart, given back.</summary>
public sealed class DhcpRestartAndReleaseTests
{
    private readonly DhcpLab _lab = new(new FakeDhcpServer());

    [Fact]
    public void Resume_verifies_the_lease_and_counts_it_anew()
    {
        var client = Resumed(TimeSpan.FromMinutes(2));
        Assert.Equal((DhcpClientState.Rebooting, false), (client.State, client.Lease!.Verified));
        _lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(["renewed 10.77.0.100"], _lab.Events);
        Assert.True(client.Lease!.Verified);
        Assert.Equal(_lab.Sent[0].At + TimeSpan.FromSeconds(600), client.Lease.ExpiresAt);
    }

    [Fact]
    public void Silence_after_a_restart_repeats_after_1_2_4_8_seconds_and_keeps_the_lease_unverified()
    {
        _lab.Servers[0].IsSilent = true;
        var client = Resumed(TimeSpan.FromMinutes(1));
        var expiry = client.Lease!.ExpiresAt;
        _lab.Run(TimeSpan.FromSeconds(20));
        Assert.Equal(4, _lab.Sent.Count);
        double[] pauses = [1, 2, 4];
        for (int i = 0; i < pauses.Length; i++)
            Assert.InRange((_lab.Sent[i + 1].At - _lab.Sent[i].At).TotalSeconds, pauses[i] * 0.9, pauses[i] * 1.1);
        Assert.Single(_lab.Sent.Select(sent => sent.Message.TransactionId).Distinct());
        Assert.Equal((DhcpClientState.Bound, false, expiry), (client.State, client.Lease!.Verified, client.Lease.ExpiresAt));
        Assert.Empty(_lab.Events);

        _lab.Servers[0].IsSilent = false;
        _lab.Run(TimeSpan.FromSeconds(61));
        Assert.True(client.Lease.Verified);
        Assert.Equal(["renewed 10.77.0.100"], _lab.Events);
    }

    [Fact]
    public void An_unverified_lease_is_asked_for_again_later_and_later_until_somebody_answers()
    {
        _lab.Servers[0].IsSilent = true;
        _lab.Servers[0].LeaseSeconds = 86_400;
        var client = _lab.NewClient();
        client.Resume(Leases.Of("10.77.0.100", _lab.Now, seconds: 86_400), _lab.Now);
        _lab.Run(TimeSpan.FromHours(1));
        var rounds = _lab.Sent.GroupBy(sent => sent.Message.TransactionId).Select(round => (round.First().At, Count: round.Count())).ToList();
        // The last may not be complete.
        Assert.Equal([4, 2, 2, 2, 2], rounds.Take(5).Select(round => round.Count));
        Assert.InRange(rounds.Count, 8, 11);
        double[] pauses = [15 + 60, 3 + 120, 3 + 240, 3 + 480, 3 + 480];
        for (int i = 0; i < pauses.Length; i++)
            Assert.InRange((rounds[i + 1].At - rounds[i].At).TotalSeconds, pauses[i] * 0.88, pauses[i] * 1.02);
        Assert.All(_lab.Sent, sent => Assert.False(sent.Message.Options.Contains(DhcpOptionCode.ServerId)));
        Assert.Equal("10.77.0.100", client.Lease!.Address.ToString());
        Assert.Empty(_lab.Events);

        _lab.Servers[0].IsSilent = false;
        _lab.Run(TimeSpan.FromMinutes(8.1));
        Assert.True(client.Lease.Verified);
        Assert.Equal(["renewed 10.77.0.100"], _lab.Events);
        _lab.Sent.Clear();
        _lab.Run(TimeSpan.FromHours(11));
        Assert.Empty(_lab.Sent);
    }

    [Theory]
    [InlineData(13)] // after T1
    [InlineData(22)] // after T2
    public void A_long_lease_past_its_renewal_time_is_verified_minutes_after_its_server_came_back(int age)
    {
        _lab.Servers[0].IsSilent = true;
        var client = _lab.NewClient();
        client.Resume(Leases.Of("10.77.0.100", _lab.Now - TimeSpan.FromHours(age), seconds: 86_400), _lab.Now);
        _lab.Run(TimeSpan.FromMinutes(30));
        Assert.InRange(_lab.Sent.Count, 6, 20);
        _lab.Servers[0].IsSilent = false;
        _lab.Run(TimeSpan.FromMinutes(8.1));
        Assert.True(client.Lease!.Verified);
    }

    [Fact]
    public void A_lease_without_end_is_verified_minutes_after_its_server_came_back()
    {
        _lab.Servers[0].IsSilent = true;
        var client = _lab.NewClient();
        client.Resume(Leases.Of("10.77.0.100", _lab.Now, seconds: DhcpLease.Infinite), _lab.Now);
        _lab.Run(TimeSpan.FromMinutes(30));
        _lab.Servers[0].IsSilent = false;
        _lab.Run(TimeSpan.FromMinutes(8.1));
        Assert.True(client.Lease!.Verified);
    }

    [Fact]
    public void When_the_link_is_back_a_lease_is_verified_and_any_server_may_answer()
    {
        var client = _lab.NewBoundClient();
        _lab.Servers[0].IsSilent = true;
        client.Hurry(_lab.Now);
        _lab.Run(TimeSpan.FromSeconds(20));
        Assert.Equal(4, _lab.Sent.Count);
        Assert.Equal((DhcpClientState.Bound, false), (client.State, client.Lease!.Verified));
        _lab.Servers[0].IsSilent = false;
        _lab.Run(TimeSpan.FromSeconds(61));
        Assert.True(client.Lease.Verified);
        Assert.Equal(["renewed 10.77.0.100"], _lab.Events);
    }

    [Fact]
    public void A_lease_that_expired_while_we_were_down_is_lost_and_asked_for_again()
    {
        var client = Resumed(TimeSpan.FromMinutes(11));
        Assert.Null(client.Lease);
        _lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(["lost 10.77.0.100 Expired", "recovered 10.77.0.100"], _lab.Events);
        Assert.True(_lab.Sent[0].Message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var wanted));
        Assert.Equal("10.77.0.100", wanted.ToString());
    }

    [Fact]
    public void A_lease_that_expires_unanswered_during_verification_is_lost_then()
    {
        _lab.Servers[0].IsSilent = true;
        var client = Resumed(TimeSpan.FromSeconds(595));
        var expiry = client.Lease!.ExpiresAt;
        _lab.RunUntil(() => client.Lease is null, _lab.Now + TimeSpan.FromMinutes(1));
        Assert.Equal(expiry, _lab.Now);
        Assert.Equal(DhcpClientState.Selecting, client.State);
    }

    [Fact]
    public void A_lease_about_to_end_is_verified_in_a_faster_rhythm()
    {
        _lab.Servers[0].IsSilent = true;
        var client = _lab.NewClient();
        client.Resume(Leases.Of("10.77.0.100", _lab.Now - TimeSpan.FromSeconds(6), seconds: 10), _lab.Now);
        _lab.RunUntil(() => client.Lease is null, _lab.Now + TimeSpan.FromMinutes(1));
        Assert.InRange(_lab.SentCount(DhcpMessageType.Request), 5, 9);
    }

    [Fact]
    public void A_nak_of_the_own_server_after_a_restart_is_acted_on()
    {
        _lab.Servers[0].Leases[MacAddress.Parse("02:00:00:00:00:99")] = IPv4Address.Parse("10.77.0.100");
        Resumed(TimeSpan.FromMinutes(1));
        _lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(["nak 10.77.0.1", "suspect 10.77.0.100", "lost 10.77.0.100 Refused", "changed 10.77.0.100 10.77.0.101"], _lab.Events);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_lease_without_a_known_server_heeds_any_nak_and_one_without_identifier_only_after_the_window(bool withIdentifier)
    {
        _lab.Servers[0].Script = (request, _) =>
        {
            if (request.Type != DhcpMessageType.Request || request.Options.Contains(DhcpOptionCode.ServerId))
                return null;
            var nak = new DhcpMessage { IsReply = true, Type = DhcpMessageType.Nak, TransactionId = request.TransactionId, HardwareAddress = request.HardwareAddress };
            if (withIdentifier)
                nak.Options.SetAddress(DhcpOptionCode.ServerId, IPv4Address.Parse("10.77.0.1"));
            return [nak];
        };
        var client = _lab.NewClient();
        client.Resume(Leases.Of("10.77.0.100", _lab.Now, server: "0.0.0.0"), _lab.Now);
        _lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(withIdentifier ? DhcpClientState.Bound : DhcpClientState.Rebooting, client.State);
        _lab.Run(TimeSpan.FromSeconds(20));
        Assert.Equal("recovered 10.77.0.100", _lab.Events[^1]);
    }

    [Fact]
    public void A_nak_without_identifier_is_dropped_when_the_server_is_known()
    {
        _lab.Servers[0].IsSilent = true;
        var client = Resumed(TimeSpan.FromMinutes(1));
        var request = _lab.Sent[0].Message;
        _lab.Inject(new DhcpMessage { IsReply = true, Type = DhcpMessageType.Nak, TransactionId = request.TransactionId, HardwareAddress = request.HardwareAddress });
        _lab.Run(TimeSpan.FromSeconds(30));
        Assert.Equal(1, _lab.DropCount(DhcpDropReason.NoServerId));
        Assert.Equal("10.77.0.100", client.Lease!.Address.ToString());
    }

    [Fact]
    public void Release_sends_one_copy_to_the_server_and_one_a_second_later_to_all()
    {
        var client = _lab.NewBoundClient();
        var lease = client.Lease!;
        var start = _lab.Now;
        client.Release(start, "service deleted");
        Assert.Null(client.Lease);
        Assert.Equal(DhcpClientState.Releasing, client.State);
        client.Release(start, "again");
        _lab.Run(TimeSpan.FromSeconds(10));

        Assert.Equal(2, _lab.Sent.Count);
        Assert.Equal(start + TimeSpan.FromSeconds(2), _lab.Sent[0].At);
        Assert.Equal(DhcpDestination.Unicast(lease.Address, lease.ServerId, lease.ServerMac), _lab.Sent[0].Destination);
        Assert.Equal(start + TimeSpan.FromSeconds(3), _lab.Sent[1].At);
        Assert.Equal(DhcpDestination.Broadcast, _lab.Sent[1].Destination);
        Assert.Equal(["released 10.77.0.100"], _lab.Events);
        Assert.Empty(_lab.Servers[0].Leases);
        Assert.Equal((DhcpClientState.Idle, null, 0), (client.State, client.NextDeadline, _lab.Ids.Count));
    }

    [Fact]
    public void Release_of_a_lease_from_before_a_restart_needs_no_verification()
    {
        var client = _lab.NewClient();
        _lab.Servers[0].Leases[client.Identity.ChAddr] = IPv4Address.Parse("10.77.0.100");
        client.Release(Leases.Of("10.77.0.100", _lab.Now), _lab.Now, "service deleted");
        _lab.Run(TimeSpan.FromSeconds(5));
        Assert.All(_lab.Sent, sent => Assert.Equal(DhcpMessageType.Release, sent.Message.Type));
        Assert.Equal(["released 10.77.0.100"], _lab.Events);
        Assert.Empty(_lab.Servers[0].Leases);
    }

    [Fact]
    public void Release_with_an_unknown_next_hop_goes_by_broadcast_only()
    {
        var client = _lab.NewClient();
        client.Release(Leases.Of("10.77.0.100", _lab.Now) with { ServerMac = MacAddress.Zero }, _lab.Now, "");
        _lab.Run(TimeSpan.FromSeconds(5));
        Assert.All(_lab.Sent, sent => Assert.True(sent.Destination.IsBroadcast));
        Assert.Equal(2, _lab.Sent.Count);
    }

    [Fact]
    public void Release_while_the_request_is_on_its_way_gives_back_what_may_have_been_granted()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.RunUntil(() => client.State == DhcpClientState.Requesting, lab.Now + TimeSpan.FromSeconds(1));
        client.Release(lab.Now, "service deleted");
        lab.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(2, lab.SentCount(DhcpMessageType.Release));
        Assert.Empty(lab.Servers[0].Leases);
        Assert.Equal(["released 10.77.0.100"], lab.Events);
    }

    [Fact]
    public void Release_without_a_lease_is_done_at_once()
    {
        _lab.Servers[0].IsSilent = true;
        var client = _lab.NewClient();
        client.Acquire(_lab.Now, null);
        client.Release(_lab.Now, "service deleted");
        Assert.Equal(["released -"], _lab.Events);
        Assert.Equal((DhcpClientState.Idle, null, 0), (client.State, client.NextDeadline, _lab.Ids.Count));
    }

    [Fact]
    public void A_released_client_can_acquire_again()
    {
        var client = _lab.NewBoundClient();
        client.Release(_lab.Now, "");
        _lab.Run(TimeSpan.FromSeconds(5));
        client.Acquire(_lab.Now, null);
        _lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(["released 10.77.0.100", "bound 10.77.0.100"], _lab.Events);
    }

    private DhcpClient Resumed(TimeSpan age)
    {
        var client = _lab.NewClient();
        client.Resume(Leases.Of("10.77.0.100", _lab.Now - age), _lab.Now);
        return client;
    }
}
