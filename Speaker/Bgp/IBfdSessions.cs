using System.Net;
using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Speaker.Bgp;

/// <summary>What BFD says of a path.</summary>
internal enum BfdPathState
{
    /// <summary>Nothing yet, or the other side has taken BFD out of service: no reason to end a session.</summary>
    Unknown = 0,

    /// <summary>Packets go both ways.</summary>
    Up,

    /// <summary>It was up, and is not any more.</summary>
    Down,
}

/// <summary>A path that BFD watches. Immutable.</summary>
/// <param name="Peer">The router, with its zone when it is link-local.</param>
/// <param name="Local">Our address.</param>
/// <param name="Device">The interface or VRF, or null.</param>
/// <param name="IsMultihop">Whether routers are between (RFC 5883).</param>
internal sealed record BfdPath(IPAddress Peer, IPAddress Local, string? Device, bool IsMultihop);

/// <summary>The BFD sessions of this node.</summary>
internal interface IBfdSessions
{
    /// <summary>Watches a path until the result is disposed.</summary>
    /// <param name="path">The path.</param>
    /// <param name="profile">Its parameters.</param>
    /// <param name="changed">Told of each change, from any thread; quick and without exceptions.</param>
    IDisposable Track(BfdPath path, BfdProfile profile, Action<BfdPathState> changed);
}
