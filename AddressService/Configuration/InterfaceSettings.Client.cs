using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using static DynamicLb.AddressService.Configuration.Values;

namespace DynamicLb.AddressService.Configuration;

/// <summary>How the DHCP clients of an interface behave, and what they say of themselves.</summary>
internal static partial class InterfaceSettings
{
    private static IEnumerable<InterfaceSetting> Client() =>
    [
        new("hostname", "TEMPLATE", "DHCP option 12, made of {name}, {namespace}, {service} and text; none for no name ({name}-{namespace})", (o, v) =>
            v == "none" ? Do(() => o.HostName = null) : HostNameTemplate.Fault(v) ?? Do(() => o.HostName = v)),
        new("domain", "NAME", "domain of the host names, which are then sent as option 81 in place of option 12; none for none (none)", (o, v) =>
            v == "none" ? Do(() => o.Domain = null) : DomainName.IsValid(v) ? Do(() => o.Domain = v.ToLowerInvariant()) : "is not a domain"),
        new("dhcp-options", "LIST", "more options to send, as CODE=KIND:VALUE with the kinds text, hex, ips, uint8, uint16, uint32 (none)",
            (o, v) => v == "none" ? Do(() => o.ExtraOptions = []) : ExtraOptionList.Parse(v, x => o.ExtraOptions = x)),
        new("probe", "on|strict|off", "ask by ARP, with transport relay by ICMP, whether another host has an address before its first use: within 0.7 s, or as RFC 5227 has it in 4 to 7 s (on)", (o, v) => v switch
        {
            "on" => Do(() => o.Probe = ProbeMode.On),
            "strict" => Do(() => o.Probe = ProbeMode.Strict),
            "off" => Do(() => o.Probe = ProbeMode.Off),
            _ => "is none of on, strict, off",
        }),
        new("probe-count", "N", "probes for an address, 1 to 10 (3)", (o, v) => Number(v, 1, 10, x => o.ProbeCount = x)),
        new("speaker-macs", "LIST", "MACs of the nodes that announce: what they answer for an address is no conflict (none)", (o, v) => Macs(v, x => o.SpeakerMacs = x)),
        new("conflict-watch", "auto|on|off", "tell when another host uses an address that a lease holds; auto does if speaker-macs are given (auto)", (o, v) => v switch
        {
            "auto" => Do(() => o.ConflictWatch = ConflictWatch.Auto),
            "on" => Do(() => o.ConflictWatch = ConflictWatch.On),
            "off" => Do(() => o.ConflictWatch = ConflictWatch.Off),
            _ => "is none of auto, on, off",
        }),
        new("retain-on-delete", "SECONDS", "keep the lease of a deleted service for one of the same name, 0 to 2592000; 0 gives it back at once (0)",
            (o, v) => Seconds(v, 0, 2_592_000, x => o.RetainOnDelete = x)),
        new("address-change", "accept|refuse", "when a renewal brings another address: take it, or give it back and look for the old one (accept)", (o, v) => v switch
        {
            "accept" => Do(() => o.Dhcp = o.Dhcp with { AddressChange = DhcpAddressChange.Accept }),
            "refuse" => Do(() => o.Dhcp = o.Dhcp with { AddressChange = DhcpAddressChange.Refuse }),
            _ => "is neither accept nor refuse",
        }),
        new("offer-window", "SECONDS", "how long OFFERs are collected before the best is taken, 0 to 10; 0 takes the first (0)",
            (o, v) => Seconds(v, 0, 10, x => o.Dhcp = o.Dhcp with { OfferWindow = x })),
        new("preferred-servers", "LIST", "servers whose OFFERs are taken before others', best first; takes an offer-window (none)",
            (o, v) => Addresses(v, x => o.Dhcp = o.Dhcp with { PreferredServers = x })),
        new("renew-form", "auto|init-reboot|ciaddr|selecting", "form of the REQUESTs that renew; ciaddr only where this host answers ARP for the addresses (auto)", (o, v) => v switch
        {
            "auto" => Do(() => o.Dhcp = o.Dhcp with { RenewForm = DhcpRenewForm.Auto }),
            "init-reboot" => Do(() => o.Dhcp = o.Dhcp with { RenewForm = DhcpRenewForm.InitReboot }),
            "ciaddr" => Do(() => o.Dhcp = o.Dhcp with { RenewForm = DhcpRenewForm.ClientAddress }),
            "selecting" => Do(() => o.Dhcp = o.Dhcp with { RenewForm = DhcpRenewForm.Selecting }),
            _ => "is none of auto, init-reboot, ciaddr, selecting",
        }),
        new("broadcast", "true|false", "ask for broadcast answers; off only where switches know the generated MACs (true)",
            (o, v) => Switch(v, x => o.Dhcp = o.Dhcp with { Broadcast = x })),
        new("min-lease", "SECONDS", "shorter leases are not taken, 1 to 86400 (5)", (o, v) => Seconds(v, 1, 86400, x => o.Dhcp = o.Dhcp with { MinimumLease = x })),
        new("nak-grace", "SECONDS", "after a NAK, how long an address counts as ours if the server grants it again at once, 0 to 60 (5)",
            (o, v) => Seconds(v, 0, 60, x => o.Dhcp = o.Dhcp with { NakGrace = x })),
        new("nak-backoff", "SECONDS", "longest pause after repeated NAKs, 1 to 3600 (60)", (o, v) => Seconds(v, 1, 3600, x => o.Dhcp = o.Dhcp with { NakBackoffLimit = x })),
        new("retransmit-after", "SECONDS", "first pause before a DISCOVER or REQUEST is repeated, then twice as long each time, 0.2 to 60 (4)",
            (o, v) => Seconds(v, 0.2, 60, x => o.Dhcp = o.Dhcp with { RetransmitAfter = x })),
        new("request-tries", "N", "REQUESTs for an OFFER before the search begins anew, 1 to 10 (4)",
            (o, v) => Number(v, 1, 10, x => o.Dhcp = o.Dhcp with { RequestTries = x })),
        new("reboot-retransmit-after", "SECONDS", "first pause before the REQUEST that confirms a lease after a start is repeated, 0.2 to 60 (1)",
            (o, v) => Seconds(v, 0.2, 60, x => o.Dhcp = o.Dhcp with { RebootRetransmitAfter = x })),
        new("reboot-tries", "N", "such REQUESTs before a lease is used unconfirmed, 1 to 10 (4)", (o, v) => Number(v, 1, 10, x => o.Dhcp = o.Dhcp with { RebootTries = x })),
        new("infinite-recheck", "SECONDS", "how often a lease without end is confirmed, 60 to 2592000 (86400)",
            (o, v) => Seconds(v, 60, 2_592_000, x => o.Dhcp = o.Dhcp with { InfiniteRecheck = x })),
        new("offer-without-lease-time", "true|false", "take OFFERs that do not say the lease time (false)",
            (o, v) => Switch(v, x => o.Dhcp = o.Dhcp with { RequireLeaseInOffer = !x })),
    ];

