using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Speaker.Bgp;

/// <summary>The password of a session, from the configuration or a Secret. Immutable; equality is by value.</summary>
/// <param name="Kind">How it is used.</param>
/// <param name="Key">The password. A secret.</param>
/// <param name="SendId">TCP-AO: the identifier that we send.</param>
/// <param name="ReceiveId">TCP-AO: the identifier that the peer sends.</param>
internal sealed record BgpPassword(BgpAuthentication Kind, string Key, byte SendId = 0, byte ReceiveId = 0)
{
    public static BgpPassword None { get; } = new(BgpAuthentication.None, "");

    /// <summary>Reads the values of a Secret: <c>password</c>, and for TCP-AO <c>tcp-ao-algorithm</c>, <c>tcp-ao-send-id</c> and <c>tcp-ao-receive-id</c>.</summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryRead(string name, string? type, Func<string, string?> value, out BgpPassword password)
    {
        password = None;
        if (type != "kubernetes.io/basic-auth")
            return $"Secret \"{name}\" is of type {type}, not kubernetes.io/basic-auth: secret type mismatch";
        if (value("password") is not { Length: > 0 } key)
            return $"Secret \"{name}\" has no key \"password\"";
        if (value("tcp-ao-algorithm") is not { } algorithm)
        {
            password = new BgpPassword(BgpAuthentication.Md5, key);
            return null;
        }
        var kind = algorithm.Trim() switch
        {
            "hmac-sha-1-96" => BgpAuthentication.AoHmacSha1,
            "aes-128-cmac-96" => BgpAuthentication.AoAesCmac,
            _ => BgpAuthentication.None,
        };
        if (kind == BgpAuthentication.None)
            return $"Secret \"{name}\": tcp-ao-algorithm is hmac-sha-1-96 or aes-128-cmac-96";
        if (!TryId(value("tcp-ao-send-id"), out byte send) || !TryId(value("tcp-ao-receive-id"), out byte receive))
            return $"Secret \"{name}\": tcp-ao-send-id and tcp-ao-receive-id are from 0 to 255";
        password = new BgpPassword(kind, key, send, receive);
        return null;
    }

    /// <summary>Without the password.</summary>
    public override string ToString() => Kind.ToString();

    private static bool TryId(string? text, out byte id) => byte.TryParse(text?.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out id);
}

/// <summary>What a BGPPeer comes to on this node: a session is kept for as long as its plan stays equal. Immutable.</summary>
/// <param name="Name">The BGPPeer.</param>
/// <param name="Address">The router's address; null for an unnumbered session.</param>
/// <param name="Interface">Interface of an unnumbered session, or null.</param>
/// <param name="Port">The router's port.</param>
/// <param name="Password">The password.</param>
internal sealed record BgpPeerPlan(string Name, IPAddress? Address, string? Interface, int Port, BgpPassword Password)
{
    /// <summary>How long routers keep our routes while we restart: FRR's default.</summary>
    public const int RestartSeconds = 120;

    private const ushort DefaultHold = 90;

    public uint LocalAsn { get; private init; }

    public BgpPeerAs PeerAs { get; private init; }

    public uint PeerAsn { get; private init; }

    public bool CarriesV4 { get; private init; }

    public bool CarriesV6 { get; private init; }

    public bool MultiProtocol { get; private init; }

    public ushort HoldSeconds { get; private init; }

    public TimeSpan? Keepalive { get; private init; }

    public TimeSpan? ConnectTime { get; private init; }

    public bool GracefulRestart { get; private init; }

    public bool IsMultihop { get; private init; }

    public IPAddress? Source { get; private init; }

    public string? Vrf { get; private init; }

    public uint? RouterId { get; private init; }

    public BfdProfile? Bfd { get; private init; }

    /// <summary>Whether the router is waited for.</summary>
    public bool IsPassive { get; private init; }

    /// <summary>Whether only segments with TTL 255 are taken of the router, which a neighbour alone can send.</summary>
    public bool RequiresNeighborTtl { get; private init; }

    /// <summary>The peer in metrics: address or interface, and port.</summary>
    public string Label => Address is null ? $"{Interface}:{Port}" : new IPEndPoint(Address, Port).ToString();

