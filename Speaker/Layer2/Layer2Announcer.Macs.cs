using System.Collections.Frozen;
using System.ComponentModel;
using System.Net.Sockets;
using DynamicLb.Networking.Netlink;
using DynamicLb.Speaker.Membership;

namespace DynamicLb.Speaker.Layer2;

/// <content>Addresses that have hardware addresses of their own: those of their leases.</content>
internal sealed partial class Layer2Announcer
{
    /// <summary>Why this node cannot give addresses hardware addresses of their own; null when it can. Thread-safe.</summary>
    public string? MacFault => macs.Fault;

    /// <summary>Has the kernel use the hardware addresses of what is announced, before it is answered for.</summary>
    private void FollowMacs(IEnumerable<Announced> announced)
    {
        var states = links.Current.Where(state => _members.ContainsKey(state.Link.Index)).ToList();
        var wanted = announced.Where(static item => item.Mac is not null)
            .ToDictionary(static item => item.Address.IPv4, item => new MacInPlace(item.Mac!.Value, LinksFor(item, states).ToFrozenSet()));
        try
        {
            foreach (var member in _members.Values)
                member.FollowMacs([.. wanted.Values.Where(entry => entry.Links.Contains(member.Link.Name)).Select(static entry => entry.Mac).Distinct()]);
            var used = _members.Values.Select(static member => member.Link).Where(link => wanted.Values.Any(entry => entry.Links.Contains(link.Name))).ToList();
            macs.Apply(used, wanted.ToDictionary(static entry => entry.Key, static entry => entry.Value.Mac));
            context.MacsInPlace = wanted.ToFrozenDictionary();
        }
        catch (Exception e) when (e is SocketException or Win32Exception)
        {
            // Those that were in place still are; what is new waits.
            context.MacsInPlace = context.MacsInPlace.Where(entry => wanted.TryGetValue(entry.Key, out var now) && now.Mac == entry.Value.Mac).ToFrozenDictionary();
            LogMacsFailed(logger, e.Message);
            LookLater();
        }
    }

    /// <summary>
    /// The interfaces on which an address has the hardware address of its lease: those of its network, or all, where none is. Ports on other networks see no MAC that is not for them.
    /// </summary>
    /// <param name="item">The address.</param>
    /// <param name="eligible">The interfaces that take part.</param>
    internal static IEnumerable<string> LinksFor(Announced item, IEnumerable<InterfaceState> eligible) =>
        Segments.Near([.. eligible.Where(state => item.IsOn(state.Link.Name))], item.Address).Select(static state => state.Link.Name);

    [LoggerMessage(4, LogLevel.Warning, "The MACs of leases are not in place yet: {Cause}")]
    private static partial void LogMacsFailed(ILogger logger, string cause);
}
