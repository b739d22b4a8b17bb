using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bgp;

/// <summary>How routes are written in one session: what the OPENs agreed on, and where the session runs. Immutable.</summary>
/// <param name="Asn">Our AS number in the session.</param>
/// <param name="IsInternal">Whether the peer is of the same AS: LOCAL_PREF, and an empty path.</param>
/// <param name="Families">Families that were agreed on.</param>
public sealed record BgpEncoding(uint Asn, bool IsInternal, IReadOnlyList<BgpFamily> Families)
{
    /// <summary>Whether paths have AS numbers of four bytes.</summary>
    public bool FourOctetAs { get; init; } = true;

    /// <summary>Longest message.</summary>
    public int LongestMessage { get; init; } = BgpWire.LongestMessage;

    /// <summary>Next hop of IPv4 routes, or null.</summary>
    public IPv4Address? NextHopV4 { get; init; }

    /// <summary>Next hop of IPv6 routes, and of IPv4 routes where there is no other and the peer takes it (RFC 8950); global if there is one. Null for none.</summary>
    public IPv6Address? NextHopV6 { get; init; }

    /// <summary>Our link-local address, which goes along with a global one when the peer is on the same link (RFC 2545 §3).</summary>
    public IPv6Address? LinkLocal { get; init; }

    /// <summary>Whether IPv4 routes may have IPv6 next hops (RFC 8950).</summary>
    public bool ExtendedNextHop { get; init; }

    /// <summary>Whether routes of a family can be announced: it was agreed on, and there is a next hop.</summary>
    public bool Carries(BgpFamily family) => Families.Contains(family)
        && (family == BgpFamily.IPv4 ? NextHopV4 is not null || UsesExtendedNextHop : NextHopV6 is not null);

    /// <summary>Whether IPv4 routes go out with IPv6 next hops.</summary>
    public bool UsesExtendedNextHop => ExtendedNextHop && NextHopV4 is null && NextHopV6 is not null;

    /// <summary>Whether a family is written into MP_REACH_NLRI rather than the message's own fields.</summary>
    internal bool IsMultiProtocol(BgpFamily family) => family == BgpFamily.IPv6 || UsesExtendedNextHop;
}
