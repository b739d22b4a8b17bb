namespace DynamicLb.Networking.Bgp;

/// <summary>States of a session (RFC 4271 §8.2.2).</summary>
public enum BgpState
{
    /// <summary>Stopped.</summary>
    Idle = 0,

    /// <summary>A connection is being made.</summary>
    Connect,

    /// <summary>Waiting to try again, or for the peer to connect.</summary>
    Active,

    /// <summary>Connected; the peer's OPEN is waited for.</summary>
    OpenSent,

    /// <summary>Its OPEN was right; its KEEPALIVE is waited for.</summary>
    OpenConfirm,

    /// <summary>Routes are exchanged.</summary>
    Established,
}

/// <summary>Which AS the peer may be of.</summary>
public enum BgpPeerAs
{
    /// <summary>The one that is configured.</summary>
    Configured = 0,

    /// <summary>Ours.</summary>
    Internal,

    /// <summary>Any but ours.</summary>
    External,
}

/// <summary>What a session is configured to be. Immutable.</summary>
/// <param name="LocalAsn">Our AS number in the session.</param>
/// <param name="PeerAs">Which AS the peer may be of.</param>
/// <param name="PeerAsn">Its number, when it is configured.</param>
/// <param name="Families">Families to announce; at least one.</param>
public sealed record BgpSettings(uint LocalAsn, BgpPeerAs PeerAs, uint PeerAsn, IReadOnlyList<BgpFamily> Families)
{
    /// <summary>Hold time in seconds to propose: 0 for none, or 3 to 65535.</summary>
    public ushort HoldSeconds { get; init; } = 90;

    /// <summary>Most time between KEEPALIVEs; null for a third of the hold time agreed on.</summary>
    public TimeSpan? Keepalive { get; init; }

    /// <summary>Longest pause between attempts to connect; the first ones come sooner.</summary>
    public TimeSpan ConnectRetry { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long one attempt may take.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long the peer may take for its OPEN.</summary>
    public TimeSpan OpenTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long nothing may go out although something is to be said (RFC 9687); null for twice the hold time, at least eight minutes.</summary>
    public TimeSpan? SendHold { get; init; }

    /// <summary>Whether we wait for the peer to connect.</summary>
    public bool IsPassive { get; init; }

    /// <summary>Whether families are announced as capabilities; without, IPv4 is meant.</summary>
    public bool MultiProtocol { get; init; } = true;

    /// <summary>Whether IPv4 routes may get IPv6 next hops (RFC 8950).</summary>
    public bool ExtendedNextHop { get; init; }

    /// <summary>Seconds that the peer keeps our routes while we restart, 1 to 4095; 0 for no graceful restart.</summary>
    public int RestartSeconds { get; init; }
}

/// <summary>A session that was established: what both OPENs said, and what follows. Immutable.</summary>
/// <param name="Connection">The connection it runs on.</param>
/// <param name="Local">Our OPEN.</param>
/// <param name="Remote">The peer's OPEN.</param>
public sealed record BgpEstablished(int Connection, BgpOpen Local, BgpOpen Remote)
{
    /// <summary>Whether the peer is of our AS.</summary>
    public bool IsInternal => Local.Asn == Remote.Asn;

    /// <summary>The hold time agreed on; zero for none.</summary>
    public TimeSpan HoldTime => TimeSpan.FromSeconds(Math.Min(Local.HoldSeconds, Remote.HoldSeconds));

    /// <summary>Whether long messages were agreed on.</summary>
    public bool ExtendedMessage => Local.ExtendedMessage && Remote.ExtendedMessage;

    /// <summary>Whether the peer keeps our routes through a restart, and through NOTIFICATIONs that are no hard resets.</summary>
    public bool KeepsRoutes => Local.GracefulRestart is not null && Remote.GracefulRestart is not null;

    /// <summary>Whether NOTIFICATIONs keep routes, too (RFC 8538).</summary>
    public bool KeepsRoutesOnNotification => Local.GracefulRestart is { Notifications: true } && Remote.GracefulRestart is { Notifications: true };

    /// <summary>Families agreed on.</summary>
    public IReadOnlyList<BgpFamily> Families => FamiliesOf(Local, Remote);

    /// <summary>How routes are written; next hops are not in it.</summary>
    public BgpEncoding Encoding => new(Local.Asn, IsInternal, Families)
    {
        FourOctetAs = Remote.FourOctetAs,
        LongestMessage = ExtendedMessage ? BgpWire.LongestExtendedMessage : BgpWire.LongestMessage,
        ExtendedNextHop = Local.ExtendedNextHop && Remote.ExtendedNextHop,
    };

    internal static IReadOnlyList<BgpFamily> FamiliesOf(BgpOpen local, BgpOpen remote)
    {
        IReadOnlyList<BgpFamily> ours = local.Families.Count == 0 ? [BgpFamily.IPv4] : local.Families, theirs = remote.Families.Count == 0 ? [BgpFamily.IPv4] : remote.Families;
        return [.. ours.Where(theirs.Contains)];
    }
}

/// <summary>What a <see cref="BgpFsm"/> wants done. Calls come from within its methods, in the order in which they are to happen.</summary>
public interface IBgpEffects
{
    /// <summary>Begin a connection; to be answered by <see cref="BgpFsm.Connected"/> or <see cref="BgpFsm.ConnectFailed"/>, later.</summary>
    void Connect();

    /// <summary>Give the attempt up. No answer is expected any more.</summary>
    void CancelConnect();

    /// <summary>Send a message.</summary>
    void Send(int connection, byte[] message);

    /// <summary>Close a connection when what was to be sent has gone, or cannot go. Nothing of it is to be reported any more.</summary>
    void Close(int connection);

    /// <summary>A session was established.</summary>
    void Up(BgpEstablished session);

    /// <summary>The session, or an attempt at one, ended.</summary>
    /// <param name="cause">Why, in words.</param>
    /// <param name="wasEstablished">Whether it was established.</param>
    void Down(string cause, bool wasEstablished);

    /// <summary>The peer asks for all routes of a family again.</summary>
    void Refresh(BgpFamily family);

    /// <summary>An UPDATE came.</summary>
    void Received(BgpUpdate update);

    /// <summary>A NOTIFICATION was sent or received.</summary>
    void Notified(BgpNotification notification, bool isSent);
}
