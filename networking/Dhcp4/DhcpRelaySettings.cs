using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>What a <see cref="RelayDhcpTransport"/> is told. Immutable.</summary>
public sealed record DhcpRelaySettings
{
    /// <summary>The servers: every message that is for nobody in particular goes to each of them. At least one.</summary>
    public required IReadOnlyList<IPv4Address> Servers { get; init; }

    /// <summary>
    /// Any address of the subnet to lease from, where the relay's own is not in it: the link selection sub-option of option 82 (RFC 3527).
    /// </summary>
    public IPv4Address? LinkSelection { get; init; }

    /// <summary>The same wish as the subnet selection option 118 (RFC 3011), for servers that know that one.</summary>
    public IPv4Address? SubnetSelection { get; init; }
}
