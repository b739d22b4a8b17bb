namespace DynamicLb.Networking.Bfd;

/// <summary>State of a session (RFC 5880 §4.1).</summary>
public enum BfdState : byte
{
    /// <summary>Held down by the administrator; says nothing about the path.</summary>
    AdminDown = 0,

    /// <summary>The path does not work, or is not known to.</summary>
    Down = 1,

    /// <summary>The other side is heard, and not known to hear us.</summary>
    Init = 2,

    /// <summary>The path works both ways.</summary>
    Up = 3,
}

/// <summary>Why a session last changed its state (RFC 5880 §4.1); 9 to 31 are reserved.</summary>
public enum BfdDiagnostic : byte
{
    /// <summary>Nothing is wrong.</summary>
    None = 0,

    /// <summary>No control packet came for the detection time.</summary>
    ControlDetectionTimeExpired = 1,

    /// <summary>No echo packet came back for the detection time.</summary>
    EchoFunctionFailed = 2,

    /// <summary>The other side said that its session is down.</summary>
    NeighborSignaledSessionDown = 3,

    /// <summary>The forwarding plane was reset.</summary>
    ForwardingPlaneReset = 4,

    /// <summary>The path is down.</summary>
    PathDown = 5,

    /// <summary>A path behind this one is down.</summary>
    ConcatenatedPathDown = 6,

    /// <summary>Held down by the administrator.</summary>
    AdministrativelyDown = 7,

    /// <summary>The path back is down.</summary>
    ReverseConcatenatedPathDown = 8,
}

/// <summary>What became of a packet: the first rule of RFC 5880 §6.8.6 that it breaks, or of RFC 5881 §5 and RFC 5883 §5 for its way to us.</summary>
public enum BfdDropReason
{
    /// <summary>It was taken.</summary>
    None,

    /// <summary>Shorter than a packet, or than its length field says.</summary>
    Truncated,

    /// <summary>Another version than 1.</summary>
    Version,

    /// <summary>The length field is too small.</summary>
    Length,

    /// <summary>The detect multiplier is 0.</summary>
    DetectMultiplier,

    /// <summary>The multipoint bit is set.</summary>
    Multipoint,

    /// <summary>My Discriminator is 0.</summary>
    MyDiscriminator,

    /// <summary>Your Discriminator names no session of ours, or one with another peer.</summary>
    YourDiscriminator,

    /// <summary>Your Discriminator is 0 in a state that only who knows it can be in.</summary>
    State,

    /// <summary>Your Discriminator is 0, and there is no session with the sender.</summary>
    NoSession,

    /// <summary>It has been forwarded by more routers than it may: the TTL or hop limit is too low.</summary>
    TimeToLive,

    /// <summary>An authentication section where none is agreed on, or none where one is.</summary>
    AuthenticationPresence,

    /// <summary>The authentication section is not of the agreed type and key, is malformed, is out of sequence, or does not fit.</summary>
    Authentication,

    /// <summary>The session is held down by the administrator.</summary>
    AdminDown,
}

/// <summary>Diagnostics and reasons in words.</summary>
public static class BfdWords
{
    /// <summary>For logs and status.</summary>
    public static string Describe(this BfdDiagnostic diagnostic) => diagnostic switch
    {
        BfdDiagnostic.None => "no fault",
        BfdDiagnostic.ControlDetectionTimeExpired => "no control packet came for the detection time",
        BfdDiagnostic.EchoFunctionFailed => "no echo packet came back for the detection time",
        BfdDiagnostic.NeighborSignaledSessionDown => "the peer says its session is down",
        BfdDiagnostic.ForwardingPlaneReset => "the forwarding plane was reset",
        BfdDiagnostic.PathDown => "the path is down",
        BfdDiagnostic.ConcatenatedPathDown => "a path behind this one is down",
        BfdDiagnostic.AdministrativelyDown => "administratively down",
        BfdDiagnostic.ReverseConcatenatedPathDown => "the path back is down",
        _ => $"diagnostic {(int)diagnostic}",
    };
}
