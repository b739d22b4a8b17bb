using System.Collections.Frozen;
using System.ComponentModel;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Speaker.Membership;

namespace DynamicLb.Speaker.Layer2;

/// <content>Addresses that have hardware addresses of their own: those of their leases.</content>
internal sealed partial class Layer2Announcer
{
    // What somebody was told, until all was decided anew.
    private volatile string? _macFault;

    /// <summary>Why this node cannot give addresses hardware addresses of their own; null when it can. Thread-safe.</summary>
    public string? MacFault
    {
        get
        {
            if (macs.Fault is not { } fault)
                return null;
            _macFault = fault;
            LookLater();
            return fault;
        }
    }

    /// <summary>Called when <see cref="MacFault"/> is another than was told, or none any more. Must be quick.</summary>
    public Action? MacFaultChanged { get; set; }

    /// <summary>Has the kernel use the hardware addresses of what is announced, before it is answered for.</summary>
    private void FollowMacs(IEnumerable<Announced> announced)
    {
        var states = links.Current.Where(state => _members.ContainsKey(state.Link.Index)).ToList();
        var wanted = announced.Where(static item => item.Mac is not null)
            .ToDictionary(static item => item.Address.IPv4, item => new MacInPlace(item.Mac!.Value, LinksFor(item, states).ToFrozenSet()));
        var before = context.MacsInPlace;
        try
        {
            foreach (var member in _members.Values)
                FollowMacs(member, wanted);
            var used = _members.Values.Select(static member => member.Link).Where(link => wanted.Values.Any(entry => entry.Links.Contains(link.Name))).ToList();
            macs.Apply(used, wanted.ToDictionary(static entry => entry.Key, static entry => entry.Value.Mac));
            context.MacsInPlace = wanted.ToFrozenDictionary();
        }
        catch (SocketException e)
        {
            context.MacsInPlace = FrozenDictionary<IPv4Address, MacInPlace>.Empty;
            WaitForMacs(e.Message);
        }
        catch (Win32Exception e)
        {
            // Those that were in place still are; what is new waits.
            context.MacsInPlace = before.Where(entry => wanted.TryGetValue(entry.Key, out var now) && now.Mac == entry.Value.Mac).ToFrozenDictionary();
            WaitForMacs(e.Message);
        }
        TellOfMacs(before);
        FollowMacFault(wanted.Count > 0);
    }

    private void FollowMacs(LinkMember member, Dictionary<IPv4Address, MacInPlace> wanted)
    {
        try
        {
            member.FollowMacs([.. wanted.Values.Where(entry => entry.Links.Contains(member.Link.Name)).Select(static entry => entry.Mac).Distinct()]);
        }
        catch (SocketException e)
        {
            // The interface just went, in which case it is nobody's; the others are no worse for it.
            foreach (var (address, entry) in wanted.ToList())
                wanted[address] = entry with { Links = entry.Links.Where(link => link != member.Link.Name).ToFrozenSet() };
            WaitForMacs(e.Message);
        }
    }

    private void WaitForMacs(string cause)
    {
        LogMacsFailed(logger, cause);
        LookLater();
    }

    /// <summary>Who was told of an address before the kernel used its hardware address was not told: the rounds for it may be over.</summary>
    private void TellOfMacs(FrozenDictionary<IPv4Address, MacInPlace> before)
    {
        foreach (var (address, now) in context.MacsInPlace)
        {
            if (!before.TryGetValue(address, out var known) || known.Mac != now.Mac || !now.Links.IsSubsetOf(known.Links))
                _schedule.Add(address, GratuitousSchedule.Rounds, Now);
        }
    }

    private void FollowMacFault(bool isWanted)
    {
        string? told = _macFault;
        if (told is null && !isWanted)
            return;
        string? fault = macs.Fault;
        if (fault is not null)
            LookLater();
        if (fault == told)
            return;
        _macFault = fault;
        MacFaultChanged?.Invoke();
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
