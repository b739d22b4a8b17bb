using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Heartbeats;

/// <summary>What came of a heartbeat.</summary>
internal enum HeardKind
{
    Taken = 0,

    /// <summary>The sender does not know of us yet: it should hear of us soon.</summary>
    Unacquainted,

    /// <summary>Older than one that was heard: late, or played again.</summary>
    Old,

    /// <summary>It bears our own node's name.</summary>
    Own,

    /// <summary>More senders than the table takes.</summary>
    TooMany,
}

/// <summary>What heartbeats tell at a moment. Immutable.</summary>
/// <param name="Alive">Nodes that are heard and may announce.</param>
/// <param name="Silent">Nodes that were heard and are not any more, or that leave.</param>
/// <param name="IsReady">Whether we have listened for long enough to announce.</param>
/// <param name="IsHeard">Whether somebody hears us.</param>
internal sealed record HeartbeatSight(FrozenSet<string> Alive, FrozenSet<string> Silent, bool IsReady, bool IsHeard)
{
    public static HeartbeatSight Nothing { get; } = new(FrozenSet<string>.Empty, FrozenSet<string>.Empty, false, false);

    /// <summary>Those of <see cref="Alive"/> that are heard by each of our links that can be used, by its index.</summary>
    public FrozenDictionary<int, FrozenSet<string>> Reach { get; init; } = FrozenDictionary<int, FrozenSet<string>>.Empty;

    /// <summary>Our own links by which we have listened for long enough to announce.</summary>
    public FrozenSet<int> ReadyLinks { get; init; } = FrozenSet<int>.Empty;

    /// <summary>Our own links by which somebody was ever heard, be they usable or not. The others tell nothing about anybody: heartbeats may not pass there, or nobody else is there.</summary>
    public FrozenSet<int> HeardLinks { get; init; } = FrozenSet<int>.Empty;

    /// <summary>
    /// Whether a node can serve whoever is behind one of these links of ours; for one that is not heard at all, somebody else has to know. Where nobody was ever heard by any of the
    /// links, whoever is alive can.
    /// </summary>
    public bool CanServe(string node, string me, IReadOnlyCollection<int> links)
    {
        bool tell = links.Any(HeardLinks.Contains);
        return node == me ? links.Any(link => ReadyLinks.Contains(link) && (!tell || HeardLinks.Contains(link)))
            : !Alive.Contains(node) || !tell || links.Any(link => Reach.TryGetValue(link, out var nodes) && nodes.Contains(node));
    }
}

/// <summary>
/// Who is alive on the segment: a pure machine fed with heartbeats, on our own monotonic clock. Not thread-safe.
/// </summary>
/// <remarks>
/// A sender counts from the moment on that it echoes the instance under which we joined: it is alive now, it hears us, and what it says was not recorded earlier. It is silent when
/// five of its intervals pass without a heartbeat. Whoever joins (a start, a pause of the process, a cable that was plugged in again) draws a new instance and listens before it is
/// ready, so that nobody announces what another announces already. All of this is so for each link too: a node whose second cable is cut serves nobody behind it.
/// </remarks>
internal sealed class HeartbeatTable
{
    /// <summary>Intervals without a heartbeat after which a node is silent.</summary>
    public const int LostAfter = 5;

    private const int MaxPeers = 1024;

    // Instances of nodes that have joined anew since.
    private const int MostPast = 4096;

    // A node that has just fallen silent may still have had a frame on its way.
    private static readonly TimeSpan MuteAfter = TimeSpan.FromSeconds(3);

    // Everybody has spoken several times, even when one heartbeat was lost.
    private const int ShortestListening = 3;

    // Several interfaces of each node; whoever has the key could invent more.
    private const int MostMacs = 10_000;

