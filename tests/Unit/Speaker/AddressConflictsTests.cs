using DynamicLb.Contracts;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Addresses that other machines have.</summary>
public sealed class AddressConflictsTests
{
    private const string Config = "address-pools:\n- {name: lab, protocol: layer2, addresses: [10.0.0.0/24, \"fd00::/64\"]}\n";
    private static readonly NamespacedName Web = new("demo", "web");
    private static readonly HostAddress Ip = HostAddress.Parse("10.0.0.1");
    private static readonly MacAddress Stranger = MacAddress.Parse("02:00:00:00:00:66");

    [Fact]
    public void A_new_address_is_looked_for_once_and_announced_when_nobody_has_it()
    {
        var parts = Started(ConflictPolicy.Refuse);
        Add(parts);
        Assert.Empty(Announced(parts));
        Assert.Equal(SilenceReason.Probing, parts.Reconciler.DecisionOf(Web)!.Reason);

        parts.Announcer.Probed!(Ip, null);
        Assert.Equal([Ip], Announced(parts));
        Assert.Equal(["web nodeAssigned", "web announceFailed"], parts.Events.Told);
        // It stays known as free while it is in use.
        parts.Membership.Set("node-b", "node-a");
        Assert.Equal([Ip], Announced(parts));
    }

    [Fact]
    public void What_was_there_at_the_start_and_what_another_node_announced_is_taken_over_without_looking()
    {
        var parts = new SpeakerParts(ConflictPolicy.Refuse);
        Add(parts);
        parts.Configure(Config);
        Assert.Equal([Ip], Announced(parts));

        // 10.0.0.2: b, c, a. Without b it is c's; b comes back.
        parts.Membership.Set("node-a", "node-c");
        Announced(parts);
        Add(parts, "dns", "10.0.0.2");
        Assert.Empty(Announced(parts));
        parts.Membership.Set("node-a", "node-b", "node-c");
        Assert.Equal(2, Announced(parts).Count);
    }

    [Fact]
    public void An_address_that_another_machine_has_is_refused_told_and_announced_when_it_is_free()
    {
        var parts = Started(ConflictPolicy.Refuse);
        Add(parts);
        Announced(parts);
        parts.Announcer.Probed!(Ip, Stranger);
        Assert.Empty(Announced(parts));
        Assert.Equal(SilenceReason.AddressConflict, parts.Reconciler.DecisionOf(Web)!.Reason);
        Assert.Equal(Stranger, parts.Reconciler.ConflictOf(Ip));
        Assert.Equal(["web addressConflict"], parts.Events.Told);
        Assert.Equal((Web, $"10.0.0.1 is in use by {Stranger}, as node \"node-b\" sees it"), Assert.Single(parts.Conditions));

        parts.Announcer.Probed!(Ip, null);
        Assert.Equal([Ip], Announced(parts));
        Assert.Null(parts.Reconciler.ConflictOf(Ip));
        Assert.Equal((Web, null), parts.Conditions[^1]);
    }

    [Fact]
    public void Defended_is_what_another_machine_has_if_so_configured()
    {
        var parts = Started(ConflictPolicy.Defend);
        Add(parts);
        Announced(parts);
        parts.Announcer.Probed!(Ip, Stranger);

        Assert.Equal([Ip], Announced(parts));
        Assert.Contains("web addressConflict", parts.Events.Told);
        Assert.Single(parts.Conditions);
    }

    [Fact]
    public void A_claim_that_is_repeated_is_a_conflict_and_one_of_a_moment_a_change_of_hands()
    {
        var parts = new SpeakerParts(ConflictPolicy.Refuse);
        Add(parts);
        parts.Configure(Config);
        Announced(parts);
        parts.Claim(Ip, Stranger);
        parts.Claim(Ip, Stranger);
        Announced(parts);
        Assert.Empty(parts.Conditions);

        parts.Time.Advance(AddressConflicts.ClaimsApart);
        parts.Claim(Ip, Stranger);
        Assert.Equal([Ip], Announced(parts));
        Assert.Equal(Stranger, parts.Reconciler.ConflictOf(Ip));

        parts.Time.Advance(AddressConflicts.ClaimsForget);
        parts.Membership.Set("node-b", "node-a");
        Announced(parts);
        Assert.Null(parts.Reconciler.ConflictOf(Ip));
        Assert.Equal((Web, null), parts.Conditions[^1]);
    }

