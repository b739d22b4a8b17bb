using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Configuration;

/// <summary>Whether an address is looked for by ARP before its first use.</summary>
internal enum ProbeMode
{
    On = 0,

    /// <summary>With the times of RFC 5227.</summary>
    Strict,
    Off,
}

/// <summary>Whether it is told that another host uses an address that a lease holds.</summary>
internal enum ConflictWatch
{
    /// <summary>If it is known which hosts announce.</summary>
    Auto = 0,
    On,
    Off,
}

/// <summary>Where addresses are leased, and how: an interface, perhaps one VLAN of it.</summary>
internal sealed class InterfaceOptions
{
    /// <summary>By which requests and stored leases name it; null for the only one, which has no other name than its device's.</summary>
    public string? Name { get; set; }

    /// <summary>The kernel's name for it; <c>auto</c> is the one with the default route.</summary>
    public string Device { get; set; } = "auto";

    /// <summary>The VLAN on it, 1 to 4094; 0 for untagged.</summary>
    public int Vlan { get; set; }

    public TransportMode Transport { get; set; }

    public IdentityMode Identity { get; set; }

    /// <summary>MACs in use on it at most, those of leases; null for no limit.</summary>
    public int? MacBudget { get; set; }

    /// <summary>DHCP servers to relay to.</summary>
    public IReadOnlyList<IPv4Address> RelayServers { get; set; } = [];

    /// <summary>The address to relay from; null for the interface's first.</summary>
    public IPv4Address? RelayAddress { get; set; }

    /// <summary>Subnet to lease from by option 82.5, where it is not that of <see cref="RelayAddress"/>.</summary>
    public IPv4Address? LinkSelection { get; set; }

    /// <summary>The same by option 118.</summary>
    public IPv4Address? SubnetSelection { get; set; }

    /// <summary>DHCPv6 servers to relay to; empty to ask the link itself.</summary>
    public IReadOnlyList<IPv6Address> Relay6Servers { get; set; } = [];

    /// <summary>The address to relay DHCPv6 from; null for the interface's first that is not link-local.</summary>
    public IPv6Address? Relay6Address { get; set; }

    /// <summary>Link to lease IPv6 on through the relay, where it is not that of <see cref="Relay6Address"/>.</summary>
    public IPv6Address? Relay6Link { get; set; }

    /// <summary>Whether IPv6 is leased through a relay.</summary>
    public bool IsRelayed6 => Relay6Servers.Count > 0 && Families.Contains(LeaseFamily.IPv6);

    /// <summary>Which families are leased.</summary>
    public IReadOnlyList<LeaseFamily> Families { get; set; } = [LeaseFamily.IPv4];

    /// <summary>Addresses outside are refused; empty takes what the servers give.</summary>
    public IReadOnlyList<IPv4Network> Cidrs { get; set; } = [];

    /// <summary>The same for IPv6.</summary>
    public IReadOnlyList<IPv6Network> Cidrs6 { get; set; } = [];

    /// <summary>DHCP servers that are listened to; empty for all.</summary>
    public IReadOnlyList<IPv4Network> Servers { get; set; } = [];

    /// <summary>DHCPv6 servers that are listened to, by the address they send from; empty for all.</summary>
    public IReadOnlyList<IPv6Network> Servers6 { get; set; } = [];

    /// <summary>Whether DHCPv6 servers may grant an address in two messages.</summary>
    public bool RapidCommit { get; set; }

    /// <summary>Lease time to ask for.</summary>
    public uint? LeaseSeconds { get; set; }

    /// <summary>Whether DHCP option 61 is sent, as 01 and the MAC.</summary>
    public bool SendClientId { get; set; } = true;

    public string VendorClass { get; set; } = "address-service";

    /// <summary>Template of DHCP option 12; null for no name.</summary>
    public string? HostName { get; set; } = HostNameTemplate.Default;

    /// <summary>Domain of the names, which then are sent as option 81.</summary>
    public string? Domain { get; set; }

    /// <summary>Options beside the client's own.</summary>
    public IReadOnlyList<DhcpExtraOption> ExtraOptions { get; set; } = [];

    public ProbeMode Probe { get; set; }

    public int ProbeCount { get; set; } = 3;

    /// <summary>What these hosts answer for an address is no conflict: they announce.</summary>
    public IReadOnlyList<MacAddress> SpeakerMacs { get; set; } = [];

    public ConflictWatch ConflictWatch { get; set; }

    /// <summary>Without the MACs of those that announce, they could not be told from others.</summary>
    public bool WatchesConflicts => ConflictWatch == ConflictWatch.On || (ConflictWatch == ConflictWatch.Auto && SpeakerMacs.Count > 0);

    /// <summary>A watch, where there is to be one.</summary>
    public AddressWatch<TAddress>? NewWatch<TAddress>(TimeProvider time)
        where TAddress : struct, IEquatable<TAddress>
    {
        if (!WatchesConflicts)
            return null;
        var watch = new AddressWatch<TAddress>(time);
        foreach (var speaker in SpeakerMacs)
            watch.Trust(speaker);
        return watch;
    }

    /// <summary>How long the lease of a deleted service is kept; zero gives it back at once.</summary>
    public TimeSpan RetainOnDelete { get; set; }

    /// <summary>How clients behave, as far as no other setting says it.</summary>
    public DhcpClientSettings Dhcp { get; set; } = DhcpClientSettings.Default;

    /// <summary>How addresses are probed; null for not at all.</summary>
    public ArpProbeTiming? ProbeTiming => Probe switch
    {
        ProbeMode.Off => null,
        ProbeMode.Strict => ArpProbeTiming.Strict with { Count = ProbeCount },
        _ => ArpProbeTiming.Fast with { Count = ProbeCount },
    };

    public int MessagesPerSecond { get; set; } = 50;

    public int MessageBurst { get; set; } = 20;

    /// <summary>Leases on it at most; null for as many as all together may be.</summary>
    public int? MaxLeases { get; set; }

    /// <summary>Services of these namespaces lease here, unless they name another interface.</summary>
    public IReadOnlyList<string> Namespaces { get; set; } = [];

    /// <summary>Whether an address lies in a configured range.</summary>
    public bool Has(LeaseAddress address) =>
        address.IPv4 is { } four ? Cidrs.Any(network => network.Contains(four)) : address.IPv6 is { } six && Cidrs6.Any(network => network.Contains(six));

    public InterfaceOptions Clone() => (InterfaceOptions)MemberwiseClone();
}
