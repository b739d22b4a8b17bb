using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>Keeping a lease: T1, T2, expiry, another address.</summary>
public sealed partial class DhcpRenewalTests
{
    private static readonly FakeDhcpServer Foreign = new() { Id = IPv4Address.Parse("10.77.0.66"), Mac = MacAddress.Parse("02:00:00:00:00:66") };

    [Theory]
    [InlineData(null, null, 300, 525)]
    [InlineData(100u, 200u, 100, 200)]
    [InlineData(400u, null, 400, 525)]
    [InlineData(null, 400u, 300, 400)]
    [InlineData(200u, 100u, 300, 525)]
    [InlineData(200u, 200u, 300, 525)]
    [InlineData(550u, null, 300, 525)]
    [InlineData(null, 200u, 300, 525)]
    [InlineData(100u, 600u, 100, 525)]
    [InlineData(100u, 700u, 100, 525)]
    [InlineData(700u, 500u, 300, 500)]
    [InlineData(0u, 500u, 300, 500)]
    [InlineData(0u, 0u, 300, 525)]
    public void Case11_T1_and_T2_count_only_in_order_and_within_the_lease(uint? option58, uint? option59, double t1, double t2)
    {
        var options = new DhcpOptions();
        if (option58 is { } first)
            options.SetUInt32(DhcpOptionCode.RenewalTime, first);
        if (option59 is { } second)
            options.SetUInt32(DhcpOptionCode.RebindingTime, second);
        Assert.Equal((TimeSpan.FromSeconds(t1), TimeSpan.FromSeconds(t2)), DhcpLeaseTimes.Renewal(options, 600, fuzz: 0));
        var (early1, early2) = DhcpLeaseTimes.Renewal(options, 600, fuzz: 0.999999);
        Assert.InRange(early1.TotalSeconds, t1 * 0.95, t1);
        Assert.InRange(early2.TotalSeconds, t2 - (t1 * 0.05), t2);
        Assert.True(early1 < early2);
    }

    [Fact]
    public void Case11_fuzz_is_never_more_than_30_seconds()
    {
        var (t1, t2) = DhcpLeaseTimes.Renewal(new DhcpOptions(), 864000, fuzz: 0.999999);
        Assert.InRange(t1.TotalSeconds, 432000 - 30, 432000);
        Assert.InRange(t2.TotalSeconds, 756000 - 30, 756000);
    }