    [Fact]
    public void What_another_node_only_looks_for_or_refuses_is_looked_for_by_who_takes_over()
    {
        var parts = Started(ConflictPolicy.Refuse);
        parts.KnowsAnnouncers = true;
        parts.Membership.Set("node-a");
        Add(parts);
        Announced(parts);
        parts.Membership.Set("node-a", "node-b");
        Assert.Empty(Announced(parts));
        Assert.Equal(SilenceReason.Probing, parts.Reconciler.DecisionOf(Web)!.Reason);
        parts.Announcer.Probed!(Ip, Stranger);
        Announced(parts);
        Assert.Equal(Stranger, parts.Reconciler.ConflictOf(Ip));

        // Refused, and somebody else's; what he finds out is for him to tell.
        parts.Membership.Set("node-a");
        Announced(parts);
        Assert.Null(parts.Reconciler.ConflictOf(Ip));
        parts.Membership.Set("node-a", "node-b");
        Announced(parts);
        Assert.Equal(SilenceReason.Probing, parts.Reconciler.DecisionOf(Web)!.Reason);
        Assert.Single(parts.Conditions);
    }

    [Fact]
    public void What_another_node_announced_is_taken_over_without_looking_though_it_says_so_no_more()
    {
        var parts = Started(ConflictPolicy.Refuse);
        parts.KnowsAnnouncers = true;
        parts.Membership.Set("node-a");
        Add(parts);
        Announced(parts);
        parts.Announce(Web, "node-a");
        Announced(parts);
        parts.Announce(Web);
        parts.Membership.Set("node-a", "node-b");

        Assert.Equal([Ip], Announced(parts));
    }

    [Fact]
    public void Of_what_was_there_at_the_start_only_what_was_announced_is_taken_over_without_looking()
    {
        var parts = new SpeakerParts(ConflictPolicy.Refuse);
        Add(parts);
        Add(parts, "dns", "10.0.0.2");
        // By ourselves, in a former life, of which nothing is left when we look.
        parts.Announce(Web, SpeakerParts.Me);
        parts.KnowsAnnouncers = true;
        parts.Announce(Web);
        parts.Configure(Config);

        Assert.Equal([Ip], Announced(parts));
        Assert.Equal(SilenceReason.Probing, parts.Reconciler.DecisionOf(new NamespacedName("demo", "dns"))!.Reason);
    }

    [Fact]
    public void Who_is_heard_to_announce_before_the_address_is_known_has_used_it()
    {
        var parts = Started(ConflictPolicy.Refuse);
        parts.KnowsAnnouncers = true;
        parts.Membership.Set("node-a");
        parts.Services.Set(Service("web", "10.0.0.1") with { Status = new() });
        parts.Announce(Web, "node-a");
        Announced(parts);
        Add(parts);
        Announced(parts);
        parts.Membership.Set("node-a", "node-b");

        Assert.Equal([Ip], Announced(parts));
    }

    [Fact]
    public void Our_own_word_for_the_address_before_is_none_for_the_new_one()
    {
        var parts = Started(ConflictPolicy.Refuse);
        parts.KnowsAnnouncers = true;
        Add(parts);
        Announced(parts);
        parts.Announcer.Probed!(Ip, null);
        Assert.Equal([Ip], Announced(parts));
        parts.Services.Set(Service("web", "10.0.0.9"));
        parts.Announce(Web, SpeakerParts.Me);

        Assert.Empty(Announced(parts));
        Assert.Equal(SilenceReason.Probing, parts.Reconciler.DecisionOf(Web)!.Reason);
    }

