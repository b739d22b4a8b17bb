namespace DynamicLb.Networking.Dhcp4;

/// <summary>An option that the client sends beside its own, in DISCOVER and every REQUEST. Immutable.</summary>
/// <param name="Code">Its code; <see cref="Refusal"/> says which are possible.</param>
/// <param name="Value">Its bytes; more than 255 are split (RFC 3396).</param>
public sealed record DhcpExtraOption(DhcpOptionCode Code, ReadOnlyMemory<byte> Value)
{
    /// <summary>Why an option cannot be sent beside the client's own.</summary>
    /// <returns>Null when it can.</returns>
    public static string? Refusal(int code) => code switch
    {
        <= 0 or >= 255 => "option codes go from 1 to 254",
        12 => "option 12 (host name) follows from the service",
        50 => "option 50 (requested address) is the client's own",
        51 => "option 51 (lease time) has a setting of its own",
        52 => "option 52 (overload) says how a message is encoded",
        53 => "option 53 (message type) is the client's own",
        54 => "option 54 (server identifier) is the client's own",
        55 => "option 55 (parameter request list) is the client's own",
        56 => "option 56 (message) is the client's own",
        57 => "option 57 (maximum message size) is the client's own",
        60 => "option 60 (vendor class) has a setting of its own",
        61 => "option 61 (client identifier) is the lease's identity",
        80 => "option 80 (rapid commit) changes the exchange",
        81 => "option 81 (FQDN) follows from the service",
        82 => "option 82 (relay agent information) is a relay's",
        90 => "option 90 (authentication) changes the exchange",
        108 => "option 108 (IPv6-only preferred) gives up the address",
        114 => "option 114 (captive portal) is a server's",
        116 => "option 116 (auto-configure) gives up the address",
        118 => "option 118 (subnet selection) is a relay's",
        145 => "option 145 (forced renewal) changes the exchange",
        _ => null,
    };
}