    private readonly string _me;
    private readonly TimeSpan _interval;
    private readonly Func<ulong> _draw;
    private readonly HashSet<MacAddress> _macs = [];
    private readonly Dictionary<ulong, Peer> _peers = [];
    private readonly Dictionary<string, Peer> _byNode = new(StringComparer.Ordinal);
    private readonly Dictionary<int, OwnLink> _links = [];
    private readonly HashSet<int> _heardLinks = [];
    private readonly HashSet<ulong> _past = [];
    private readonly Queue<ulong> _pastInOrder = new();
    private int _near;
    private TimeSpan _joinedAt;
    private ulong _sequence;
    private TimeSpan _sentAt = TimeSpan.MinValue;
    private int _echoAt;

    /// <param name="me">Our own node.</param>
    /// <param name="interval">Pause between our heartbeats where few nodes are heard.</param>
    /// <param name="draw">Draws instances: numbers that nobody can foresee.</param>
    /// <param name="now">The time.</param>
    public HeartbeatTable(string me, TimeSpan interval, Func<ulong> draw, TimeSpan now)
    {
        _me = me;
        _interval = interval;
        _draw = draw;
        Join(now);
    }

    public ulong Instance { get; private set; }

    public bool IsReady { get; private set; }

    public bool IsLeaving { get; private set; }

    public HeartbeatSight Sight { get; private set; } = HeartbeatSight.Nothing;

    /// <summary>Pause between our heartbeats: it grows with the nodes, so that the segment carries no more than some five hundred a second.</summary>
    public TimeSpan Interval => TimeSpan.FromMilliseconds(Math.Clamp(2.0 * _near, _interval.TotalMilliseconds, Math.Max(1000, _interval.TotalMilliseconds)));

    /// <summary>Begins anew: nobody knows us, and we are not ready before we have listened.</summary>
    public void Join(TimeSpan now)
    {
        Instance = _draw();
        IsReady = false;
        _joinedAt = now;
        _sequence = 0;
        // What was recorded until now does not echo the new instance.
        _past.Clear();
        _pastInOrder.Clear();
        foreach (var peer in _peers.Values)
            peer.KnowsUs = false;
        foreach (var link in _links.Values)
            (link.Since, link.IsReady) = (now, false);
    }

    /// <summary>Our links, and those of them that can be used now: one that is new is listened to before it is ready, as we are ourselves.</summary>
    /// <returns>Whether others can be reached: by a link by which somebody was ever heard, or, where there is none, by any.</returns>
    public bool UseLinks(IReadOnlyCollection<int> present, IReadOnlyCollection<int> usable, TimeSpan now)
    {
        _heardLinks.IntersectWith(present);
        foreach (int gone in _links.Keys.Where(link => !usable.Contains(link)).ToList())
            _links.Remove(gone);
        foreach (int link in usable)
            _links.TryAdd(link, new OwnLink { Since = now });
        return usable.Any(link => _heardLinks.Count == 0 || _heardLinks.Contains(link));
    }

    /// <summary>Whether we may announce by a link: what our heartbeats say there.</summary>
    public bool IsReadyOn(int link) => IsReady && !IsLeaving && _links.TryGetValue(link, out var own) && own.IsReady;

    /// <summary>We are about to stop.</summary>
    public void Leave() => IsLeaving = true;

    /// <summary>Whether a heartbeat may be sent out of turn: many nodes that start together must not answer each other without end.</summary>
    public bool MayAnswer(TimeSpan now) => _sentAt == TimeSpan.MinValue || now - _sentAt >= Interval / 4;

    /// <summary>Our next heartbeat, with the instances that it echoes.</summary>
    public Heartbeat Next(Span<ulong> echoes, TimeSpan now, out int count)
    {
        // With more than fit into a frame the next one goes on where this one ends.
        _sentAt = now;
        var heard = Heard(now).ToList();
        count = Math.Min(heard.Count, echoes.Length);
        for (int i = 0; i < count; i++)
            echoes[i] = heard[(_echoAt + i) % heard.Count].Instance;
        _echoAt = heard.Count == 0 ? 0 : (_echoAt + count) % heard.Count;
        return new Heartbeat(Instance, ++_sequence, (ushort)Interval.TotalMilliseconds, IsReady && !IsLeaving, IsLeaving);
    }

