namespace DynamicLb.Networking.Dhcp4;

/// <summary>DHCP option codes by name (RFC 2132 and those cited). Any other code is a value of this type, too.</summary>
public enum DhcpOptionCode
{
    /// <summary>Padding, one byte.</summary>
    Pad = 0,

    /// <summary>Subnet mask, four bytes.</summary>
    SubnetMask = 1,

    /// <summary>Routers, four bytes each, best first.</summary>
    Router = 3,

    /// <summary>Name servers, four bytes each.</summary>
    DomainNameServer = 6,

    /// <summary>Host name, text without a terminating NUL.</summary>
    HostName = 12,

    /// <summary>Domain name, text.</summary>
    DomainName = 15,

    /// <summary>Interface MTU, two bytes.</summary>
    InterfaceMtu = 26,

    /// <summary>Broadcast address, four bytes.</summary>
    BroadcastAddress = 28,

    /// <summary>Address the client would like, four bytes.</summary>
    RequestedAddress = 50,

    /// <summary>Lease time in seconds, four bytes; 0xffffffff is for ever.</summary>
    LeaseTime = 51,

    /// <summary>Which of <c>file</c> and <c>sname</c> hold options, one byte.</summary>
    Overload = 52,

    /// <summary>Message type, one byte.</summary>
    MessageType = 53,

    /// <summary>Server identifier, four bytes.</summary>
    ServerId = 54,

    /// <summary>Codes the client asks for, one byte each.</summary>
    ParameterRequestList = 55,

    /// <summary>Text that explains a refusal, a RELEASE or a DECLINE.</summary>
    Message = 56,

    /// <summary>Largest message the sender takes, two bytes.</summary>
    MaximumMessageSize = 57,

    /// <summary>T1: seconds until renewal begins, four bytes.</summary>
    RenewalTime = 58,

    /// <summary>T2: seconds until rebinding begins, four bytes.</summary>
    RebindingTime = 59,

    /// <summary>Vendor class identifier, text.</summary>
    VendorClass = 60,

    /// <summary>Client identifier, at least two bytes (RFC 2132 §9.14, RFC 6842).</summary>
    ClientId = 61,

    /// <summary>The client's name with its domain (RFC 4702): flags, two bytes, labels.</summary>
    Fqdn = 81,

    /// <summary>Relay agent information (RFC 3046); always the last option.</summary>
    RelayAgentInformation = 82,

    /// <summary>Subnet to lease from, four bytes (RFC 3011).</summary>
    SubnetSelection = 118,

    /// <summary>End of the options, one byte.</summary>
    End = 255,
}
