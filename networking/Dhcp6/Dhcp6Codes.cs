namespace DynamicLb.Networking.Dhcp6;

/// <summary>Message types of DHCPv6 that a client sends or receives (RFC 8415 §7.3).</summary>
public enum Dhcp6MessageType : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Looks for servers.</summary>
    Solicit = 1,

    /// <summary>A server's answer to a Solicit.</summary>
    Advertise = 2,

    /// <summary>Asks one server for addresses.</summary>
    Request = 3,

    /// <summary>Asks whether addresses are right for the link.</summary>
    Confirm = 4,

    /// <summary>Asks the lease's server to extend it.</summary>
    Renew = 5,

    /// <summary>Asks any server to extend a lease.</summary>
    Rebind = 6,

    /// <summary>A server's answer to everything else.</summary>
    Reply = 7,

    /// <summary>Gives an address back.</summary>
    Release = 8,

    /// <summary>Says that somebody else uses the address.</summary>
    Decline = 9,

    /// <summary>A server's wish that the client ask again. Never accepted here.</summary>
    Reconfigure = 10,

    /// <summary>A client's message, wrapped by a relay agent.</summary>
    RelayForward = 12,

    /// <summary>A server's answer for a relay agent to unwrap.</summary>
    RelayReply = 13,
}

/// <summary>Options of DHCPv6 that are read or written (RFC 8415 §21, RFC 4704).</summary>
public enum Dhcp6OptionCode : ushort
{
    /// <summary>The client's DUID.</summary>
    ClientId = 1,

    /// <summary>The server's DUID.</summary>
    ServerId = 2,

    /// <summary>An identity association for addresses that are not temporary.</summary>
    IaNa = 3,

    /// <summary>An address within an identity association.</summary>
    IaAddress = 5,

    /// <summary>Codes of the options that the client wants.</summary>
    OptionRequest = 6,

    /// <summary>The server's preference; 255 ends the search.</summary>
    Preference = 7,

    /// <summary>Time since the exchange began, in hundredths of a second.</summary>
    ElapsedTime = 8,

    /// <summary>A relayed message.</summary>
    RelayMessage = 9,

    /// <summary>A status code.</summary>
    StatusCode = 13,

    /// <summary>Two messages instead of four.</summary>
    RapidCommit = 14,

    /// <summary>A relay agent's name for the link it relays for.</summary>
    InterfaceId = 18,

    /// <summary>The client's name for DNS.</summary>
    Fqdn = 39,

    /// <summary>Longest pause between Solicits, in seconds.</summary>
    SolMaxRt = 82,
}

/// <summary>Status codes (RFC 8415 §21.13).</summary>
public enum Dhcp6StatusCode : ushort
{
    /// <summary>All went well; also when there is no status option.</summary>
    Success = 0,

    /// <summary>Failure for a reason that is not told.</summary>
    UnspecFail = 1,

    /// <summary>The server has no address for this client.</summary>
    NoAddrsAvail = 2,

    /// <summary>The server does not know the lease.</summary>
    NoBinding = 3,

    /// <summary>The address does not belong on this link.</summary>
    NotOnLink = 4,

    /// <summary>The message should have been sent by multicast. Obsolete: every message is.</summary>
    UseMulticast = 5,
}

/// <summary>Why something that was received is not used. Every value is a counter's label; dropping never ends an exchange, its timers run on.</summary>
public enum Dhcp6DropReason
{
    /// <summary>Not dropped.</summary>
    None = 0,

    /// <summary>Not a whole UDP datagram to port 546 over IPv6, or one with extension headers, a fragment among them.</summary>
    BadHeader,

    /// <summary>Shorter than the header of its message type.</summary>
    TooShort,

    /// <summary>An option ends outside the message or the option around it, has a wrong length, or is there twice.</summary>
    MalformedOptions,

    /// <summary>Neither an Advertise nor a Reply.</summary>
    UnexpectedMessageType,

    /// <summary>An answer that was sent to another relay agent, or by it.</summary>
    OtherRelay,

    /// <summary>No exchange with this transaction id is outstanding.</summary>
    UnknownTransaction,

    /// <summary>Client identifier missing or not ours.</summary>
    OtherClientId,

    /// <summary>Server identifier missing.</summary>
    NoServerId,

    /// <summary>The server is not among those allowed.</summary>
    RogueServer,

    /// <summary>The message does not belong into the state of the exchange.</summary>
    WrongState,

    /// <summary>An answer of a server other than the one that was asked.</summary>
    OtherServer,

    /// <summary>A server that did not grant the lease denies it.</summary>
    ForeignDenial,

    /// <summary>The status says no; the exchange goes on by its timers.</summary>
    Status,

    /// <summary>Our identity association, or our address in it, is missing.</summary>
    NoAddress,

    /// <summary>T1 beyond T2, the preferred lifetime beyond the valid one, or a lifetime shorter than the minimum.</summary>
    BadLifetimes,

    /// <summary>The address cannot be used; <see cref="IDhcp6ClientEffects.ReplyDropped"/> carries the cause.</summary>
    AddressRefused,
}
