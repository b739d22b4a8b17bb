using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Ndp;

/// <summary>Membership of an interface in the groups that solicitations for addresses are sent to. Not thread-safe.</summary>
public interface ISolicitedNodeGroups : IDisposable
{
    /// <summary>Joins and leaves, until the interface is in the groups of these addresses and no other.</summary>
    /// <returns>Whether it is in all of them; false while the interface has no IPv6 yet: to be called again.</returns>
    bool Follow(IEnumerable<IPv6Address> addresses);
}

/// <summary>
/// Joins by the kernel (ipv6(7), IPV6_ADD_MEMBERSHIP), so that the network card lets the frames through and the switches before it learn of us (MLD snooping, RFC 4541). The
/// kernel leaves the groups when the process ends, however it does.
/// </summary>
/// <param name="interfaceIndex">The kernel's index of the interface.</param>
public sealed class SolicitedNodeGroups(int interfaceIndex) : ISolicitedNodeGroups
{
    // What the kernel lets one socket hold is bounded (net.core.optmem_max): some 300 groups by its smallest default.
    private const int GroupsPerSocket = 250;

    private readonly Dictionary<IPv6Address, Membership> _joined = [];
    private readonly List<Membership> _sockets = [];

    /// <summary>Groups that the interface is in.</summary>
    public int Count => _joined.Count;

    /// <inheritdoc/>
    public bool Follow(IEnumerable<IPv6Address> addresses)
    {
        ArgumentNullException.ThrowIfNull(addresses);
        // Addresses with the same last three bytes share a group.
        var wanted = addresses.Select(static address => address.SolicitedNode).ToHashSet();
        foreach (var group in _joined.Keys.Where(group => !wanted.Contains(group)).ToList())
        {
            _joined.Remove(group, out var membership);
            TrySet(membership!, SocketOptionName.DropMembership, group);
            membership!.Count--;
        }
        bool complete = true;
        foreach (var group in wanted.Where(group => !_joined.ContainsKey(group)).ToList())
            complete &= TryJoin(group);
        return complete;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var membership in _sockets)
            membership.Socket.Dispose();
        _sockets.Clear();
        _joined.Clear();
    }

    private bool TryJoin(IPv6Address group)
    {
        var membership = _sockets.Find(static socket => socket.Count < GroupsPerSocket);
        if (membership is null)
        {
            if (!Socket.OSSupportsIPv6)
                return false;
            try
            {
                membership = new Membership(new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp));
            }
            catch (SocketException)
            {
                return false;
            }
            _sockets.Add(membership);
        }
        if (!TrySet(membership, SocketOptionName.AddMembership, group))
            return false;
        membership.Count++;
        _joined.Add(group, membership);
        return true;
    }

    private bool TrySet(Membership membership, SocketOptionName option, IPv6Address group)
    {
        try
        {
            membership.Socket.SetSocketOption(SocketOptionLevel.IPv6, option, new IPv6MulticastOption(group.ToIPAddress(), interfaceIndex));
            return true;
        }
        catch (SocketException)
        {
            // The interface is gone, or IPv6 is off on it.
            return false;
        }
    }

    private sealed class Membership(Socket socket)
    {
        public Socket Socket => socket;

        public int Count { get; set; }
    }
}
