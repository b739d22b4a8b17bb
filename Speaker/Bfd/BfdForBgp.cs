using DynamicLb.Contracts.Configuration;
using DynamicLb.Networking.Bfd;
using DynamicLb.Networking.Netlink;
using DynamicLb.Speaker.Bgp;
using BgpPath = DynamicLb.Speaker.Bgp.BfdPath;

namespace DynamicLb.Speaker.Bfd;

/// <summary>Watches the routers that BGP has sessions with.</summary>
internal sealed class BfdForBgp(BfdSessions sessions) : IBfdSessions
{
    public IDisposable Track(BgpPath path, BfdProfile profile, Action<BfdPathState> changed) => sessions.Watch(
        BfdPaths.Of(path.Peer, path.Local, path.Peer.IsIPv6LinkLocal ? null : path.Device, path.IsMultihop, ConnectedNetworks.Contain), profile, change => changed(Of(change)));

    /// <summary>What a change means for routes: only a path that worked, and that nobody took down on purpose, has failed.</summary>
    internal static BfdPathState Of(BfdChange change) =>
        change.After == BfdState.Up ? BfdPathState.Up : change.IsFailure ? BfdPathState.Down : BfdPathState.Unknown;
}
