using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Tests.Unit.Kubernetes;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>The exchange of one speaker in virtual time, with another speaker whose frames it gets by the links on which that one is heard.</summary>
internal sealed class HeartbeatRig : IAsyncDisposable
{
    private const string Secret = "0123456789abcdef";
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(10);
    private static readonly byte[][] Keys = [SHA256.HashData(Encoding.UTF8.GetBytes(Secret))];
    private readonly SpeakerParts _parts;
    private readonly string _keyFile = Path.GetTempFileName();
    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<int, FakeChannel> _channels = [];
    private readonly HeartbeatTable _other;
    private ulong _instance = 1;
    private TimeSpan _beatsAt;
    private Task _running = Task.CompletedTask;

    public HeartbeatRig(SpeakerParts parts, bool hasKey = true)
    {
        _parts = parts;
        if (hasKey)
            UseKey();
        Exchange = new HeartbeatExchange(
            parts.Options with { HeartbeatKeyFile = _keyFile }, new HeartbeatKeys(_keyFile, Time, NullLogger<HeartbeatKeys>.Instance), parts.Links, Open, () => MayAnnounce, parts.Metrics,
            Time, NullLogger<HeartbeatExchange>.Instance);
        _other = new HeartbeatTable("other", parts.Options.HeartbeatInterval, () => ++_instance, TimeSpan.Zero);
        _other.UseLinks([2, 3], [2, 3], TimeSpan.Zero);
    }

    /// <summary>A clock of its own, by which each step of the loop is waited for.</summary>
    public FakeTime Time { get; } = new();

    public HeartbeatExchange Exchange { get; }

    public bool MayAnnounce { get; set; } = true;

    /// <summary>Links by which the other speaker is heard, and hears.</summary>
    public HashSet<int> OtherIsOn { get; } = [];

    /// <summary>Refuses to open sockets.</summary>
    public bool Refuses { get; set; }

    public int Opened { get; private set; }

    /// <summary>The other speaker's MAC on a link.</summary>
    public static MacAddress MacOfOther(int link) => new(0x020000010000u + (ulong)link);

    /// <summary>What the last heartbeat said.</summary>
    public Heartbeat? Last { get; private set; }

    /// <summary>What the other speaker makes of us.</summary>
    public HeartbeatSight OthersSight => _other.Sight;

    public static InterfaceState Link(int index, bool hasCarrier = true) =>
        new(new LinkInfo(index, $"eth{index}", new MacAddress(0x020000000000u + (ulong)index)), true, true, true, false) { HasCarrier = hasCarrier };

    public void UseKey() => File.WriteAllText(_keyFile, Secret + "\n");

    public async Task StartAsync()
    {
        _running = Exchange.RunAsync(_stop.Token, _stop.Token);
        await IdleAsync();
    }

    /// <summary>Time passes in small steps; after each the loop and the other speaker have done what there was to do.</summary>
    public async Task RunAsync(double seconds, Action? look = null)
    {
        for (var end = Time.Elapsed + TimeSpan.FromSeconds(seconds); Time.Elapsed < end;)
        {
            Time.Advance(Step);
            await IdleAsync();
            Exchanged();
            look?.Invoke();
        }
    }

    /// <summary>The loop sleeps until its timer: nothing else here has one.</summary>
    private async Task IdleAsync()
    {
        await Eventually.TrueAsync(() => Time.PendingTimers > 0);
    }

    private void Exchanged()
    {
        var now = Time.Elapsed;
        foreach (var (index, channel) in _channels)
        {
            while (channel.Take() is { } frame)
            {
                Assert.True(HeartbeatFrame.TryRead(frame, Keys, out var view));
                Last = view.Beat;
                if (OtherIsOn.Contains(index))
                    _other.Hear(view, index, now);
            }
        }
        _other.Evaluate(now, true);
        if (now < _beatsAt)
            return;
        _beatsAt = now + _other.Interval;
        Span<ulong> echoes = stackalloc ulong[HeartbeatFrame.MaxEchoes];
        var beat = _other.Next(echoes, now, out int count);
        foreach (int index in OtherIsOn)
        {
            var frame = new byte[HeartbeatFrame.MaxLength];
            int length = HeartbeatFrame.Write(
                frame, MacOfOther(index), beat with { IsReady = _other.IsReadyOn(index) }, "other"u8, echoes[..count], Keys[0]);
            _channels[index].Deliver(frame[..length]);
        }
    }

    private ILinkChannel Open(LinkInfo link)
    {
        Opened++;
        if (Refuses)
            throw new SocketException((int)SocketError.AccessDenied);
        return _channels[link.Index] = new FakeChannel(link);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        await Exchange.DisposeAsync();
        _stop.Dispose();
        File.Delete(_keyFile);
    }
}