    /// <summary>Takes in an authentic heartbeat.</summary>
    /// <param name="view">The heartbeat.</param>
    /// <param name="link">By which interface it came.</param>
    /// <param name="now">The time.</param>
    public HeardKind Hear(in HeartbeatView view, int link, TimeSpan now)
    {
        var beat = view.Beat;
        if (!_peers.TryGetValue(beat.Instance, out var peer))
        {
            if (_past.Contains(beat.Instance))
                return HeardKind.Old;
            string node = view.Node;
            if (node == _me)
                return HeardKind.Own;
            if (_peers.Count >= MaxPeers && !MakeRoom(now))
                return HeardKind.TooMany;
            peer = new Peer(node, beat.Instance);
            _peers[beat.Instance] = peer;
        }
        if (!peer.Links.TryGetValue(link, out var hearing))
            peer.Links[link] = hearing = new Hearing();
        // Each goes out by all links: what one of them has passed on is not played again by another.
        if (beat.Sequence <= hearing.Sequence || beat.Sequence + 1 < peer.Sequence)
            return HeardKind.Old;
        (hearing.Sequence, peer.Sequence) = (beat.Sequence, Math.Max(beat.Sequence, peer.Sequence));
        (hearing.ReceivedAt, hearing.IsReady) = (now, beat.IsReady);
        peer.ReceivedAt = now;
        if (view.Echoes(Instance))
            (peer.KnowsUs, peer.KnewUsAt) = (true, now);
        if (!peer.KnowsUs)
            return HeardKind.Unacquainted;
        peer.HeardAt = now;
        _heardLinks.Add(link);
        peer.Timeout = TimeSpan.FromMilliseconds(beat.IntervalMilliseconds) * LostAfter;
        peer.Mac = view.Source;
        if (_macs.Count < MostMacs)
            _macs.Add(view.Source);
        (peer.IsLeaving, peer.IsMute) = (beat.IsLeaving, false);
        if (!_byNode.TryGetValue(peer.Node, out var before) || before != peer)
        {
            if (before is not null)
                Forget(before);
            _byNode[peer.Node] = peer;
        }
        return HeardKind.Taken;
    }

    /// <summary>
    /// Another machine was seen on the segment by something else than heartbeats. If it is a node that fell silent, it is these that do not get through, and its silence says nothing.
    /// </summary>
    public void SeenOtherwise(MacAddress mac, TimeSpan now)
    {
        foreach (var peer in _byNode.Values)
            peer.IsMute |= peer.Mac == mac && now - peer.HeardAt > MuteAfter;
    }

    /// <summary>Whether a heartbeat ever came from a hardware address: it is another speaker's.</summary>
    public bool Knows(MacAddress mac) => _macs.Contains(mac);

    /// <summary>Draws conclusions.</summary>
    /// <param name="now">The time.</param>
    /// <param name="mayAnnounce">Whether we would announce what falls to us.</param>
    /// <returns>Whether <see cref="Sight"/> changed.</returns>
    public bool Evaluate(TimeSpan now, bool mayAnnounce)
    {
        IsReady |= mayAnnounce && HasListened(now - _joinedAt, now, null);
        foreach (var (index, link) in _links)
            link.IsReady |= IsReady && HasListened(now - link.Since, now, index);
        var alive = new List<string>();
        var silent = new List<string>();
        var reach = _links.Keys.ToDictionary(static link => link, static _ => new List<string>());
        bool isHeard = false;
        _near = 0;
        foreach (var peer in _byNode.Values)
        {
            bool heard = now - peer.HeardAt < peer.Timeout;
            _near += heard ? 1 : 0;
            isHeard |= heard && peer.KnowsUs && now - peer.KnewUsAt < peer.Timeout * 4;
            if (heard && !peer.IsLeaving)
            {
                bool isReady = false;
                foreach (var (link, hearing) in peer.Links)
                {
                    if (!hearing.IsReady || now - hearing.ReceivedAt >= peer.Timeout)
                        continue;
                    isReady = true;
                    if (reach.TryGetValue(link, out var nodes))
                        nodes.Add(peer.Node);
                }
                (isReady ? alive : silent).Add(peer.Node);
            }
            else if (!peer.IsMute)
            {
                silent.Add(peer.Node);
            }
        }
        var before = Sight;
        if (IsReady == before.IsReady && isHeard == before.IsHeard && _heardLinks.SetEquals(before.HeardLinks) && Same(alive, before.Alive) && Same(silent, before.Silent)
            && reach.Count == before.Reach.Count && reach.All(link => before.Reach.TryGetValue(link.Key, out var nodes) && Same(link.Value, nodes))
            && _links.Values.Count(static link => link.IsReady) == before.ReadyLinks.Count && _links.All(link => link.Value.IsReady == before.ReadyLinks.Contains(link.Key)))
        {
            return false;
        }
        Sight = new HeartbeatSight(alive.ToFrozenSet(StringComparer.Ordinal), silent.ToFrozenSet(StringComparer.Ordinal), IsReady, isHeard)
        {
            Reach = reach.ToFrozenDictionary(static link => link.Key, static link => link.Value.ToFrozenSet(StringComparer.Ordinal)),
            HeardLinks = _heardLinks.ToFrozenSet(),
            ReadyLinks = _links.Where(static link => link.Value.IsReady).Select(static link => link.Key).ToFrozenSet(),
        };
        return true;
    }