    /// <summary>What is wrong with what the clients of an interface say of themselves, taken together.</summary>
    public static IEnumerable<string> Faults(InterfaceOptions options)
    {
        if (options.Domain is not null && options.HostName is null)
            yield return "--domain goes with a --hostname, which is none";
        if (options.Dhcp.PreferredServers.Count > 0 && options.Dhcp.OfferWindow == TimeSpan.Zero)
            yield return "--preferred-servers takes an --offer-window: without one the first OFFER is taken";
        if (options.Domain?.Length > DomainName.MaximumLength - 64)
        {
            yield return $"--domain is longer than {DomainName.MaximumLength - 64}";
            yield break;
        }
        // The largest that can be: whatever the service is called.
        string? label = options.HostName is null ? null : new string('x', 63);
        var identity = new DhcpClientIdentity(MacAddress.Broadcast, new byte[options.SendClientId ? 7 : 0], label, options.VendorClass)
        {
            Fqdn = options.Domain is null || label is null ? null : $"{label}.{options.Domain}",
            ExtraOptions = options.ExtraOptions,
        };
        if (identity.LongestMessage(options.Dhcp) is var length and > DhcpMessage.MaximumSentLength)
            yield return $"--dhcp-options, --domain and --vendor-class make messages of {length} bytes, {DhcpMessage.MaximumSentLength} are possible: leave out {length - DhcpMessage.MaximumSentLength}";
    }
}
