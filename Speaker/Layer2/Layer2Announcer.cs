using System.Net.Sockets;
using System.Text.RegularExpressions;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// Makes the LAN send the traffic of the announced addresses here: a responder on every interface that can announce, and gratuitous packets
/// when an address comes to this node. One loop owns the responders and the gratuitous schedule.
/// </summary>
/// <remarks>
/// An address that is withdrawn is simply not answered any more; there is no packet that says so. Nothing here needs the API server: what is
/// announced stays announced while it is away.
/// </remarks>
internal sealed partial class Layer2Announcer(
    SpeakerOptions options, Layer2State state, TimeProvider time, Layer2Metrics metrics, ILogger<Layer2Announcer> logger) : BackgroundService
{
    /// <summary>Pause between looks at the interfaces.</summary>
    public static readonly TimeSpan ScanPeriod = TimeSpan.FromSeconds(5);

    /// <summary>Pause between gratuitous rounds.</summary>
    public static readonly TimeSpan RoundPeriod = TimeSpan.FromSeconds(1.1);

    /// <summary>Rounds for an address that came to this node.</summary>
    public const int Rounds = 5;

    private readonly Channel<IPv4Address> _arrived = Channel.CreateUnbounded<IPv4Address>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Dictionary<string, LinkResponder> _responders = new(StringComparer.Ordinal);
    private readonly Dictionary<IPv4Address, int> _roundsLeft = [];
    private readonly Regex? _exclude = options.InterfaceExclude.Count == 0
        ? null
        : new Regex(string.Join('|', options.InterfaceExclude), RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));

    /// <summary>Replaces what is announced. Addresses that were not announced before are told to the LAN at once. One caller at a time.</summary>
    public void Announce(IReadOnlyDictionary<IPv4Address, DateTimeOffset?> addresses)
    {
        var before = state.Announced;
        state.Announced = new AnnouncedAddresses(addresses);
        var known = before.All.ToHashSet();
        foreach (var address in addresses.Keys)
        {
            if (!known.Contains(address))
                _arrived.Writer.TryWrite(address);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            var nextScan = time.GetUtcNow();
            var nextRound = DateTimeOffset.MaxValue;
            while (!stoppingToken.IsCancellationRequested)
            {
                var now = time.GetUtcNow();
                // A wall clock that was set back must not stop us for as long.
                if (now >= nextScan || nextScan - now > ScanPeriod)
                {
                    await ScanAsync();
                    nextScan = now + ScanPeriod;
                }
                if (_arrived.Reader.TryPeek(out _))
                {
                    while (_arrived.Reader.TryRead(out var address))
                        _roundsLeft[address] = Rounds;
                    nextRound = now;
                }
                if (now >= nextRound || (_roundsLeft.Count > 0 && nextRound - now > RoundPeriod))
                {
                    await SendRoundAsync(now, stoppingToken);
                    nextRound = _roundsLeft.Count > 0 ? now + RoundPeriod : DateTimeOffset.MaxValue;
                }
                await WaitAsync(nextScan < nextRound ? nextScan : nextRound, stoppingToken);
            }
        }
        finally
        {
            state.Announced = AnnouncedAddresses.None;
            foreach (var responder in _responders.Values)
                await responder.DisposeAsync();
            _responders.Clear();
        }
    }

    /// <summary>Whether the speaker announces on an interface.</summary>
    internal bool CanAnnounceOn(InterfaceState state) =>
        state is { IsUp: true, IsBroadcast: true, UsesArp: true, IsEnslaved: false } && _exclude?.IsMatch(state.Link.Name) != true;

    private async Task WaitAsync(DateTimeOffset until, CancellationToken cancellationToken)
    {
        var pause = until - time.GetUtcNow();
        if (pause <= TimeSpan.Zero)
            return;
        using var wait = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var timer = Task.Delay(pause, time, wait.Token);
        await Task.WhenAny(timer, _arrived.Reader.WaitToReadAsync(wait.Token).AsTask());
        await wait.CancelAsync();
    }

    private async Task ScanAsync()
    {
        var wanted = NetworkInterfaces.Read().Where(CanAnnounceOn).ToDictionary(found => found.Link.Name, found => found.Link, StringComparer.Ordinal);
        foreach (var (name, responder) in _responders)
        {
            if (responder.HasFailed || wanted.GetValueOrDefault(name) != responder.Link)
            {
                _responders.Remove(name);
                await responder.DisposeAsync();
                LogClosed(logger, name);
            }
        }
        bool opened = false;
        foreach (var (name, link) in wanted)
        {
            if (_responders.ContainsKey(name))
                continue;
            try
            {
                var channel = PacketLinkChannel.Open(link, ArpPacket.RequestFilter);
                _responders.Add(name, new LinkResponder(channel, state, time, metrics, logger));
                opened = true;
                LogOpened(logger, name, link.Mac.ToString());
            }
            catch (SocketException e)
            {
                LogCannotOpen(logger, name, e.Message);
            }
        }
        state.OwnMacs = _responders.Values.Select(responder => responder.Link.Mac).ToHashSet();
        // The LAN behind a new interface has not heard of what we announce already.
        if (opened)
        {
            foreach (var address in state.Announced.All)
                _arrived.Writer.TryWrite(address);
        }
    }

    private async Task SendRoundAsync(DateTimeOffset now, CancellationToken cancellationToken)
    {
        var announced = state.Announced;
        foreach (var (address, left) in _roundsLeft)
        {
            if (announced.Has(address, now))
            {
                foreach (var responder in _responders.Values)
                    await responder.SendGratuitousAsync(address, cancellationToken);
            }
            if (left > 1 && announced.Has(address, now))
                _roundsLeft[address] = left - 1;
            else
                _roundsLeft.Remove(address);
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Answering ARP on {Interface} ({Mac})")]
    private static partial void LogOpened(ILogger logger, string @interface, string mac);

    [LoggerMessage(2, LogLevel.Information, "No longer answering ARP on {Interface}")]
    private static partial void LogClosed(ILogger logger, string @interface);

    [LoggerMessage(3, LogLevel.Warning, "Cannot open an ARP socket on {Interface}: {Cause}")]
    private static partial void LogCannotOpen(ILogger logger, string @interface, string cause);
}