    private static bool Same(List<string> nodes, FrozenSet<string> before) => nodes.Count == before.Count && nodes.TrueForAll(before.Contains);

    /// <summary>Whether everybody who would speak had the time to: on all links, or on one.</summary>
    private bool HasListened(TimeSpan time, TimeSpan now, int? link) =>
        time >= _interval * (LostAfter + 1) || (time >= _interval * ShortestListening && EverybodyKnowsUs(now, link));

    private bool EverybodyKnowsUs(TimeSpan now, int? link)
    {
        bool any = false;
        foreach (var peer in Heard(now))
        {
            if (link is { } only && !peer.Links.ContainsKey(only))
                continue;
            if (!peer.KnowsUs)
                return false;
            any = true;
        }
        return any;
    }

    private IEnumerable<Peer> Heard(TimeSpan now) => _peers.Values.Where(peer => now - peer.ReceivedAt < _interval * (2 * LostAfter));

    private bool MakeRoom(TimeSpan now)
    {
        var gone = _peers.Values.Where(peer => now - peer.ReceivedAt > TimeSpan.FromMinutes(1)).ToList();
        foreach (var peer in gone)
        {
            Forget(peer);
            if (_byNode.TryGetValue(peer.Node, out var known) && known == peer)
                _byNode.Remove(peer.Node);
        }
        return gone.Count > 0;
    }

    /// <summary>Its frames, recorded and played again, are still known for what they are.</summary>
    private void Forget(Peer peer)
    {
        _peers.Remove(peer.Instance);
        if (_past.Count == MostPast)
            _past.Remove(_pastInOrder.Dequeue());
        if (_past.Add(peer.Instance))
            _pastInOrder.Enqueue(peer.Instance);
    }

    private sealed class Peer(string node, ulong instance)
    {
        public string Node => node;

        public ulong Instance => instance;

        /// <summary>What came by each of our links.</summary>
        public Dictionary<int, Hearing> Links { get; } = [];

        /// <summary>The newest by any link.</summary>
        public ulong Sequence { get; set; }

        public TimeSpan ReceivedAt { get; set; }

        public TimeSpan HeardAt { get; set; }

        public TimeSpan KnewUsAt { get; set; }

        public TimeSpan Timeout { get; set; }

        public MacAddress Mac { get; set; }

        public bool KnowsUs { get; set; }

        public bool IsLeaving { get; set; }

        public bool IsMute { get; set; }
    }

    /// <summary>The newest heartbeat of a node by one link.</summary>
    private sealed class Hearing
    {
        public ulong Sequence { get; set; }

        public TimeSpan ReceivedAt { get; set; }

        public bool IsReady { get; set; }
    }

    private sealed class OwnLink
    {
        public TimeSpan Since { get; set; }

        public bool IsReady { get; set; }
    }
}
