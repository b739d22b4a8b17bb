using System.Diagnostics.Metrics;
using System.Net;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Networking.Bfd;
using DynamicLb.Networking.Netlink;
using DynamicLb.Speaker.Bfd;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class BfdSessionsTests : IDisposable
{
    private static readonly BfdPath Path = new(IPAddress.Parse("10.0.0.2"));
    private static readonly BfdProfile Fast = new("fast", new BFDProfileSpec { TransmitInterval = 50, ReceiveInterval = 60, DetectMultiplier = 5 });
    private static readonly BfdProfile Slow = new("slow", new BFDProfileSpec { TransmitInterval = 2000, EchoMode = true, EchoInterval = 20, PassiveMode = true, MinimumTtl = 250 });

    private readonly FakeHost _host = new();
    private readonly BfdSessions _sessions;

    public BfdSessionsTests() => _sessions = new BfdSessions(_host, NullLogger<BfdSessions>.Instance);

    public void Dispose() => _sessions.Dispose();

    [Fact]
    public void A_profile_becomes_settings_and_what_it_leaves_open_is_as_in_FRR()
    {
        Assert.Equal(
            new BfdSettings
            {
                TransmitInterval = TimeSpan.FromMilliseconds(2000),
                ReceiveInterval = TimeSpan.FromMilliseconds(300),
                DetectMultiplier = 3,
                EchoInterval = TimeSpan.FromMilliseconds(20),
                UsesEcho = true,
                IsPassive = true,
                MinimumTimeToLive = 250,
            },
            BfdPaths.Settings(Slow.Spec));
        Assert.Equal(new BfdSettings(), BfdPaths.Settings(new BFDProfileSpec()));
    }

    [Theory]
    [InlineData("10.0.0.2", false, true, false)]
    [InlineData("10.9.0.2", true, false, true)]
    [InlineData("10.0.0.2", true, true, true)]
    [InlineData("10.9.0.2", false, false, true)]
    [InlineData("fe80::2%3", true, false, false)]
    public void A_router_is_a_neighbour_unless_it_is_said_to_be_or_is_farther(string address, bool mayBeFar, bool onLink, bool expected)
    {
        var path = BfdPaths.Of(IPAddress.Parse(address), IPAddress.Parse("10.0.0.1"), null, mayBeFar, _ => onLink);
        bool isLinkLocal = address.Contains('%', StringComparison.Ordinal);

        Assert.Equal(expected, path.IsMultiHop);
        Assert.Equal(isLinkLocal ? 3 : 0, path.Interface);
        Assert.Equal(isLinkLocal ? null : IPAddress.Parse("10.0.0.1"), path.Local);
        Assert.False(BfdPaths.Of(IPAddress.Parse("10.9.0.2"), null, "red", false, static _ => false).IsMultiHop);
    }

    [Fact]
    public void Our_own_networks_are_on_a_link_and_others_are_not()
    {
        Assert.False(ConnectedNetworks.Contain(IPAddress.Parse("203.0.113.77")));
        Assert.False(ConnectedNetworks.Contain(IPAddress.Parse("2001:db8:77::1")));
    }

    [Fact]
    public void Two_who_watch_one_path_share_a_session_until_the_last_has_gone()
    {
        var told = new List<string>();
        var one = _sessions.Watch(Path, Fast, change => told.Add($"one {change.After}"));
        var two = _sessions.Watch(new BfdPath(IPAddress.Parse("10.0.0.2")), Slow, change => told.Add($"two {change.After}"));
        var watch = Assert.Single(_host.Watches);
        Assert.Equal(50, watch.Settings.TransmitInterval.TotalMilliseconds);

        watch.Changed!(new BfdChange(BfdState.Init, BfdState.Up, BfdDiagnostic.None, false));
        Assert.Equal(["one Up", "two Up"], told);
        one.Dispose();
        one.Dispose();
        Assert.Equal(2000, watch.Settings.TransmitInterval.TotalMilliseconds);
        watch.Changed(new BfdChange(BfdState.Up, BfdState.Down, BfdDiagnostic.ControlDetectionTimeExpired, true));
        Assert.Equal("two Down", told[^1]);
        Assert.Equal(3, told.Count);

        two.Dispose();
        Assert.True(watch.IsDisposed);
        Assert.Empty(_sessions.Watches);
        using var three = _sessions.Watch(Path, Fast, static _ => { });
        Assert.Equal(2, _host.Watches.Count);
    }

    [Fact]
    public void A_changed_profile_reaches_the_session_and_keeps_it()
    {
        using var session = _sessions.Watch(Path, Fast, static _ => { });
        session.Configure(Slow);

        Assert.Equal(2000, Assert.Single(_host.Watches).Settings.TransmitInterval.TotalMilliseconds);
    }

    [Fact]
    public void Metrics_have_MetalLBs_names_and_labels_and_go_with_the_session()
    {
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var factory = services.GetRequiredService<IMeterFactory>();
        _ = new BfdMetrics(factory, _sessions);
        var session = _sessions.Watch(new BfdPath(IPAddress.Parse("10.0.0.2"), Device: "red"), Fast, static _ => { });
        _host.Watches[0].Counts = new BfdCounts(1, 2, 3, 4, 5, 6, 7);
        _host.Watches[0].Status = BfdStatus.Unknown with { State = BfdState.Up };

        Assert.Equal(
            new Dictionary<string, long>
            {
                ["metallb_bfd_session_up peer=10.0.0.2 vrf=red"] = 1,
                ["metallb_bfd_control_packet_input peer=10.0.0.2 vrf=red"] = 1,
                ["metallb_bfd_control_packet_output peer=10.0.0.2 vrf=red"] = 2,
                ["metallb_bfd_echo_packet_input peer=10.0.0.2 vrf=red"] = 3,
                ["metallb_bfd_echo_packet_output peer=10.0.0.2 vrf=red"] = 4,
                ["metallb_bfd_session_up_events peer=10.0.0.2 vrf=red"] = 5,
                ["metallb_bfd_session_down_events peer=10.0.0.2 vrf=red"] = 6,
                ["metallb_bfd_zebra_notifications peer=10.0.0.2 vrf=red"] = 7,
                ["dynamiclb_bfd_packets_dropped_total reason=timetolive"] = 9,
            },
            Measure(factory));
        session.Dispose();
        Assert.DoesNotContain(Measure(factory).Keys, static key => key.StartsWith("metallb", StringComparison.Ordinal));
    }

    private static Dictionary<string, long> Measure(IMeterFactory factory)
    {
        var seen = new Dictionary<string, long>(StringComparer.Ordinal);
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (instrument.Meter.Scope == factory)
                listener.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            string labels = string.Join(' ', tags.ToArray().Select(static tag => $"{tag.Key}={tag.Value}"));
            seen[$"{instrument.Name} {labels}"] = value;
        });
        listener.Start();
        listener.RecordObservableInstruments();
        return seen;
    }

    private sealed class FakeHost : IBfdHost
    {
        public List<FakeWatch> Watches { get; } = [];

        public IBfdWatch Watch(BfdSettings settings, BfdPath path, Action<BfdChange>? changed = null)
        {
            var watch = new FakeWatch(path, settings, changed);
            Watches.Add(watch);
            return watch;
        }

        public long Dropped(BfdDropReason reason) => reason == BfdDropReason.TimeToLive ? 9 : 0;
    }

    private sealed class FakeWatch(BfdPath path, BfdSettings settings, Action<BfdChange>? changed) : IBfdWatch
    {
        public BfdPath Path => path;

        public BfdSettings Settings { get; private set; } = settings;

        public Action<BfdChange>? Changed => changed;

        public BfdStatus Status { get; set; } = BfdStatus.Unknown;

        public BfdCounts Counts { get; set; }

        public bool IsDisposed { get; private set; }

        public void Configure(BfdSettings settings) => Settings = settings;

        public void SetAdminDown(bool isDown)
        {
            // Nobody asks for it here.
        }

        public void Dispose() => IsDisposed = true;
    }
}
