using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>In which form a lease is renewed. In layer-2 networks where another node answers ARP for the address, only the first reaches us always.</summary>
public enum DhcpRenewForm
{
    /// <summary>
    /// INIT-REBOOT form first; after T2 in turn with the standard form; near the end the selecting form, too. Through a relay always the standard's form.
    /// </summary>
    Auto = 0,

    /// <summary>Always a broadcast REQUEST with option 50, no option 54, <c>ciaddr</c> 0 (RFC 2131 §4.3.2, INIT-REBOOT).</summary>
    InitReboot,

    /// <summary>The standard's own: <c>ciaddr</c> set, unicast until T2. Right only when this host answers ARP for the address.</summary>
    ClientAddress,

    /// <summary>A broadcast REQUEST with options 50 and 54. Against the standard, understood by the usual servers.</summary>
    Selecting,
}

/// <summary>What to do when a server answers a renewal with another address.</summary>
public enum DhcpAddressChange
{
    /// <summary>Take it.</summary>
    Accept = 0,

    /// <summary>Give it back and treat the old one as refused.</summary>
    Refuse,
}

/// <summary>How DHCP clients behave; one object for all clients. Immutable.</summary>
public sealed record DhcpClientSettings
{
    /// <summary>The defaults.</summary>
    public static DhcpClientSettings Default { get; } = new();

    /// <summary>First retransmission of DISCOVER and of the selecting REQUEST, doubled up to sixteen times itself (RFC 2131 §4.1: 4 to 64 s).</summary>
    public TimeSpan RetransmitAfter { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>Transmissions of the selecting REQUEST before the client starts over.</summary>
    public int RequestTries { get; init; } = 4;

    /// <summary>First retransmission of the REQUEST that verifies a lease after a restart; doubles.</summary>
    public TimeSpan RebootRetransmitAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Transmissions of that REQUEST before the lease is used unverified.</summary>
    public int RebootTries { get; init; } = 4;

    /// <summary>How long OFFERs are collected; zero takes the first acceptable one.</summary>
    public TimeSpan OfferWindow { get; init; }

    /// <summary>Servers to prefer among collected OFFERs, best first.</summary>
    public IReadOnlyList<IPv4Address> PreferredServers { get; init; } = [];

    /// <summary>If not empty, only servers inside are listened to: their option 54 and their IP source.</summary>
    public IReadOnlyList<IPv4Network> AllowedServers { get; init; } = [];

    /// <summary>An OFFER of a shorter lease is not requested.</summary>
    public TimeSpan MinimumLease { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Lease time to ask for, in seconds; null leaves it to the server.</summary>
    public uint? RequestedLeaseSeconds { get; init; }

    /// <summary>Whether an OFFER must already say the lease time.</summary>
    public bool RequireLeaseInOffer { get; init; } = true;

    /// <summary>Whether answers are asked for by broadcast: switches may not know the generated MAC.</summary>
    public bool Broadcast { get; init; } = true;

    /// <summary>
    /// Whether messages travel through a relay's socket, <see cref="RelayDhcpTransport"/>: servers answer to the relay, so that the standard's own form
    /// of renewal works, and what is for one server goes to it alone.
    /// </summary>
    public bool IsRelayed { get; init; }

    /// <summary>In which form leases are renewed.</summary>
    public DhcpRenewForm RenewForm { get; init; }

    /// <summary>How often a lease without end is confirmed.</summary>
    public TimeSpan InfiniteRecheck { get; init; } = TimeSpan.FromHours(24);

    /// <summary>How long after its server's NAK a lease is only suspect: if the same address is granted again meanwhile, nothing was lost. Zero is strict.</summary>
    public TimeSpan NakGrace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest pause after repeated NAKs: 0, 1, 2, 4 s and so on up to this.</summary>
    public TimeSpan NakBackoffLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>What to do when a renewal brings another address.</summary>
    public DhcpAddressChange AddressChange { get; init; }

    /// <summary>How it is found out, before an address is used for the first time, that no other host has it; null takes it unasked.</summary>
    public ArpProbeTiming? Probe { get; init; }

    /// <summary>From <see cref="DhcpClient.Release(TimeSpan, string)"/> to the first RELEASE, for the announcers to fall silent.</summary>
    public TimeSpan ReleaseDelay { get; init; } = TimeSpan.FromSeconds(2);
}
