using System.Net.Sockets;
using System.Text.RegularExpressions;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// Keeps a responder on every eligible interface and tells neighbours about addresses that came here. One loop owns the responders and the schedule; others only send it
/// messages. An address that is withdrawn is simply answered for no more.
/// </summary>
internal sealed partial class Layer2Announcer(
    SpeakerOptions options, ResponderContext context, ILinkMonitor links, Func<LinkInfo, ILinkChannel> open, TimeProvider time,
    ILogger<Layer2Announcer> logger)
{
    // An interface whose socket could not be opened is tried again.
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(2);

    private readonly Channel<Message> _messages = Channel.CreateUnbounded<Message>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Dictionary<int, Member> _members = [];
    private readonly GratuitousSchedule _schedule = new();
    private readonly long _start = time.GetTimestamp();
    private volatile int _count;

    /// <summary>Interfaces that take part now. Thread-safe.</summary>
    public int InterfaceCount => _count;

    private TimeSpan Now => time.GetElapsedTime(_start);

    /// <summary>Tells neighbours about addresses that are new here. Thread-safe; does not wait.</summary>
    public void Tell(IReadOnlyCollection<IPv4Address> addresses) => _messages.Writer.TryWrite(new Message(addresses, GratuitousSchedule.Rounds, TimeSpan.Zero));

    /// <summary>Tells neighbours once, a moment from now, that an address is here, if it then still is. Thread-safe; does not wait.</summary>
    public void Defend(IPv4Address address, TimeSpan after) => _messages.Writer.TryWrite(new Message([address], 1, after));

    /// <summary>Works until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        void Look() => _messages.Writer.TryWrite(Message.Look);
        links.Changed += Look;
        var following = links.RunAsync(cancellationToken);
        try
        {
            while (true)
            {
                bool look = false;
                while (_messages.Reader.TryRead(out var message))
                {
                    look |= message.Addresses is null;
                    foreach (var address in message.Addresses ?? [])
                        _schedule.Add(address, message.Rounds, Now + message.After);
                }
                if (look)
                    await FollowLinksAsync();
                await SendDueAsync(cancellationToken);
                await WaitAsync(cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }
        finally
        {
            links.Changed -= Look;
            foreach (var member in _members.Values)
                await member.Responder.DisposeAsync();
            _members.Clear();
        }
        await following;
    }

    /// <summary>Whether an interface takes part: up, broadcasting and resolving, its own master, and not excluded by name.</summary>
    internal static bool IsEligible(InterfaceState state, Regex excluded) =>
        state is { IsUp: true, IsBroadcast: true, UsesArp: true, IsEnslaved: false } && !excluded.IsMatch(state.Link.Name);

    private async Task WaitAsync(CancellationToken cancellationToken)
    {
        if (_schedule.NextDue is not { } due)
        {
            await _messages.Reader.WaitToReadAsync(cancellationToken);
            return;
        }
        var pause = due - Now;
        if (pause <= TimeSpan.Zero)
            return;
        using var timeout = new CancellationTokenSource(pause, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            await _messages.Reader.WaitToReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Somebody is to be told of an address.
        }
    }

    private async Task SendDueAsync(CancellationToken cancellationToken)
    {
        while (_schedule.TryTake(Now, out var address))
        {
            if (!context.Table.Snapshot.TryGetValue(address, out var item))
            {
                _schedule.Remove(address);
                continue;
            }
            foreach (var member in _members.Values)
                await member.Responder.SendGratuitousAsync(item, cancellationToken);
        }
    }

    private async Task FollowLinksAsync()
    {
        var eligible = links.Current.Where(state => IsEligible(state, options.ExcludedInterfaces)).ToDictionary(static state => state.Link.Index);
        bool tell = false;
        foreach (var (index, member) in _members)
        {
            if (eligible.TryGetValue(index, out var state) && state.Link == member.Responder.Link)
            {
                // The LAN behind a cable that was plugged in again may know another answer.
                tell |= state.HasCarrier && !member.HadCarrier;
                _members[index] = member with { HadCarrier = state.HasCarrier };
                continue;
            }
            _members.Remove(index);
            LogLeft(logger, member.Responder.Link.Name);
            await member.Responder.DisposeAsync();
        }
        foreach (var state in eligible.Values.Where(state => !_members.ContainsKey(state.Link.Index)))
            tell |= TryJoin(state);
        _count = _members.Count;
        context.OwnMacs = _members.Values.Select(static member => member.Responder.Link.Mac).ToHashSet();
        if (!tell)
            return;
        foreach (var address in context.Table.Snapshot.Keys)
            _schedule.Add(address, GratuitousSchedule.Rounds, Now);
    }

    private bool TryJoin(InterfaceState state)
    {
        try
        {
            var responder = new ArpResponder(open(state.Link), context, logger);
            responder.Start();
            _members[state.Link.Index] = new Member(responder, state.HasCarrier);
            LogJoined(logger, state.Link.Name, state.Link.Mac.ToString());
            return true;
        }
        catch (SocketException e)
        {
            LogCannotJoin(logger, state.Link.Name, e.Message);
            _ = LookLaterAsync();
            return false;
        }
    }

    private async Task LookLaterAsync()
    {
        await Task.Delay(RetryAfter, time, CancellationToken.None);
        _messages.Writer.TryWrite(Message.Look);
    }

    private sealed record Member(ArpResponder Responder, bool HadCarrier);

    /// <summary>Addresses to tell of; or null to look at the interfaces.</summary>
    private readonly record struct Message(IReadOnlyCollection<IPv4Address>? Addresses, int Rounds, TimeSpan After)
    {
        public static Message Look => default;
    }

    [LoggerMessage(1, LogLevel.Information, "Answering ARP on {Interface} ({Mac})")]
    private static partial void LogJoined(ILogger logger, string @interface, string mac);

    [LoggerMessage(2, LogLevel.Information, "No longer answering ARP on {Interface}")]
    private static partial void LogLeft(ILogger logger, string @interface);

    [LoggerMessage(3, LogLevel.Error, "Cannot answer ARP on {Interface}: {Cause} (NET_RAW is needed)")]
    private static partial void LogCannotJoin(ILogger logger, string @interface, string cause);
}
