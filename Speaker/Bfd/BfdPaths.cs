using System.Net;
using DynamicLb.Contracts.Resources;
using DynamicLb.Networking.Bfd;

namespace DynamicLb.Speaker.Bfd;

/// <summary>What the configuration means for BFD.</summary>
internal static class BfdPaths
{
    /// <summary>The way to a router.</summary>
    /// <param name="peer">The router, with its zone when it is link-local.</param>
    /// <param name="local">Our address, or null.</param>
    /// <param name="vrf">The VRF, or null.</param>
    /// <param name="mayBeFar">Whether the configuration allows routers between.</param>
    /// <param name="isOnLink">Whether an address lies in a network that this node has an interface in.</param>
    public static BfdPath Of(IPAddress peer, IPAddress? local, string? vrf, bool mayBeFar, Func<IPAddress, bool> isOnLink)
    {
        if (peer.IsIPv6LinkLocal)
            return new BfdPath(new IPAddress(peer.GetAddressBytes()), Interface: (int)peer.ScopeId);
        // Nothing but a VRF's own table tells what is on a link there: what the configuration says must do.
        bool isMultiHop = mayBeFar || (vrf is null && !isOnLink(peer));
        return new BfdPath(peer, local, IsMultiHop: isMultiHop, Device: vrf);
    }

    /// <summary>A profile's parameters, with FRR's defaults for what it leaves open.</summary>
    public static BfdSettings Settings(BFDProfileSpec spec) => new()
    {
        ReceiveInterval = TimeSpan.FromMilliseconds(spec.ReceiveInterval ?? 300),
        TransmitInterval = TimeSpan.FromMilliseconds(spec.TransmitInterval ?? 300),
        DetectMultiplier = (byte)(spec.DetectMultiplier ?? 3),
        EchoInterval = TimeSpan.FromMilliseconds(spec.EchoInterval ?? 50),
        UsesEcho = spec.EchoMode == true,
        IsPassive = spec.PassiveMode == true,
        MinimumTimeToLive = spec.MinimumTtl ?? 254,
    };
}
