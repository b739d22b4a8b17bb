using System.Collections.Concurrent;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// Keeps a responder on every eligible interface and tells neighbours about addresses that came here: at once, then every 1.1 s for 5 s, so that a lost frame or a
/// slow switch does no harm (MetalLB's schedule).
/// </summary>
internal sealed partial class Layer2Announcer(
    SpeakerOptions options, AnnouncementTable table, SpeakerMetrics metrics, TimeProvider time, ILogger<Layer2Announcer> logger)
{
    private const int Rounds = 5;
    private static readonly TimeSpan RoundEvery = TimeSpan.FromMilliseconds(1100);
    private static readonly TimeSpan ScanEvery = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<int, ArpResponder> _responders = new();
    private readonly ConcurrentDictionary<IPv4Address, int> _roundsLeft = new();

    /// <summary>Interfaces that take part now.</summary>
    public int InterfaceCount => _responders.Count;

    /// <summary>Tells neighbours about addresses that are new here.</summary>
    public async Task TellAsync(IReadOnlyList<Announced> announced, CancellationToken cancellationToken)
    {
        foreach (var item in announced)
        {
            _roundsLeft[item.Address] = Rounds - 1;
            await SendAsync(item, cancellationToken);
        }
    }

    /// <summary>Follows the interfaces and repeats what neighbours were told, until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            var scan = ScanAsync(cancellationToken);
            using var timer = new PeriodicTimer(RoundEvery, time);
            while (await timer.WaitForNextTickAsync(cancellationToken))
                await RepeatAsync(cancellationToken);
            await scan;
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
        finally
        {
            foreach (var responder in _responders.Values)
                await responder.DisposeAsync();
            _responders.Clear();
        }
    }

    /// <summary>Whether an interface takes part: up, broadcasting and resolving, its own master, and not excluded by name.</summary>
    internal static bool IsEligible(InterfaceState state, System.Text.RegularExpressions.Regex excluded) =>
        state is { IsUp: true, IsBroadcast: true, UsesArp: true, IsEnslaved: false } && !excluded.IsMatch(state.Link.Name);

    private async Task RepeatAsync(CancellationToken cancellationToken)
    {
        var announced = table.Snapshot;
        foreach (var (address, left) in _roundsLeft)
        {
            if (left <= 0 || !announced.TryGetValue(address, out var item))
            {
                _roundsLeft.TryRemove(address, out _);
                continue;
            }
            _roundsLeft[address] = left - 1;
            await SendAsync(item, cancellationToken);
        }
    }

    private async Task SendAsync(Announced item, CancellationToken cancellationToken)
    {
        foreach (var responder in _responders.Values)
            await responder.SendGratuitousAsync(item, cancellationToken);
    }

    private async Task ScanAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(ScanEvery, time);
        do
        {
            var eligible = NetworkInterfaces.Read().Where(state => IsEligible(state, options.ExcludedInterfaces)).ToDictionary(static state => state.Link.Index);
            foreach (var (index, responder) in _responders)
            {
                if (eligible.TryGetValue(index, out var state) && state.Link == responder.Link)
                    continue;
                _responders.TryRemove(index, out _);
                LogLeft(logger, responder.Link.Name);
                await responder.DisposeAsync();
            }
            foreach (var state in eligible.Values.Where(state => !_responders.ContainsKey(state.Link.Index)))
                await JoinAsync(state.Link, cancellationToken);
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    private async Task JoinAsync(LinkInfo link, CancellationToken cancellationToken)
    {
        try
        {
            var responder = new ArpResponder(PacketLinkChannel.Open(link, ArpPacket.RequestFilter), table, metrics, time, logger);
            responder.Start();
            _responders[link.Index] = responder;
            LogJoined(logger, link.Name, link.Mac.ToString());
            foreach (var item in table.Snapshot.Values)
                await responder.SendGratuitousAsync(item, cancellationToken);
        }
        catch (SocketException e)
        {
            LogCannotJoin(logger, link.Name, e.Message);
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Answering ARP on {Interface} ({Mac})")]
    private static partial void LogJoined(ILogger logger, string @interface, string mac);

    [LoggerMessage(2, LogLevel.Information, "No longer answering ARP on {Interface}")]
    private static partial void LogLeft(ILogger logger, string @interface);

    [LoggerMessage(3, LogLevel.Error, "Cannot answer ARP on {Interface}: {Cause} (NET_RAW is needed)")]
    private static partial void LogCannotJoin(ILogger logger, string @interface, string cause);
}
