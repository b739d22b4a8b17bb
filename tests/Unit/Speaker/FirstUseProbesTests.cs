using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Tests.Unit.Kubernetes;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Looking for addresses before their first use.</summary>
public sealed class FirstUseProbesTests : IAsyncDisposable
{
    private static readonly IPv4Address Ip = IPv4Address.Parse("10.0.0.1");
    private static readonly MacAddress Stranger = MacAddress.Parse("02:00:00:00:00:66");
    private readonly SpeakerParts _parts = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<MacAddress?> _found = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _running;

    public FirstUseProbesTests()
    {
        _parts.Announcer.Probed = (_, mac) => _found.TrySetResult(mac);
        _running = _parts.Announcer.RunAsync(_stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    [Fact]
    public async Task Silence_where_no_question_could_be_sent_does_not_make_an_address_free()
    {
        _parts.Announcer.Probe(Ip, null, TimeSpan.Zero);
        await PassAsync(TimeSpan.FromSeconds(10));
        Assert.False(_found.Task.IsCompleted);

        // Up, but without a cable the kernel throws away what is sent.
        _parts.Links.Set(Eth("eth0", 2) with { HasCarrier = false });
        await Eventually.TrueAsync(() => _parts.Announcer.InterfaceCount == 1);
        await PassAsync(TimeSpan.FromSeconds(10));
        Assert.False(_found.Task.IsCompleted);

        _parts.Links.Set(Eth("eth0", 2));
        var asked = _parts.Channels["eth0"].NextAsync();
        await Eventually.TrueAsync(() => asked.IsCompleted, Tick);
        Assert.True(ArpPacket.TryParse(await asked, out _, out var question));
        Assert.Equal(Ip, question.TargetAddress);
        await Eventually.TrueAsync(() => _found.Task.IsCompleted, Tick);
        Assert.Null(await _found.Task);
    }

    [Fact]
    public async Task Who_has_the_address_on_a_LAN_where_it_is_not_to_be_announced_is_not_heard()
    {
        _parts.Links.Set(Eth("eth0", 2), Eth("eth1", 3));
        await Eventually.TrueAsync(() => _parts.Announcer.InterfaceCount == 2);
        _parts.Announcer.Probe(Ip, new HashSet<string> { "eth1" }, TimeSpan.Zero);
        await _parts.Channels["eth1"].NextAsync();

        Assert.Equal((Ip, "eth1"), (Assert.Single(_parts.Context.Probes.Now).Address, _parts.Context.Probes.Now.Single().Interfaces!.Single()));
        var claim = new byte[ArpPacket.FrameLength];
        ArpRules.WriteGratuitous(claim, ArpOperation.Reply, Ip, Stranger);
        _parts.Channels["eth0"].Deliver(claim);
        await Eventually.TrueAsync(() => _parts.Channels["eth0"].Receives == 2);
        await Eventually.TrueAsync(() => _found.Task.IsCompleted, Tick);
        Assert.Null(await _found.Task);
    }

    [Fact]
    public async Task While_an_ipv6_address_is_looked_for_its_group_is_joined()
    {
        var six = IPv6Address.Parse("fd20::1:2:3");
        _parts.Links.Set(Eth("eth0", 2));
        await Eventually.TrueAsync(() => _parts.Announcer.InterfaceCount == 1);
        _parts.Announcer.Probe(six, null, TimeSpan.Zero);
        Assert.True(NeighborMessage.TryParse(await _parts.Ndp["eth0"].NextAsync(), out _));
        Assert.Equal([six], _parts.Groups["eth0"].Addresses);
    }

    [Fact]
    public void A_search_replaces_the_one_before_it()
    {
        var schedule = new ProbeSchedule();
        // Refused, to be looked for again; meanwhile its Service goes, and another one gets the address.
        schedule.Add(Ip, null, TimeSpan.FromMilliseconds(100));
        schedule.Add(Ip, new HashSet<string> { "eth1" }, TimeSpan.FromMilliseconds(400));
        var steps = new List<(int At, int Left, bool HasAsked)>();
        for (int now = 0; now < 3000; now += 50)
        {
            while (schedule.TryTake(TimeSpan.FromMilliseconds(now), out var step))
            {
                Assert.NotNull(step.Interfaces);
                steps.Add((now, step.Left, step.HasAsked));
                if (step.Left == 2)
                    schedule.Asked(Ip);
            }
        }
        Assert.Equal([(400, 3, false), (600, 2, false), (800, 1, true), (1100, 0, true)], steps);
        Assert.Null(schedule.NextDue);
    }

    private static InterfaceState Eth(string name, int index) =>
        new(new LinkInfo(index, name, new MacAddress(0x020000000000u + (ulong)index)), true, true, true, false) { HasCarrier = true };

    private void Tick() => _parts.Time.Advance(TimeSpan.FromMilliseconds(50));

    /// <summary>Lets time pass in steps, each of which the announcer sees.</summary>
    private async Task PassAsync(TimeSpan time)
    {
        var end = _parts.Time.Elapsed + time;
        await Eventually.TrueAsync(() => _parts.Time.Elapsed >= end, Tick);
    }
}
