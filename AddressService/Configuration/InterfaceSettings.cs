using System.Globalization;
using static DynamicLb.AddressService.Configuration.Values;

namespace DynamicLb.AddressService.Configuration;

/// <summary>A setting that each interface may have for itself.</summary>
/// <param name="Name">Kebab-case.</param>
/// <param name="Value">What stands for its value in the help.</param>
/// <param name="Help">What it does, and the default.</param>
/// <param name="Apply">Takes a value; returns what is wrong with it, or null.</param>
internal sealed record InterfaceSetting(string Name, string Value, string Help, Func<InterfaceOptions, string, string?> Apply);

/// <summary>
/// What belongs to one interface. As flags and at the top of the file they hold for the only interface, or are what the entries of <c>interfaces</c>
/// start from.
/// </summary>
internal static partial class InterfaceSettings
{
    public static IReadOnlyList<InterfaceSetting> All { get; } =
    [
        new("interface", "NAME", "network interface to lease on; auto is the one with the default route (auto)", (o, v) => Text(v, x => o.Device = x)),
        new("vlan", "ID", "802.1Q tag of the frames on that interface, 1 to 4094; 0 for none (0)", (o, v) => Number(v, 0, 4094, x => o.Vlan = x)),
        new("transport", "nic|chaddr|relay", "how DHCP travels: in frames from the interface's MAC, from the generated one, or by UDP as a relay agent (nic)", (o, v) => v switch
        {
            "nic" => Do(() => o.Transport = TransportMode.Nic),
            "chaddr" => Do(() => o.Transport = TransportMode.ChAddr),
            "relay" => Do(() => o.Transport = TransportMode.Relay),
            _ => "is none of nic, chaddr, relay",
        }),
        new("identity", "mac|client-id", "what tells leases apart: a MAC each, or a client identifier each with the interface's MAC (mac)", (o, v) => v switch
        {
            "mac" => Do(() => o.Identity = IdentityMode.Mac),
            "client-id" => Do(() => o.Identity = IdentityMode.ClientId),
            _ => "is neither mac nor client-id",
        }),
        new("mac-budget", "N", "MACs in use on one interface at most, 1 to 100000 (no limit)", (o, v) => Number(v, 1, 100_000, x => o.MacBudget = x)),
        new("relay-servers", "LIST", "DHCP servers to relay to, such as 10.1.0.5,10.1.0.6 (none)", (o, v) => Addresses(v, x => o.RelayServers = x)),
        new("relay-address", "ADDRESS", "address to relay from (the interface's first)", (o, v) => Address(v, x => o.RelayAddress = x)),
        new("link-selection", "ADDRESS", "subnet to lease from through a relay, by option 82.5 (that of relay-address)", (o, v) => Address(v, x => o.LinkSelection = x)),
        new("subnet-selection", "ADDRESS", "the same by option 118, for servers that know that one (none)", (o, v) => Address(v, x => o.SubnetSelection = x)),
        new("relay6-servers", "LIST", "DHCPv6 servers to relay to, such as fd00:1::5; without any the link itself is asked (none)", (o, v) => Addresses6(v, x => o.Relay6Servers = x)),
        new("relay6-address", "ADDRESS", "address to relay DHCPv6 from (the interface's first that is not link-local)", (o, v) => Address6(v, x => o.Relay6Address = x)),
        new("relay6-link", "ADDRESS", "an address of the link to lease IPv6 on through the relay (relay6-address)", (o, v) => Address6(v, x => o.Relay6Link = x)),
        new("families", "LIST", "what is leased: ipv4, ipv6 or both (ipv4)", (o, v) => Families(v, x => o.Families = x)),
        new("cidrs", "LIST", "ranges to accept addresses from, such as 10.20.0.0/24,fd00:20::/64 (all)", (o, v) => Networks(v, (x, y) => (o.Cidrs, o.Cidrs6) = (x, y))),
        new("client-id", "hw|none", "DHCP option 61: 01 and the MAC, or none (hw)", (o, v) => v switch
        {
            "hw" => Do(() => o.SendClientId = true),
            "none" => Do(() => o.SendClientId = false),
            _ => "is neither hw nor none",
        }),
        new("vendor-class", "TEXT", "DHCP option 60 (address-service)",
            (o, v) => v.Length > 64 || !v.All(c => c is >= ' ' and <= '~') ? "is longer than 64 or not ASCII" : Do(() => o.VendorClass = v)),
        new("servers", "LIST", "DHCP servers to listen to (all)", (o, v) => Networks(v, (x, y) => (o.Servers, o.Servers6) = (x, y))),
        new("rapid-commit", "BOOL", "let DHCPv6 servers grant an address in two messages; with several, each keeps one for us (false)", (o, v) => Switch(v, x => o.RapidCommit = x)),
        new("lease-seconds", "SECONDS", "lease time to ask for (the server's)", (o, v) =>
            uint.TryParse(v, NumberStyles.None, CultureInfo.InvariantCulture, out uint seconds) && seconds >= 30
                ? Do(() => o.LeaseSeconds = seconds) : "is not a number of seconds from 30"),
        new("messages-per-second", "N", "DHCP messages a second, 1 to 1000; 0 for no limit (50)", (o, v) => Number(v, 0, 1000, x => o.MessagesPerSecond = x)),
        new("message-burst", "N", "DHCP messages at once, 1 to 150 (20)", (o, v) => Number(v, 1, 150, x => o.MessageBurst = x)),
        new("interface-leases", "N", "leases on one interface at most, 1 to 100000 (max-leases)", (o, v) => Number(v, 1, 100_000, x => o.MaxLeases = x)),
        .. Client(),
    ];

    // Would say nothing where there is but one interface.
    private static readonly InterfaceSetting s_namespaces = new(
        "namespaces", "LIST", "namespaces whose Services lease here unless they name another interface",
        (o, v) => Items(v, ',') is { Length: > 0 } names ? Do(() => o.Namespaces = names) : "is empty");

    /// <summary>A setting of an entry of <c>interfaces</c>, or null.</summary>
    public static InterfaceSetting? Find(string name) => name == s_namespaces.Name ? s_namespaces : All.FirstOrDefault(s => s.Name == name);
}
