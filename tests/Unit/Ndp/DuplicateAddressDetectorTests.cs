using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Ndp;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Ndp;

public sealed class DuplicateAddressDetectorTests : IAsyncDisposable
{
    private static readonly MacAddress Other = MacAddress.Parse("02:00:00:00:00:99");
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private readonly CancellationTokenSource _stop = new();
    private readonly FakeTime _time = new();
    private readonly FakeLinkChannel _link = new();
    private readonly DuplicateAddressDetector _detector;
    private readonly List<(IPv6Address, MacAddress)> _used = [];
    private readonly Task _running;

    public DuplicateAddressDetectorTests()
    {
        _detector = new DuplicateAddressDetector(_link, _time, joinGroups: false) { Watch = new AddressWatch<IPv6Address>(_time) };
        _running = _detector.RunAsync(Used, _stop.Token);
    }

    private void Used(IPv6Address address, MacAddress host) => _used.Add((address, host));

    private static IPv6Address Target => NeighborMessageTests.Target;

    [Fact]
    public async Task Silence_means_that_nobody_has_the_address()
    {
        var probe = _detector.ProbeAsync(Target, Second, _stop.Token);
        Assert.True(NeighborMessage.TryParse(Assert.Single(_link.Sent), out var sent));
        Assert.Equal((Target, true), (sent.Target, sent.Source.IsAny));
        _time.Advance(TimeSpan.FromSeconds(0.9));
        Assert.False(probe.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(0.2));
        Assert.Null(await probe);
    }

    [Fact]
    public async Task Another_solicitation_from_nobody_is_a_conflict_and_a_second_call_joins_the_first()
    {
        var probe = _detector.ProbeAsync(Target, Second, _stop.Token);
        var joined = _detector.ProbeAsync(Target, Second, _stop.Token);
        _link.Arrive(Solicitation(Other, Target));
        Assert.Equal(Other, await probe);
        Assert.Equal(Other, await joined);
        Assert.Single(_link.Sent);
    }

    [Fact]
    public async Task Our_own_frame_thrown_back_and_one_about_another_address_say_nothing()
    {
        var probe = _detector.ProbeAsync(Target, Second, _stop.Token);
        _link.Arrive(_link.Sent[0]);
        _link.Arrive(Solicitation(Other, IPv6Address.Parse("fd77::9")));
        _link.Arrive(new byte[20]);
        // Taken in order: when the next one is answered, those before were looked at.
        var marker = _detector.ProbeAsync(IPv6Address.Parse("fd77::8"), Second, _stop.Token);
        _link.Arrive(Solicitation(Other, IPv6Address.Parse("fd77::8")));
        Assert.Equal(Other, await marker);
        Assert.False(probe.IsCompleted);
        _time.Advance(Second);
        Assert.Null(await probe);
    }

    [Fact]
    public async Task A_cancelled_probe_ends_and_the_address_can_be_probed_again()
    {
        using var cancelled = new CancellationTokenSource();
        var probe = _detector.ProbeAsync(Target, Second, cancelled.Token);
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => probe);
        var again = _detector.ProbeAsync(Target, Second, _stop.Token);
        _link.Arrive(Solicitation(Other, Target));
        Assert.Equal(Other, await again);
    }

    [Fact]
    public async Task An_advertisement_of_a_watched_address_and_a_message_from_it_tell_of_another_user()
    {
        _detector.Watch!.Add(Target);
        // A solicitation for the address from nobody asks, and uses nothing.
        _link.Arrive(Solicitation(Other, Target));
        var from = Solicitation(Other, IPv6Address.Parse("fd77::9"));
        Target.Write(from.AsSpan(22));
        from.AsSpan(56, 2).Clear();
        ushort checksum = InternetChecksum.OfIPv6(from.AsSpan(22, 32), 58, from.AsSpan(54));
        (from[56], from[57]) = ((byte)(checksum >> 8), (byte)checksum);
        _link.Arrive(from);
        _link.Arrive(from);
        var marker = _detector.ProbeAsync(IPv6Address.Parse("fd77::8"), Second, _stop.Token);
        _link.Arrive(Solicitation(Other, IPv6Address.Parse("fd77::8")));
        Assert.Equal(Other, await marker);
        Assert.Equal([(Target, Other)], _used);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        await _detector.DisposeAsync();
        _stop.Dispose();
    }

    private static byte[] Solicitation(MacAddress source, IPv6Address target)
    {
        var frame = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(frame, source, target);
        return frame;
    }
}
