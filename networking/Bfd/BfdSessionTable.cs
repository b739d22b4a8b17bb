using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bfd;

/// <summary>
/// All sessions of a host: finds the one that a packet is for (RFC 5880 §6.3, RFC 5881 §3, RFC 5883 §3), and the one that is due. A machine as they are: no sockets, no clock.
/// Not thread-safe.
/// </summary>
public sealed class BfdSessionTable(Random random, IBfdEffects effects)
{
    private const int FullTimeToLive = 255;
    /// <summary>An echo packet has been forwarded once when it is back.</summary>
    private const int EchoTimeToLive = 254;

    private readonly Dictionary<uint, BfdSession> _byDiscriminator = [];
    private readonly Dictionary<IPv6Address, List<BfdSession>> _byPeer = [];
    private readonly BfdTimerQueue _queue = new();

    /// <summary>How many there are.</summary>
    public int Count => _byDiscriminator.Count;

    /// <summary>All.</summary>
    public IReadOnlyCollection<BfdSession> Sessions => _byDiscriminator.Values;

    /// <summary>When <see cref="Advance"/> is to be called next at the latest; <see cref="TimeSpan.MaxValue"/> for never.</summary>
    public TimeSpan NextDue => _queue.Due;

    /// <summary>Adds a session; its first packet is due at once.</summary>
    public BfdSession Add(BfdSettings settings, BfdPath path, TimeSpan now)
    {
        uint discriminator;
        do
            discriminator = (uint)random.NextInt64(1, 1L << 32);
        while (_byDiscriminator.ContainsKey(discriminator));
        var session = new BfdSession(settings, path, discriminator, random, effects, now);
        _byDiscriminator.Add(discriminator, session);
        if (!_byPeer.TryGetValue(path.PeerKey, out var sessions))
            _byPeer.Add(path.PeerKey, sessions = []);
        sessions.Add(session);
        _queue.Update(session);
        return session;
    }

    /// <summary>Ends a session; the other side is told that this is no failure of the path.</summary>
    public void Remove(BfdSession session, TimeSpan now)
    {
        if (!_byDiscriminator.Remove(session.LocalDiscriminator))
            return;
        session.SetAdminDown(true, now);
        _queue.Remove(session);
        var sessions = _byPeer[session.Path.PeerKey];
        sessions.Remove(session);
        if (sessions.Count == 0)
            _byPeer.Remove(session.Path.PeerKey);
    }

    /// <summary>Replaces a session's configuration.</summary>
    public void Configure(BfdSession session, BfdSettings settings, TimeSpan now)
    {
        session.Configure(settings, now);
        _queue.Update(session);
    }

    /// <summary>Holds a session down, or lets it go.</summary>
    public void SetAdminDown(BfdSession session, bool isDown, TimeSpan now)
    {
        session.SetAdminDown(isDown, now);
        _queue.Update(session);
    }

    /// <summary>A datagram came to one of the ports for control packets.</summary>
    /// <param name="arrival">How.</param>
    /// <param name="datagram">Its payload.</param>
    /// <param name="now">The time.</param>
    /// <param name="session">The session it is for; may be null when it was dropped.</param>
    public BfdDropReason Receive(in BfdArrival arrival, ReadOnlySpan<byte> datagram, TimeSpan now, out BfdSession? session)
    {
        session = null;
        // Whoever is not on the link is not even read (RFC 5881 §5, RFC 5082).
        if (!arrival.IsMultiHop && arrival.TimeToLive != FullTimeToLive)
            return BfdDropReason.TimeToLive;
        if (!BfdPacket.TryParse(datagram, out var packet, out int length, out var reason))
            return reason;
        if (packet.YourDiscriminator != 0)
        {
            if (!_byDiscriminator.TryGetValue(packet.YourDiscriminator, out session) || !session.Path.Accepts(arrival))
                return BfdDropReason.YourDiscriminator;
        }
        else
        {
            if (packet.State is BfdState.Init or BfdState.Up)
                return BfdDropReason.State;
            session = Find(arrival);
            if (session is null)
                return BfdDropReason.NoSession;
        }
        if (arrival.IsMultiHop && arrival.TimeToLive < session.Settings.MinimumTimeToLive)
            return BfdDropReason.TimeToLive;
        reason = session.Receive(packet, datagram[..length], now);
        _queue.Update(session);
        return reason;
    }

    /// <summary>An echo packet came; only one of ours that has been forwarded once, and no more often, says that the path works.</summary>
    /// <param name="timeToLive">TTL or hop limit on arrival.</param>
    /// <param name="payload">The datagram's payload.</param>
    /// <param name="now">The time.</param>
    /// <returns>The session; null when it is none of ours.</returns>
    public BfdSession? ReceiveEcho(int timeToLive, ReadOnlySpan<byte> payload, TimeSpan now)
    {
        if (timeToLive != EchoTimeToLive || !BfdSession.TryReadEcho(payload, out uint discriminator, out ulong secret)
            || !_byDiscriminator.TryGetValue(discriminator, out var session) || !session.ReceiveEcho(secret, now))
            return null;
        _queue.Update(session);
        return session;
    }

    /// <summary>The session with whoever sent an echo packet, if it is up and its peer may send some.</summary>
    internal BfdSession? FindEchoing(in BfdArrival arrival) =>
        Find(arrival) is { State: BfdState.Up, Settings.UsesEcho: true, Path.CanEcho: true } session ? session : null;

    /// <summary>Does what is due.</summary>
    public void Advance(TimeSpan now)
    {
        // Each is asked once: one that is due again at the same moment waits for the next call.
        for (int left = _byDiscriminator.Count; left > 0 && _queue.Due <= now; left--)
        {
            var session = _queue.First;
            session.Advance(now);
            _queue.Update(session);
        }
    }

    private BfdSession? Find(in BfdArrival arrival)
    {
        if (!_byPeer.TryGetValue(arrival.Source, out var sessions))
            return null;
        foreach (var session in sessions)
        {
            if (session.Path.Accepts(arrival))
                return session;
        }
        return null;
    }
}