    [Fact]
    public void A_conflict_is_over_when_the_service_gets_another_address()
    {
        var parts = Refused();
        parts.Services.Set(Service("web", "10.0.0.9"));
        Announced(parts);
        Assert.Null(parts.Reconciler.ConflictOf(Ip));
        parts.Announcer.Probed!(HostAddress.Parse("10.0.0.9"), null);
        Announced(parts);

        Assert.Equal((Web, null), parts.Conditions[^1]);
        Assert.Equal(2, parts.Conditions.Count);
    }

    [Fact]
    public void A_conflict_is_over_when_nobody_is_to_announce_the_service()
    {
        var parts = Refused();
        parts.Slices.Remove(Slice("web"));
        Announced(parts);

        Assert.Null(parts.Reconciler.ConflictOf(Ip));
        Assert.Equal((Web, null), parts.Conditions[^1]);
    }

    [Fact]
    public void Whoever_takes_over_takes_back_the_condition_of_a_conflict_that_is_over()
    {
        var parts = Started(ConflictPolicy.Refuse);
        parts.KnowsAnnouncers = true;
        parts.Slices.Set(Slice("web"));
        var told = new Condition { Type = Conditions.AddressConflict, Status = "True", Message = $"10.0.0.1 is in use by {Stranger}, as node \"node-a\" sees it" };
        parts.Services.Set(Service("web", "10.0.0.1", told));
        Announced(parts);
        // Not known yet.
        Assert.Empty(parts.Conditions);
        parts.Announcer.Probed!(Ip, null);
        Announced(parts);

        Assert.Equal((Web, null), Assert.Single(parts.Conditions));
    }

    [Fact]
    public void Whoever_starts_again_and_sees_the_conflict_that_it_told_tells_nothing_new()
    {
        var parts = Started(ConflictPolicy.Refuse);
        parts.Slices.Set(Slice("web"));
        var told = new Condition { Type = Conditions.AddressConflict, Status = "True", Message = $"10.0.0.1 is in use by {Stranger}, as node \"node-b\" sees it" };
        parts.Services.Set(Service("web", "10.0.0.1", told));
        Announced(parts);
        parts.Announcer.Probed!(Ip, Stranger);
        Announced(parts);

        Assert.Empty(parts.Conditions);
    }

    [Fact]
    public void One_claim_of_a_third_machine_does_not_keep_a_conflict_from_ending()
    {
        var parts = new SpeakerParts(ConflictPolicy.Refuse);
        Add(parts);
        parts.Configure(Config);
        Announced(parts);
        parts.Claim(Ip, Stranger);
        Announced(parts);
        parts.Time.Advance(AddressConflicts.ClaimsApart);
        parts.Claim(Ip, Stranger);
        Announced(parts);
        Assert.Single(parts.Conditions);
        parts.Claim(Ip, MacAddress.Parse("02:00:00:00:00:77"));
        Announced(parts);
        Assert.Equal(Stranger, parts.Reconciler.ConflictOf(Ip));

        parts.Time.Advance(AddressConflicts.ClaimsForget);
        Announced(parts);
        Assert.Null(parts.Reconciler.ConflictOf(Ip));
        Assert.Equal((Web, null), parts.Conditions[^1]);
    }

    [Fact]
    public void What_is_defended_against_a_machine_that_is_never_heard_again_is_a_conflict_no_more()
    {
        var parts = Started(ConflictPolicy.Defend);
        Add(parts);
        Announced(parts);
        parts.Announcer.Probed!(Ip, Stranger);
        Announced(parts);
        Assert.Equal(Stranger, parts.Reconciler.ConflictOf(Ip));
        parts.Time.Advance(AddressConflicts.ClaimsForget);
        Announced(parts);

        Assert.Null(parts.Reconciler.ConflictOf(Ip));
        Assert.Equal((Web, null), parts.Conditions[^1]);
    }

