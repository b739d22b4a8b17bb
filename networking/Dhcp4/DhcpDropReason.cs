namespace DynamicLb.Networking.Dhcp4;

/// <summary>Why something that was received is not used. Every value is a counter's label; dropping never ends an exchange, its timers run on.</summary>
public enum DhcpDropReason
{
    /// <summary>Not dropped.</summary>
    None = 0,

    /// <summary>The frame is no IPv4 packet, or its header is damaged.</summary>
    BadIpHeader,

    /// <summary>The packet is a fragment.</summary>
    Fragment,

    /// <summary>Not UDP, or not for the client port 68.</summary>
    OtherPort,

    /// <summary>The UDP length does not fit the packet.</summary>
    BadUdpLength,

    /// <summary>Shorter than the fixed part and the magic cookie, 240 bytes.</summary>
    TooShort,

    /// <summary><c>op</c> is not BOOTREPLY (2).</summary>
    NotAReply,

    /// <summary><c>htype</c> is not Ethernet (1).</summary>
    BadHardwareType,

    /// <summary><c>hlen</c> is not 6.</summary>
    BadHardwareLength,

    /// <summary>The magic cookie 63 82 53 63 is missing.</summary>
    BadCookie,

    /// <summary>An option ends outside its field.</summary>
    MalformedOptions,

    /// <summary>Option 53 is missing or not one byte long.</summary>
    NoMessageType,

    /// <summary>Not an OFFER, ACK or NAK.</summary>
    UnexpectedMessageType,

    /// <summary>An answer to a relay, <c>giaddr</c>, that is not this one.</summary>
    OtherRelay,

    /// <summary>No exchange with this transaction id is outstanding: another host's, or an answer to an exchange that is over.</summary>
    UnknownTransaction,

    /// <summary><c>chaddr</c> is not the lease's.</summary>
    OtherHardwareAddress,

    /// <summary>Option 54 is missing or not four bytes long.</summary>
    NoServerId,

    /// <summary>Option 54 is 0.0.0.0, broadcast or multicast.</summary>
    BadServerId,

    /// <summary>Option 61 is not the one we sent (RFC 6842).</summary>
    OtherClientId,

    /// <summary>The server is not among those allowed.</summary>
    RogueServer,

    /// <summary>The message does not belong into the state of the exchange.</summary>
    WrongState,

    /// <summary>An ACK or NAK of a server other than the one that was asked.</summary>
    OtherServer,

    /// <summary>A NAK of a server that is not the lease's.</summary>
    ForeignNak,

    /// <summary>Option 51 is missing, zero, or not four bytes long.</summary>
    NoLeaseTime,

    /// <summary>The lease is shorter than the minimum.</summary>
    LeaseTooShort,

    /// <summary>The offered address cannot be used; <see cref="IDhcpClientEffects.ReplyDropped"/> carries the cause.</summary>
    AddressRefused,

    /// <summary>The same OFFER again.</summary>
    Duplicate,
}
