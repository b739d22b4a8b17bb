using System.Net;
using System.Text.RegularExpressions;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker.Membership;

/// <summary>The links of this node by which users of addresses may be reached. Immutable.</summary>
internal sealed class Segments
{
    private readonly List<InterfaceState> _links;

    /// <param name="links">All interfaces of the node.</param>
    /// <param name="excluded">Names of interfaces that take no part.</param>
    public Segments(IEnumerable<InterfaceState> links, Regex excluded) => _links = [.. links.Where(state => Layer2Announcer.IsEligible(state, excluded))];

    /// <summary>Whether there is a link on which may be announced.</summary>
    /// <param name="only">Names of the interfaces to announce on; null for all.</param>
    public bool Has(IReadOnlySet<string>? only) => _links.Exists(state => only?.Contains(state.Link.Name) != false);

    /// <summary>The indexes of the links by which an address is reached.</summary>
    /// <param name="address">The address.</param>
    /// <param name="only">Names of the interfaces to announce on; null for all.</param>
    public IReadOnlyList<int> Of(IPAddress address, IReadOnlySet<string>? only)
    {
        _ = HostAddress.TryFrom(address, out var host);
        return [.. Near(_links.FindAll(state => only?.Contains(state.Link.Name) != false), host).Select(static state => state.Link.Index)];
    }

    /// <summary>
    /// Of the links on which an address may be announced those in whose network it lies; without one, all. Host routes (/32, /128) say nothing: that is how nodes hold addresses of
    /// Services.
    /// </summary>
    public static List<InterfaceState> Near(List<InterfaceState> links, HostAddress address)
    {
        var near = links.FindAll(state => state.IsOnLink(address));
        return near.Count > 0 ? near : links;
    }

    /// <summary>Whether the links and their networks are the same; whether they are up is not looked at.</summary>
    public bool IsLike(Segments other) =>
        _links.Count == other._links.Count && _links.Zip(other._links).All(static pair => pair.First.Link == pair.Second.Link
            && pair.First.Addresses.SequenceEqual(pair.Second.Addresses) && pair.First.IPv6Networks.SequenceEqual(pair.Second.IPv6Networks));
}