    /// <summary>The VRF in metrics, as FRR calls it.</summary>
    public string VrfLabel => Vrf ?? "default";

    /// <summary>Works out a plan.</summary>
    public static BgpPeerPlan Of(BgpPeer peer, BgpPassword password, IReadOnlyList<BfdProfile> profiles, BgpOptions options)
    {
        var spec = peer.Spec;
        bool isUnnumbered = peer.PeerAddress is null, isV6 = isUnnumbered || peer.PeerAddress!.AddressFamily == AddressFamily.InterNetworkV6;
        bool both = spec.DisableMP != true && (isUnnumbered || spec.DualStackAddressFamily == true);
        uint asn = (uint)(spec.LocalASN ?? spec.MyASN);
        var kind = spec.DynamicASN switch
        {
            "internal" => BgpPeerAs.Internal,
            "external" => BgpPeerAs.External,
            _ => BgpPeerAs.Configured,
        };
        uint peerAsn = kind == BgpPeerAs.Configured ? (uint)(spec.PeerASN ?? 0) : 0;
        // Routers of our own AS may be anywhere.
        bool isMultihop = spec.EbgpMultiHop == true || kind == BgpPeerAs.Internal || peerAsn == asn;
        var plan = new BgpPeerPlan(peer.Name, peer.PeerAddress, isUnnumbered ? spec.Interface : null, spec.PeerPort ?? BgpWire.Port, password)
        {
            LocalAsn = asn,
            PeerAs = kind,
            PeerAsn = peerAsn,
            CarriesV4 = both || !isV6,
            CarriesV6 = both || isV6,
            MultiProtocol = spec.DisableMP != true || isV6,
            HoldSeconds = peer.HoldTime is { } hold ? (ushort)hold.TotalSeconds : DefaultHold,
            Keepalive = peer.KeepaliveTime,
            ConnectTime = peer.ConnectTime,
            GracefulRestart = spec.EnableGracefulRestart == true,
            IsMultihop = isMultihop,
            Source = string.IsNullOrEmpty(spec.SourceAddress) ? null : IPAddress.Parse(spec.SourceAddress),
            Vrf = string.IsNullOrEmpty(spec.Vrf) ? null : spec.Vrf,
            RouterId = string.IsNullOrEmpty(spec.RouterID) ? null : Networking.Addresses.IPv4Address.Parse(spec.RouterID).Value,
            Bfd = profiles.FirstOrDefault(profile => profile.Name == spec.BfdProfile),
            RequiresNeighborTtl = options.TtlSecurity && !isMultihop,
        };
        return plan with { IsPassive = options.IsPassive && BgpListening.Serves(plan) };
    }

    /// <summary>The session's settings.</summary>
    public BgpSettings Settings => new(
        LocalAsn, PeerAs, PeerAsn, CarriesV4 ? CarriesV6 ? [BgpFamily.IPv4, BgpFamily.IPv6] : [BgpFamily.IPv4] : [BgpFamily.IPv6])
    {
        HoldSeconds = HoldSeconds,
        Keepalive = Keepalive,
        ConnectRetry = ConnectTime ?? TimeSpan.FromSeconds(60),
        MultiProtocol = MultiProtocol,
        ExtendedNextHop = CarriesV4 && (Address is null || Address.AddressFamily == AddressFamily.InterNetworkV6),
        RestartSeconds = GracefulRestart ? RestartSeconds : 0,
        IsPassive = IsPassive,
    };

    /// <summary>The transport's settings.</summary>
    /// <param name="peer">The router's address, which of an unnumbered session is only found.</param>
    public BgpTransportSettings Transport(IPAddress peer) => new(peer, Port)
    {
        Source = Source,
        Device = Interface ?? Vrf,
        MustBeConnected = !IsMultihop && Address is not null,
        LeastTimeToLive = RequiresNeighborTtl ? BgpTcp.TimeToLive : 0,
        Authentication = Password.Kind,
        Key = Encoding.UTF8.GetBytes(Password.Key),
        SendId = Password.SendId,
        ReceiveId = Password.ReceiveId,
    };
}
