namespace DynamicLb.Networking.Bfd;

/// <summary>Keeps BFD sessions. Thread-safe.</summary>
public interface IBfdHost
{
    /// <summary>Begins a session.</summary>
    /// <param name="settings">Its configuration.</param>
    /// <param name="path">The peer. There must be no other session with the same.</param>
    /// <param name="changed">Told of each change of state, on the host's thread; must not block.</param>
    /// <returns>Ends the session when it is disposed.</returns>
    IBfdWatch Watch(BfdSettings settings, BfdPath path, Action<BfdChange>? changed = null);

    /// <summary>Packets that were dropped so far for a reason.</summary>
    long Dropped(BfdDropReason reason);
}

/// <summary>A session that an <see cref="IBfdHost"/> keeps; ends when it is disposed, the peer being told that this is no failure. Thread-safe.</summary>
public interface IBfdWatch : IDisposable
{
    /// <summary>The two ends.</summary>
    BfdPath Path { get; }

    /// <summary>How it stands.</summary>
    BfdStatus Status { get; }

    /// <summary>What it has done.</summary>
    BfdCounts Counts { get; }

    /// <summary>Replaces the configuration; a session that is up stays up.</summary>
    void Configure(BfdSettings settings);

    /// <summary>Holds the session down without calling that a failure, or lets it go.</summary>
    void SetAdminDown(bool isDown);
}

/// <summary>What a session has done so far.</summary>
/// <param name="ControlIn">Control packets taken.</param>
/// <param name="ControlOut">Control packets sent.</param>
/// <param name="EchoIn">Echo packets that came back.</param>
/// <param name="EchoOut">Echo packets sent.</param>
/// <param name="Ups">How often it came up.</param>
/// <param name="Downs">How often it was up and went down.</param>
/// <param name="Notifications">How often its owner was told of a change.</param>
public readonly record struct BfdCounts(long ControlIn, long ControlOut, long EchoIn, long EchoOut, long Ups, long Downs, long Notifications);

/// <summary>A session changed its state.</summary>
/// <param name="Before">What it was.</param>
/// <param name="After">What it is.</param>
/// <param name="Diagnostic">Why.</param>
/// <param name="IsFailure">
/// Whether this says that the path no longer works: it was up, and neither side took its session down on purpose (RFC 5882 §3.2 and §4.2).
/// </param>
public readonly record struct BfdChange(BfdState Before, BfdState After, BfdDiagnostic Diagnostic, bool IsFailure);

/// <summary>How a session stands. Immutable.</summary>
/// <param name="State">Our state.</param>
/// <param name="RemoteState">The peer's.</param>
/// <param name="Diagnostic">Why ours is what it is.</param>
/// <param name="RemoteDiagnostic">Why the peer's is.</param>
/// <param name="TransmitInterval">Pause between our packets, before jitter.</param>
/// <param name="DetectionTime">How long nothing may be heard; zero while the peer is unknown.</param>
/// <param name="EchoInterval">Pause between echo packets; zero when none are sent.</param>
public sealed record BfdStatus(
    BfdState State, BfdState RemoteState, BfdDiagnostic Diagnostic, BfdDiagnostic RemoteDiagnostic, TimeSpan TransmitInterval, TimeSpan DetectionTime, TimeSpan EchoInterval)
{
    /// <summary>Before anything is known.</summary>
    public static BfdStatus Unknown { get; } = new(BfdState.Down, BfdState.Down, BfdDiagnostic.None, BfdDiagnostic.None, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);
}
