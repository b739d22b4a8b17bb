namespace DynamicLb.Networking.Bfd;

/// <summary>What a session is told by its configuration; may be replaced while it runs. Immutable.</summary>
public sealed record BfdSettings
{
    /// <summary>Shortest pause between received control packets that is asked for, 10 ms to 60 s.</summary>
    public TimeSpan ReceiveInterval { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>Shortest pause between sent control packets, 10 ms to 60 s. While the session is not up it is a second at least.</summary>
    public TimeSpan TransmitInterval { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>How many packets in a row must be lost before the other side fails the session, and before we miss our echoes; 1 to 255.</summary>
    public byte DetectMultiplier { get; init; } = 3;

    /// <summary>Whether echo packets are sent, and those of the other side expected to find their way back through this host. With one hop and IPv4 only.</summary>
    public bool UsesEcho { get; init; }

    /// <summary>Shortest pause between echo packets in either direction, 10 ms to 60 s.</summary>
    public TimeSpan EchoInterval { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Whether nothing is sent before the other side is heard (RFC 5880 §6.1).</summary>
    public bool IsPassive { get; init; }

    /// <summary>The least TTL or hop limit of packets that come over several hops, 1 to 254; with one hop it is always 255.</summary>
    public int MinimumTimeToLive { get; init; } = 254;

    /// <summary>Authentication, or null for none.</summary>
    public BfdAuthentication? Authentication { get; init; }
}

/// <summary>Where a machine's doings go. Called on the caller's thread; must not call the machine.</summary>
public interface IBfdEffects
{
    /// <summary>A control packet is to be sent.</summary>
    void Send(BfdSession session, ReadOnlySpan<byte> packet);

    /// <summary>An echo packet is to be sent so that it comes back to us.</summary>
    /// <returns>Whether it has left.</returns>
    bool SendEcho(BfdSession session, ReadOnlySpan<byte> packet);

    /// <summary>The session changed its state.</summary>
    void Changed(BfdSession session, BfdState before);
}
