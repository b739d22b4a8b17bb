using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Speaker.Layer2;

/// <summary>An interface that takes part: the responders of both families, and its multicast groups. Owned by one loop.</summary>
internal sealed class LinkMember(LinkInfo link, bool hasCarrier) : IAsyncDisposable
{
    private Responder? _arp;
    private Responder? _ndp;
    private ISolicitedNodeGroups? _groups;
    private readonly HashSet<MacAddress> _macs = [];
    private Func<LeaseTraffic>? _listen;
    private LeaseTraffic? _traffic;

    public LinkInfo Link => link;

    /// <summary>Whether it was plugged in when last seen.</summary>
    public bool HadCarrier { get; set; } = hasCarrier;

    /// <summary>Opens everything and begins to answer.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">Not permitted, or the interface is gone: to be abandoned.</exception>
    public void Open(ResponderSockets sockets, ResponderContext context, ILogger logger)
    {
        _listen = () => new LeaseTraffic(sockets.Dhcp(link), context);
        _groups = sockets.Groups(link);
        _arp = new Responder(ArpProtocol.Instance, sockets.Arp(link), context, logger);
        _ndp = new Responder(NdpProtocol.Instance, sockets.Ndp(link), context, logger);
        _arp.Start();
        _ndp.Start();
    }

    /// <summary>Lets go of what <see cref="Open"/> opened before it failed; none of it has begun to work.</summary>
    public void Abandon()
    {
        _groups?.Dispose();
        _ = _arp?.DisposeAsync().AsTask();
    }

    /// <summary>Joins the groups of the addresses that are announced here. Whether that is done.</summary>
    public bool FollowGroups(IEnumerable<Announced> addresses) =>
        _groups!.Follow(addresses.Where(item => item.IsOn(link.Name)).Select(static item => item.Address.IPv6));

    /// <summary>Lets frames to these hardware addresses through, and to no others but the interface's own.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The interface is gone.</exception>
    public void FollowMacs(IReadOnlyCollection<MacAddress> wanted)
    {
        foreach (var mac in _macs.Except(wanted).ToList())
        {
            _macs.Remove(mac);
            _arp!.Leave(mac);
        }
        foreach (var mac in wanted.Where(mac => !_macs.Contains(mac)))
        {
            _arp!.Join(mac);
            _macs.Add(mac);
            _traffic ??= _listen!();
        }
    }

    /// <summary>Tells all neighbours that an address is here.</summary>
    public async ValueTask SendGratuitousAsync(Announced item, CancellationToken cancellationToken)
    {
        await _arp!.SendGratuitousAsync(item, cancellationToken);
        await _ndp!.SendGratuitousAsync(item, cancellationToken);
    }

    /// <summary>Asks whether another machine has an address. Its answers come to the group of an IPv6 address.</summary>
    public async ValueTask SendProbeAsync(ProbeSchedule.Step step, CancellationToken cancellationToken)
    {
        if (step.Interfaces is { } only && !only.Contains(link.Name))
            return;
        await _arp!.SendProbeAsync(step.Address, cancellationToken);
        await _ndp!.SendProbeAsync(step.Address, cancellationToken);
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
