namespace DynamicLb.Speaker.Layer2;

/// <summary>What becomes of a frame that arrived.</summary>
internal enum FrameVerdict
{
    /// <summary>It asks for an address of ours.</summary>
    Answer = 0,

    /// <summary>Another machine says that an address of ours is its own.</summary>
    Claim,

    /// <summary>Not ARP for IPv4 over Ethernet, or not what RFC 4861 §7.1 asks of Neighbor Discovery.</summary>
    Malformed,

    /// <summary>A reply, or an advertisement.</summary>
    NotARequest,

    /// <summary>Sent to another machine.</summary>
    ForAnotherStation,

    /// <summary>Sent by ourselves, by way of another interface on the same LAN.</summary>
    FromOurselves,

    /// <summary>Asks for an address that is not ours, or says to have one that is ours on other interfaces only.</summary>
    NotAnnounced,

    /// <summary>Asks for an address whose lease has ended.</summary>
    Expired,

    /// <summary>It waited while our process stood still, and others have taken over meanwhile.</summary>
    Late,
}