    [Fact]
    public void The_condition_names_all_addresses_that_others_have_and_lasts_as_long_as_one()
    {
        var parts = Started(ConflictPolicy.Refuse);
        var six = HostAddress.Parse("fd00::1");
        parts.Slices.Set(Slice("web"));
        var service = Service("web", "10.0.0.1");
        parts.Services.Set(service with
        {
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "10.0.0.1" }, new LoadBalancerIngress { Ip = "fd00::1" }] } },
        });
        Announced(parts);
        parts.Announcer.Probed!(Ip, Stranger);
        parts.Announcer.Probed!(six, Stranger);
        Announced(parts);
        Assert.Equal($"10.0.0.1 is in use by {Stranger}, fd00::1 is in use by {Stranger}, as node \"node-b\" sees it", Assert.Single(parts.Conditions).Words);

        parts.Announcer.Probed!(six, null);
        Assert.Equal([six], Announced(parts));
        Assert.Equal($"10.0.0.1 is in use by {Stranger}, as node \"node-b\" sees it", parts.Conditions[^1].Words);
        parts.Announcer.Probed!(Ip, null);
        Announced(parts);
        Assert.Equal((Web, null), parts.Conditions[^1]);
    }

    [Fact]
    public async Task A_refused_address_is_looked_for_again_where_it_is_to_be_announced()
    {
        var parts = new SpeakerParts(ConflictPolicy.Refuse);
        parts.Configure(Config, "eth1");
        Announced(parts);
        using var stop = new CancellationTokenSource();
        var running = parts.Announcer.RunAsync(stop.Token);
        parts.Links.Set(
            new InterfaceState(new LinkInfo(2, "eth0", MacAddress.Parse("02:00:00:00:00:02")), true, true, true, false) { HasCarrier = true },
            new InterfaceState(new LinkInfo(3, "eth1", MacAddress.Parse("02:00:00:00:00:03")), true, true, true, false) { HasCarrier = true });
        while (parts.Announcer.InterfaceCount < 2)
            await Task.Yield();
        Add(parts);
        Announced(parts);
        await parts.Channels["eth1"].NextAsync();
        parts.Announcer.Probed!(Ip, Stranger);
        Announced(parts);
        // More than what may be left of the first look.
        while (parts.Channels["eth1"].SentCount < ProbeSchedule.Count)
        {
            parts.Time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, TestContext.Current.CancellationToken);
        }

        Assert.Equal(0, parts.Channels["eth0"].SentCount);
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public void Another_speaker_is_no_other_machine()
    {
        var parts = Started(ConflictPolicy.Refuse);
        parts.Membership.Speakers.Add(Stranger);
        Add(parts);
        Announced(parts);
        parts.Announcer.Probed!(Ip, Stranger);
        Assert.Equal([Ip], Announced(parts));
        for (int i = 0; i < 3; i++)
        {
            parts.Claim(Ip, Stranger);
            parts.Time.Advance(AddressConflicts.ClaimsApart);
            Announced(parts);
        }
        Assert.Empty(parts.Conditions);
    }

    [Fact]
    public void A_service_that_goes_and_comes_back_is_new()
    {
        var parts = Started(ConflictPolicy.Refuse);
        Add(parts);
        Announced(parts);
        parts.Announcer.Probed!(Ip, null);
        Assert.Equal([Ip], Announced(parts));
        parts.Services.Remove(Service("web", "10.0.0.1"));
        Assert.Empty(Announced(parts));
        Add(parts);
        Assert.Empty(Announced(parts));
    }

    [Fact]
    public void An_address_is_asked_for_three_times_within_a_second()
    {
        var schedule = new ProbeSchedule();
        schedule.Add(Ip, null, TimeSpan.Zero);
        var steps = new List<(int At, int Left)>();
        for (int now = 0; now < 2000; now += 50)
        {
            while (schedule.TryTake(TimeSpan.FromMilliseconds(now), out var step))
                steps.Add((now, step.Left));
        }
        Assert.Equal([(0, 3), (200, 2), (400, 1), (700, 0)], steps);
        Assert.Null(schedule.NextDue);
    }

    [Theory]
    [InlineData("10.0.0.1", true)]
    [InlineData("10.0.0.1", false)]
    [InlineData("fd00::1", true)]
    [InlineData("fd00::1", false)]
    public async Task Who_has_the_address_or_looks_for_it_too_is_heard(string text, bool has)
    {
        var address = HostAddress.Parse(text);
        var parts = new SpeakerParts();
        var found = new TaskCompletionSource<MacAddress?>(TaskCreationOptions.RunContinuationsAsynchronously);
        parts.Announcer.Probed = (_, mac) => found.TrySetResult(mac);
        using var stop = new CancellationTokenSource();
        var running = parts.Announcer.RunAsync(stop.Token);
        parts.Links.Set(new InterfaceState(new LinkInfo(2, "eth0", MacAddress.Parse("02:00:00:00:00:02")), true, true, true, false) { HasCarrier = true });
        while (parts.Announcer.InterfaceCount == 0)
            await Task.Yield();

        parts.Announcer.Probe(address, null, TimeSpan.Zero);
        var channel = address.IsIPv4 ? parts.Channels["eth0"] : parts.Ndp["eth0"];
        var question = await channel.NextAsync();
        if (address.IsIPv4)
        {
            Assert.True(ArpPacket.TryParse(question, out _, out var asked));
            Assert.Equal((IPv4Address.Any, address.IPv4), (asked.SenderAddress, asked.TargetAddress));
        }
        else
        {
            Assert.True(NeighborMessage.TryParse(question, out var asked));
            Assert.Equal((IPv6Address.Any, address.IPv6), (asked.Source, asked.Target));
        }
        channel.Deliver(address.IsIPv4 ? ArpOf(address.IPv4, has) : NdpOf(address.IPv6, has));
        // One loop takes frames in order: when the one behind it has been taken, it was heard. Before that no time must pass.
        channel.Deliver(new byte[10]);
        while (channel.HasPending)
            await Task.Yield();
        while (!found.Task.IsCompleted)
        {
            parts.Time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, TestContext.Current.CancellationToken);
        }
        Assert.Equal(Stranger, await found.Task);
        await stop.CancelAsync();
        await running;
    }

    private static byte[] ArpOf(IPv4Address address, bool has)
    {
        var frame = new byte[ArpPacket.FrameLength];
        var packet = has
            ? new ArpPacket(ArpOperation.Reply, Stranger, address, MacAddress.Parse("02:00:00:00:00:02"), IPv4Address.Any)
            : new ArpPacket(ArpOperation.Request, Stranger, IPv4Address.Any, MacAddress.Zero, address);
        packet.Write(frame, Stranger, has ? MacAddress.Parse("02:00:00:00:00:02") : MacAddress.Broadcast);
        return frame;
    }

    private static byte[] NdpOf(IPv6Address address, bool has)
    {
        var frame = new byte[NeighborMessage.AdvertisementLength];
        int length = has ? NeighborMessage.WriteAdvertisement(frame, Stranger, address, null) : NeighborMessage.WriteDetection(frame, Stranger, address);
        return frame[..length];
    }

    private static SpeakerParts Refused()
    {
        var parts = Started(ConflictPolicy.Refuse);
        Add(parts);
        Announced(parts);
        parts.Announcer.Probed!(Ip, Stranger);
        Announced(parts);
        Assert.Single(parts.Conditions);
        return parts;
    }

    private static SpeakerParts Started(ConflictPolicy policy)
    {
        var parts = new SpeakerParts(policy);
        parts.Configure(Config);
        Announced(parts);
        return parts;
    }

    private static void Add(SpeakerParts parts, string name = "web", string ip = "10.0.0.1")
    {
        parts.Slices.Set(Slice(name));
        parts.Services.Set(Service(name, ip));
    }

    private static EndpointSlice Slice(string service) => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = $"{service}-1", Labels = new Dictionary<string, string> { [EndpointSlice.ServiceNameLabel] = service } },
        Endpoints = [new Endpoint { Addresses = ["10.244.0.5"], NodeName = "node-a" }],
    };

    private static Service Service(string name, string ip, params Condition[] conditions) => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = name, Annotations = new Dictionary<string, string> { [Annotations.AllocatedFromPool] = "lab" } },
        Spec = new ServiceSpec { Type = "LoadBalancer" },
        Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = ip }] }, Conditions = conditions },
    };

    private static List<HostAddress> Announced(SpeakerParts parts)
    {
        parts.Reconciler.Work();
        return [.. parts.Table.Snapshot.Keys.Order()];
    }
}