    [Fact]
    [Trait("Fault", "A3")]
    public void A_lease_is_renewed_at_T1_and_counts_from_the_renewal()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        var t1 = client.Lease!.T1!.Value;
        Assert.Equal(t1, client.NextDeadline);
        lab.Run(TimeSpan.FromSeconds(301));
        Assert.Equal(t1, Assert.Single(lab.Sent).At);
        Assert.Equal(["renewed 10.77.0.100"], lab.Events);
        Assert.Equal(t1 + TimeSpan.FromSeconds(600), client.Lease!.ExpiresAt);
        Assert.Equal(0, client.UnansweredRenewals);
    }

    [Fact]
    public void Case12_a_lease_without_end_has_no_timers_but_is_checked_every_24_hours()
    {
        var lab = new DhcpLab(new FakeDhcpServer { LeaseSeconds = uint.MaxValue });
        var client = lab.NewBoundClient();
        var lease = client.Lease!;
        Assert.Equal((null, null, null, DhcpLease.Infinite), (lease.T1, lease.T2, lease.ExpiresAt, lease.LeaseSeconds));
        lab.Run(TimeSpan.FromHours(23.9));
        Assert.Empty(lab.Sent);
        lab.Run(TimeSpan.FromHours(0.2));
        Assert.Single(lab.Sent);
        Assert.Equal(["renewed 10.77.0.100"], lab.Events);

        lab.Servers[0].IsSilent = true;
        lab.Run(TimeSpan.FromHours(30));
        Assert.Equal(DhcpClientState.Bound, client.State);
        Assert.Equal(1 + 4, lab.Sent.Count);
        lab.Servers[0].IsSilent = false;
        lab.Run(TimeSpan.FromHours(24));
        Assert.Equal(0, client.UnansweredRenewals);
        Assert.DoesNotContain(lab.Events, entry => entry.StartsWith("lost", StringComparison.Ordinal));
    }

    [Fact]
    public void Case13_a_lease_of_ten_seconds_is_kept_for_an_hour_with_a_renewal_every_six_seconds()
    {
        var lab = new DhcpLab(new FakeDhcpServer { LeaseSeconds = 10 }) { Loss = 0.02 };
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromHours(1));
        Assert.Equal(DhcpClientState.Bound, client.State);
        Assert.DoesNotContain(lab.Events, entry => entry.StartsWith("lost", StringComparison.Ordinal));
        Assert.InRange(lab.Events.Count(entry => entry.StartsWith("renewed", StringComparison.Ordinal)), 600, 1000);
        Assert.True(lab.Sent.Count < 2 * 3600);
    }

    [Fact]
    public void Case15_a_server_that_is_back_before_expiry_loses_nothing()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        lab.Servers[0].IsSilent = true;
        lab.Run(TimeSpan.FromSeconds(580));
        Assert.Equal(DhcpClientState.Rebinding, client.State);
        Assert.True(client.UnansweredRenewals >= 3);
        lab.Servers[0].IsSilent = false;
        lab.Run(TimeSpan.FromSeconds(60));
        Assert.Equal(DhcpClientState.Bound, client.State);
        Assert.Equal(["renewed 10.77.0.100"], lab.Events);
    }

    [Fact]
    [Trait("Fault", "A8")]
    public void Case16_a_server_dead_for_ever_means_renewing_at_T1_rebinding_at_T2_lost_at_expiry_and_retries()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        var lease = client.Lease!;
        lab.Servers[0].IsSilent = true;
        lab.Run(TimeSpan.FromMinutes(30));
        Assert.Equal(lease.T1, lab.Timeline.Single(entry => entry.Event == "Bound>Renewing").At);
        Assert.Equal(lease.T2, lab.Timeline.Single(entry => entry.Event == "Renewing>Rebinding").At);
        Assert.Equal(lease.ExpiresAt, lab.Timeline.Single(entry => entry.Event == "lost 10.77.0.100 Expired").At);
        Assert.Null(client.Lease);
        var discovers = lab.Sent.Where(sent => sent.Message.Type == DhcpMessageType.Discover).ToList();
        Assert.Equal(lease.ExpiresAt, discovers[0].At);
        Assert.All(discovers, sent => Assert.Equal("10.77.0.100", RequestedAddress(sent.Message)));
        Assert.All(discovers.Zip(discovers.Skip(1)), pair => Assert.InRange((pair.Second.At - pair.First.At).TotalSeconds, 0, 65));

        lab.Servers[0].IsSilent = false;
        lab.Run(TimeSpan.FromSeconds(66));
        Assert.Equal(["lost 10.77.0.100 Expired", "recovered 10.77.0.100"], lab.Events);
    }

    [Fact]
    public void Case16_rebinding_alternates_forms_and_the_last_twentieth_tries_the_selecting_form()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        var lease = client.Lease!;
        lab.Servers[0].IsSilent = true;
        lab.RunUntil(() => client.Lease is null, lab.Now + TimeSpan.FromMinutes(11));
        string Form(SentMessage sent) => !sent.Message.ClientAddress.IsAny ? "ciaddr" : sent.Message.Options.Contains(DhcpOptionCode.ServerId) ? "selecting" : "reboot";
        var requests = lab.Sent.Where(sent => sent.Message.Type == DhcpMessageType.Request).ToList();
        Assert.All(requests, sent => Assert.True(sent.Destination.IsBroadcast));
        Assert.All(requests.Where(sent => sent.At < lease.T2), sent => Assert.Equal("reboot", Form(sent)));
        var rebinds = requests.Where(sent => sent.At >= lease.T2).ToList();
        Assert.Equal(["reboot", "ciaddr", "selecting"], rebinds.Select(Form).Distinct());
        Assert.All(rebinds, sent => Assert.Equal(sent.At >= lease.ExpiresAt - TimeSpan.FromSeconds(30), Form(sent) == "selecting"));
    }

    [Theory]
    [InlineData(10u)]
    [InlineData(60u)]
    [InlineData(600u)]
    [InlineData(86400u)]
    public void Renewals_are_paced_by_half_of_what_is_left_with_a_floor(uint seconds)
    {
        var lab = new DhcpLab(new FakeDhcpServer { LeaseSeconds = seconds });
        var client = lab.NewBoundClient();
        var lease = client.Lease!;
        lab.Servers[0].IsSilent = true;
        lab.RunUntil(() => client.Lease is null, lab.Now + TimeSpan.FromSeconds(seconds + 10));
        var requests = lab.Sent.Where(sent => sent.Message.Type == DhcpMessageType.Request).ToList();
        Assert.InRange(requests.Count, 4, 40);
        Assert.All(requests.Zip(requests.Skip(1)), pair => Assert.True(pair.Second.At - pair.First.At >= TimeSpan.FromSeconds(Math.Min(0.4, seconds / 100.0))));
        Assert.Contains(requests, sent => sent.At >= lease.ExpiresAt - TimeSpan.FromSeconds(seconds * 0.05));
    }

    [Fact]
    public void In_renewing_only_the_leases_server_extends_and_in_rebinding_any_server_does()
    {
        var foreign = new FakeDhcpServer { Id = Foreign.Id, Mac = Foreign.Mac };
        foreign.Script = (request, _) => request.Type == DhcpMessageType.Request ? [foreign.Reply(request, DhcpMessageType.Ack, IPv4Address.Parse("10.77.0.100"))] : [];
        var own = new FakeDhcpServer();
        var lab = new DhcpLab(own, foreign);
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(1));
        own.IsSilent = true;
        lab.RunUntil(() => client.State == DhcpClientState.Rebinding, lab.Now + TimeSpan.FromMinutes(10));
        Assert.True(lab.DropCount(DhcpDropReason.OtherServer) > 0);
        Assert.Equal(own.Id, client.Lease!.ServerId);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal((DhcpClientState.Bound, foreign.Id), (client.State, client.Lease!.ServerId));
        Assert.Equal(foreign.Mac, client.Lease.ServerMac);
    }

    [Fact]
    public void Case31_after_a_suspend_the_latest_timer_counts()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        client.Tick(client.Lease!.T2!.Value + TimeSpan.FromSeconds(1));
        Assert.Equal(DhcpClientState.Rebinding, client.State);
        Assert.DoesNotContain(lab.Timeline, entry => entry.Event == "Bound>Renewing");

        var expired = new DhcpLab(new FakeDhcpServer());
        client = expired.NewBoundClient();
        client.Tick(expired.Now + TimeSpan.FromHours(2));
        Assert.Equal(["lost 10.77.0.100 Expired"], expired.Events);
    }

    [Fact]
    public void An_ack_after_expiry_recovers_nothing_by_itself()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        lab.Servers[0].IsSilent = true;
        lab.RunUntil(() => client.State == DhcpClientState.Rebinding, lab.Now + TimeSpan.FromMinutes(10));
        var late = lab.Servers[0].Reply(lab.Sent[^1].Message, DhcpMessageType.Ack, client.Lease!.Address);
        client.Receive(new DhcpReply(late, lab.Servers[0].Mac, lab.Servers[0].Id), client.Lease.ExpiresAt!.Value);
        Assert.Null(client.Lease);
        Assert.Equal(["lost 10.77.0.100 Expired"], lab.Events);
        Assert.Equal(1, lab.DropCount(DhcpDropReason.UnknownTransaction));
    }

    [Fact]
    public void Case43_the_acks_lease_time_is_believed_when_it_is_only_what_remains()
    {
        var lab = new DhcpLab(new FakeDhcpServer { T1 = 60 });
        var client = lab.NewBoundClient();
        lab.Servers[0].LeaseSeconds = 590;
        lab.Run(TimeSpan.FromSeconds(61));
        Assert.Equal(lab.Sent[0].At, client.Lease!.ObtainedAt);
        Assert.Equal(lab.Sent[0].At + TimeSpan.FromSeconds(590), client.Lease.ExpiresAt);
    }

    [Fact]
    [Trait("Fault", "A4")]
    public void Case44_a_renewal_that_brings_another_address_is_a_change()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        lab.Servers[0].Script = AnswerWithAnotherAddress;
        lab.Run(TimeSpan.FromSeconds(310));
        Assert.Equal(["changed 10.77.0.100 10.77.0.150"], lab.Events);
        Assert.Equal("10.77.0.150", client.Lease!.Address.ToString());
    }

    [Fact]
    public void Case44_under_refuse_the_other_address_is_released_and_the_old_one_lost()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient(DhcpClientSettings.Default with { AddressChange = DhcpAddressChange.Refuse });
        lab.Servers[0].Script = AnswerWithAnotherAddress;
        lab.RunUntil(() => client.IsSuspect, lab.Now + TimeSpan.FromSeconds(310));
        lab.Servers[0].IsSilent = true;
        lab.Run(TimeSpan.FromSeconds(10));
        var releases = lab.Sent.Where(sent => sent.Message.Type == DhcpMessageType.Release).ToList();
        Assert.Equal(2, releases.Count);
        Assert.All(releases, sent => Assert.Equal("10.77.0.150", sent.Message.ClientAddress.ToString()));
        Assert.Equal(["suspect 10.77.0.100", "lost 10.77.0.100 Refused"], lab.Events);
    }

    [Fact]
    public void A_renewal_without_an_address_leaves_it_unchanged()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        lab.Servers[0].Script = (_, answers) =>
        {
            foreach (var answer in answers)
                answer.YourAddress = IPv4Address.Any;
            return answers;
        };
        lab.Run(TimeSpan.FromSeconds(310));
        Assert.Equal(["renewed 10.77.0.100"], lab.Events);
    }

    private static IReadOnlyList<DhcpMessage>? AnswerWithAnotherAddress(DhcpMessage request, IReadOnlyList<DhcpMessage> answers)
    {
        foreach (var answer in answers.Where(answer => answer.Type == DhcpMessageType.Ack))
            answer.YourAddress = IPv4Address.Parse("10.77.0.150");
        return answers;
    }

    private static string RequestedAddress(DhcpMessage message) =>
        message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var address) ? address.ToString() : "-";
}
