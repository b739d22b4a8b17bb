using System.Net.Sockets;
using System.Text.RegularExpressions;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.Nftables;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// Keeps responders, of both families, on every eligible interface and tells neighbours about addresses that came here. One loop owns the responders and the schedule; others only send it
/// messages. An address that is withdrawn is simply answered for no more.
/// </summary>
internal sealed partial class Layer2Announcer(
    SpeakerOptions options, ResponderContext context, ILinkMonitor links, ResponderSockets sockets, IAddressMacs macs, TimeProvider time,
    ILogger<Layer2Announcer> logger)
{
    // An interface whose socket could not be opened is tried again.
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(2);

    private readonly Channel<Message> _messages = Channel.CreateUnbounded<Message>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Dictionary<int, LinkMember> _members = [];
    private readonly GratuitousSchedule _schedule = new(options.GratuitousRefresh);
    private readonly ProbeSchedule _probes = new();
    private readonly long _start = time.GetTimestamp();
    private volatile int _count;
    private int _pauses;
    private int _looksLater;

    /// <summary>Interfaces that take part now. Thread-safe.</summary>
    public int InterfaceCount => _count;

    private TimeSpan Now => time.GetElapsedTime(_start);

    /// <summary>Tells neighbours about addresses that are new here. Thread-safe; does not wait.</summary>
    public void Tell(IReadOnlyCollection<HostAddress> addresses) => _messages.Writer.TryWrite(new Message(addresses, GratuitousSchedule.Rounds, TimeSpan.Zero));

    /// <summary>Tells neighbours once, a moment from now, that an address is here, if it then still is. Thread-safe; does not wait.</summary>
    public void Defend(HostAddress address, TimeSpan after) => _messages.Writer.TryWrite(new Message([address], 1, after));

    /// <summary>Works until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        void Look() => _messages.Writer.TryWrite(Message.Look);
        links.Changed += Look;
        context.Table.Changed += Look;
        context.Displaced = address => Defend(address, LeaseTraffic.ReclaimAfter);
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
                    {
                        if (message.Rounds == 0)
                            _probes.Add(address, message.Interfaces, Now + message.After);
                        else
                            _schedule.Add(address, message.Rounds, Now + message.After);
                    }
                }
                if (look)
                    await FollowLinksAsync();
                FollowPauses();
                await SendDueAsync(cancellationToken);
                await ProbeDueAsync(cancellationToken);
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
            context.Table.Changed -= Look;
            foreach (var member in _members.Values)
                await member.DisposeAsync();
            _members.Clear();
        }
        await following;
    }

    /// <summary>Whether an interface takes part: up, broadcasting and resolving, its own master, and not excluded by name.</summary>
    internal static bool IsEligible(InterfaceState state, Regex excluded) => WhyNot(state, excluded) is null;

    /// <summary>Why an interface takes no part; null when it does.</summary>
    internal static string? WhyNot(InterfaceState state, Regex excluded) => state switch
    {
        { IsUp: false } => "down",
        { IsBroadcast: false } => "cannot broadcast",
        { UsesArp: false } => "resolves no addresses (NOARP)",
        { IsEnslaved: true } => "part of a bridge, bond or VRF, whose own interface is used",
        _ => excluded.IsMatch(state.Link.Name) ? "excluded by --exclude-interfaces" : null,
    };

    private async Task WaitAsync(CancellationToken cancellationToken)
    {
        if (Earlier(_schedule.NextDue, _probes.NextDue) is not { } due)
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

    private static TimeSpan? Earlier(TimeSpan? one, TimeSpan? other) => one is null || other < one ? other : one;

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
                await member.SendGratuitousAsync(item, cancellationToken);
        }
    }

    private async Task FollowLinksAsync()
    {
        // What comes after this brings a look of its own: nothing is told before its groups and hardware addresses are in place.
        var announced = context.Table.Snapshot;
        var eligible = links.Current.Where(state => IsEligible(state, options.ExcludedInterfaces)).ToDictionary(static state => state.Link.Index);
        bool tell = false;
        foreach (var (index, member) in _members)
        {
            if (eligible.TryGetValue(index, out var state) && state.Link == member.Link)
            {
                // The LAN behind a cable that was plugged in again may know another answer.
                tell |= member.Look(state);
                continue;
            }
            _members.Remove(index);
            LogLeft(logger, member.Link.Name);
            await member.DisposeAsync();
        }
        foreach (var state in eligible.Values.Where(state => !_members.ContainsKey(state.Link.Index)))
            tell |= TryJoin(state);
        context.OwnMacs = _members.Values.Select(static member => member.Link.Mac).ToHashSet();
        FollowGroups(announced.Values);
        FollowMacs(announced.Values);
        _count = _members.Count;
        if (!tell)
            return;
        foreach (var address in announced.Keys)
            _schedule.Add(address, GratuitousSchedule.Rounds, Now);
    }

    /// <summary>When a pause is over, what has waited through it is thrown away now, and not with the first question that comes.</summary>
    private void FollowPauses()
    {
        // Whoever ends a pause has us tell of everything.
        int pauses = context.Guard.Pauses;
        if (pauses == _pauses || context.Guard.IsPaused)
            return;
        _pauses = pauses;
        foreach (var member in _members.Values)
            member.LookAtQueues();
    }

    private void FollowGroups(IEnumerable<Announced> announced)
    {
        var addresses = announced.Select(static item => (item.Address, item.Interfaces)).Concat(context.Probes.Now).Where(static item => !item.Address.IsIPv4).ToList();
        bool complete = true;
        foreach (var member in _members.Values)
            complete &= member.FollowGroups(addresses);
        // An interface that just came up has no IPv6 for a moment.
        if (!complete)
            LookLater();
    }

    private bool TryJoin(InterfaceState state)
    {
        var member = new LinkMember(state);
        try
        {
            member.Open(sockets, context, logger);
            _members[state.Link.Index] = member;
            LogJoined(logger, state.Link.Name, state.Link.Mac.ToString());
            return true;
        }
        catch (SocketException e)
        {
            member.Abandon();
            LogCannotJoin(logger, state.Link.Name, e.Message);
            LookLater();
            return false;
        }
    }

    private void LookLater()
    {
        if (Interlocked.Exchange(ref _looksLater, 1) == 0)
            _ = LookLaterAsync();
    }

    private async Task LookLaterAsync()
    {
        await Task.Delay(RetryAfter, time, CancellationToken.None);
        Volatile.Write(ref _looksLater, 0);
        _messages.Writer.TryWrite(Message.Look);
    }

    /// <summary>Addresses to tell of, or, in no rounds, to look for; or null to look at the interfaces.</summary>
    private readonly record struct Message(IReadOnlyCollection<HostAddress>? Addresses, int Rounds, TimeSpan After)
    {
        public IReadOnlySet<string>? Interfaces { get; init; }

        public static Message Look => default;
    }

    [LoggerMessage(1, LogLevel.Information, "Answering ARP and NDP on {Interface} ({Mac})")]
    private static partial void LogJoined(ILogger logger, string @interface, string mac);

    [LoggerMessage(2, LogLevel.Information, "No longer answering on {Interface}")]
    private static partial void LogLeft(ILogger logger, string @interface);

    [LoggerMessage(3, LogLevel.Error, "Cannot answer on {Interface}: {Cause} (NET_RAW is needed)")]
    private static partial void LogCannotJoin(ILogger logger, string @interface, string cause);
}
