using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Speaker.Layer2;

/// <summary>An interface that takes part: the responders of both families, and its multicast groups. Owned by one loop.</summary>
internal sealed class LinkMember(InterfaceState state) : IAsyncDisposable
{
    private bool _hasCarrier = state.HasCarrier;
    private bool _hasIPv6 = state.IPv6Networks.Count > 0;
    private Responder? _arp;
    private Responder? _ndp;
    private ISolicitedNodeGroups? _groups;
    private readonly HashSet<MacAddress> _macs = [];
    private Func<ISolicitedNodeGroups>? _openGroups;
    private Func<LeaseTraffic>? _listen;
    private LeaseTraffic? _traffic;

    public LinkInfo Link { get; } = state.Link;

    /// <summary>Takes note of how the interface is now. Whether it was plugged in since it was seen last.</summary>
    public bool Look(InterfaceState now)
    {
        bool isPluggedIn = now.HasCarrier && !_hasCarrier;
        bool hasIPv6 = now.IPv6Networks.Count > 0;
        if (_hasIPv6 && !hasIPv6)
        {
            // The kernel forgets the groups with the rest of the interface's IPv6 (an MTU below 1280), and lets no socket join anew what it holds already.
            _groups!.Dispose();
            _groups = _openGroups!();
        }
        (_hasCarrier, _hasIPv6) = (now.HasCarrier, hasIPv6);
        return isPluggedIn;
    }

    /// <summary>Opens everything and begins to answer.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">Not permitted, or the interface is gone: to be abandoned.</exception>
    public void Open(ResponderSockets sockets, ResponderContext context, ILogger logger)
    {
        _listen = () => new LeaseTraffic(sockets.Dhcp(Link), context);
        _openGroups = () => sockets.Groups(Link);
        _groups = _openGroups();
        _arp = new Responder(ArpProtocol.Instance, sockets.Arp(Link), context, logger);
        _ndp = new Responder(NdpProtocol.Instance, sockets.Ndp(Link), context, logger);
        _arp.Start();
        _ndp.Start();
    }

    /// <summary>Lets go of what <see cref="Open"/> opened before it failed; none of it has begun to work.</summary>
    public void Abandon()
    {
        _groups?.Dispose();
        _ = _arp?.DisposeAsync().AsTask();
    }

    /// <summary>Joins the groups of the addresses that are announced or looked for here. Whether that is done.</summary>
    /// <param name="addresses">The addresses, and on which interfaces (null for all).</param>
    public bool FollowGroups(IEnumerable<(HostAddress Address, IReadOnlySet<string>? Interfaces)> addresses) =>
        _groups!.Follow(addresses.Where(item => item.Interfaces?.Contains(Link.Name) != false).Select(static item => item.Address.IPv6));

    /// <summary>A pause is over.</summary>
    public void LookAtQueues()
    {
        _arp!.LookAtQueue();
        _ndp!.LookAtQueue();
    }

    /// <summary>Lets frames to these hardware addresses through, and to no others but the interface's own.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The interface is gone.</exception>
    public void FollowMacs(IReadOnlyCollection<MacAddress> wanted)
    {
        if (wanted.Count > 0)
            _traffic ??= _listen!();
        foreach (var mac in _macs.Except(wanted).ToList())
        {
            _macs.Remove(mac);
            _arp!.Leave(mac);
        }
        foreach (var mac in wanted.Where(mac => !_macs.Contains(mac)))
        {
            _arp!.Join(mac);
            _macs.Add(mac);
        }
    }

    /// <summary>Tells all neighbours that an address is here.</summary>
    public async ValueTask SendGratuitousAsync(Announced item, CancellationToken cancellationToken)
    {
        await _arp!.SendGratuitousAsync(item, cancellationToken);
        await _ndp!.SendGratuitousAsync(item, cancellationToken);
    }

    /// <summary>Asks whether another machine has an address. Whether the question left: without a carrier the kernel throws it away, and says nothing.</summary>
    public async ValueTask<bool> SendProbeAsync(ProbeSchedule.Step step, CancellationToken cancellationToken)
    {
        if (!_hasCarrier || step.Interfaces?.Contains(Link.Name) == false)
            return false;
        return await _arp!.SendProbeAsync(step.Address, cancellationToken) | await _ndp!.SendProbeAsync(step.Address, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        _groups!.Dispose();
        await _arp!.DisposeAsync();
        await _ndp!.DisposeAsync();
        if (_traffic is not null)
            await _traffic.DisposeAsync();
    }
}
