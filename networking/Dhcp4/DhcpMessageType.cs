namespace DynamicLb.Networking.Dhcp4;

/// <summary>DHCP message types: the value of option 53 (RFC 2132 §9.6).</summary>
public enum DhcpMessageType
{
    /// <summary>No type: not a DHCP message.</summary>
    None = 0,

    /// <summary>DHCPDISCOVER: a client looks for servers.</summary>
    Discover = 1,

    /// <summary>DHCPOFFER: a server offers an address.</summary>
    Offer = 2,

    /// <summary>DHCPREQUEST: a client asks for one address.</summary>
    Request = 3,

    /// <summary>DHCPDECLINE: a client found the address in use.</summary>
    Decline = 4,

    /// <summary>DHCPACK: the server grants the lease.</summary>
    Ack = 5,

    /// <summary>DHCPNAK: the server refuses.</summary>
    Nak = 6,

    /// <summary>DHCPRELEASE: a client gives its address back.</summary>
    Release = 7,

    /// <summary>DHCPINFORM: a client asks for options only. Never sent.</summary>
    Inform = 8,
}
