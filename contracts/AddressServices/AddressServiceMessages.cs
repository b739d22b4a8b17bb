using System.Text.Json.Serialization;

namespace DynamicLb.Contracts.AddressServices;

/// <summary>Values of <c>status</c> in every answer of an address service. Existing clients read it and ignore the HTTP code.</summary>
public static class AnswerStatus
{
    /// <summary>The call did what it says.</summary>
    public const string Success = "success";

    /// <summary>The call was refused or failed; <c>detail</c> says why.</summary>
    public const string Error = "error";

    /// <summary>The caller may not do this, or has all that it may have; <c>detail</c> names the role, namespace or quota.</summary>
    public const string Denied = "denied";

    /// <summary>No DHCP server answered in time; the work goes on, a repeated call joins it.</summary>
    public const string Timeout = "timeout";
}

/// <summary>Values of <c>family</c>.</summary>
public static class AddressFamilies
{
    /// <summary>DHCP for IPv4; what is meant where nothing is said.</summary>
    public const string IPv4 = "ipv4";

    /// <summary>DHCPv6.</summary>
    public const string IPv6 = "ipv6";
}

/// <summary>Body of <c>POST /v1/ip</c>: lease an address for a service, or return the one it has.</summary>
/// <param name="Service">The service as <c>namespace/name</c>: the key of the lease.</param>
/// <param name="Uid">The Service's UID, if known: a stable source for the generated MAC. A different UID for a known name replaces the lease.</param>
/// <param name="Ip">An address to ask the DHCP server for (option 50); the server decides.</param>
/// <param name="Interface">Name of the interface to lease on, as <c>GET /v1/config</c> lists them; without it the address service's configuration decides.</param>
/// <param name="Held">The address that the service has now, as far as the caller knows: that its hosts answer ARP for it is then no conflict.</param>
/// <param name="Family"><c>ipv4</c> (the default) or <c>ipv6</c>: a service has one lease of each.</param>
public sealed record AcquireAddressRequest(
    string? Service, string? Uid = null, string? Ip = null, string? Interface = null, string? Held = null, string? Family = null);

/// <summary>Answer to <c>POST /v1/ip</c>.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Ip">The leased address; empty unless successful.</param>
/// <param name="Id">Identifier of the lease, a GUID that stays for the life of the lease.</param>
/// <param name="Mac">The hardware address (DHCP <c>chaddr</c>) the lease belongs to; null for IPv6.</param>
/// <param name="LeaseSeconds">Length of the lease as granted (of IPv6 the valid lifetime), in seconds; null when it never ends.</param>
/// <param name="ValidUntil">When the lease ends unless renewed, in UTC; null when it never ends.</param>
/// <param name="Server">Identifier of the DHCP server that granted it: its address (option 54), or for IPv6 its DUID.</param>
/// <param name="Hostname">The host name sent to the DHCP server (option 12).</param>
/// <param name="Verified">Whether a DHCP server confirmed the lease since the address service started.</param>
/// <param name="Detail">The cause, unless successful.</param>
/// <param name="Family"><c>ipv4</c> or <c>ipv6</c>; null unless successful.</param>
/// <param name="Duid">The DHCPv6 client's DUID in hexadecimal; null for IPv4.</param>
/// <param name="SharesMac">True where the MAC is the interface's own, and the lease told apart by its client identifier; null otherwise.</param>
public sealed record AcquireAddressAnswer(
    string Status,
    string Ip,
    string? Id = null,
    string? Mac = null,
    long? LeaseSeconds = null,
    DateTimeOffset? ValidUntil = null,
    string? Server = null,
    string? Hostname = null,
    bool? Verified = null,
    string? Detail = null,
    string? Family = null,
    string? Duid = null,
    bool? SharesMac = null);

/// <summary>Body of <c>DELETE /v1/ip</c>: give an address back. One of the two, or both when they belong together.</summary>
/// <param name="Ip">The leased address.</param>
/// <param name="Service">The service as <c>namespace/name</c>: all leases that it has.</param>
/// <param name="Family">Only the service's lease of this family.</param>
public sealed record ReleaseAddressRequest(string? Ip = null, string? Service = null, string? Family = null);

/// <summary>Answer to <c>DELETE /v1/ip</c>.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Ip">The address that was released, the first of several; empty unless successful.</param>
/// <param name="Id">Identifier of the released lease.</param>
/// <param name="Detail">The cause, unless successful.</param>
public sealed record ReleaseAddressAnswer(string Status, string Ip, string? Id = null, string? Detail = null)
{
    /// <summary>Whether it was refused with 404: there is no such lease, so nothing is left to release. Set by the client; not in the body.</summary>
    [JsonIgnore]
    public bool NotFound { get; init; }
}

/// <summary>Body of <c>POST /v1/mac</c> and <c>DELETE /v1/mac</c>.</summary>
/// <param name="Macs">MAC addresses, written with <c>:</c>, <c>-</c> or <c>.</c>, or in Cisco's four-digit groups.</param>
public sealed record MacListRequest(IReadOnlyList<string>? Macs);

/// <summary>A MAC address that was not taken, and why.</summary>
/// <param name="Mac">The address as it was written in the request.</param>
/// <param name="Reason">Why it was refused.</param>
public sealed record RejectedMac(string Mac, string Reason);

/// <summary>Answer to <c>POST /v1/mac</c>; the addresses that are not listed were added.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Rejected">The addresses that were not added.</param>
/// <param name="Detail">The cause, unless successful.</param>
public sealed record AddMacsAnswer(string Status, IReadOnlyList<RejectedMac> Rejected, string? Detail = null);

/// <summary>Answer to <c>DELETE /v1/mac</c>; the addresses that are not listed were removed.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Unprocessed">The addresses that were not removed: in use, unknown or malformed.</param>
/// <param name="Detail">The cause, unless successful.</param>
public sealed record RemoveMacsAnswer(string Status, IReadOnlyList<string> Unprocessed, string? Detail = null);

/// <summary>Answer to <c>GET /v1/config</c>: the settings in force, without secrets.</summary>
/// <param name="Cidrs">The ranges it leases from: configured, or learned from the subnets in DHCP answers.</param>
/// <param name="Interface">The network interface it leases on; the first of several.</param>
/// <param name="Transport">How DHCP travels on it: <c>nic</c> (borrowed source, the default), <c>chaddr</c> (full client) or <c>relay</c>.</param>
/// <param name="MacSource">Where MACs come from: <c>generate</c>, <c>pool</c> or <c>poolThenGenerate</c>.</param>
/// <param name="MacPrefix">Prefix of generated MACs, such as <c>02:4c:42</c>.</param>
/// <param name="PoolMacs">MACs in the configured pool, those in use included.</param>
/// <param name="FreeMacs">MACs in the configured pool that no lease uses.</param>
/// <param name="RequestTimeoutSeconds">How long a <c>POST /v1/ip</c> waits for DHCP, in seconds.</param>
/// <param name="Interfaces">All interfaces that it leases on.</param>
public sealed record ConfigAnswer(
    IReadOnlyList<string> Cidrs,
    string Interface,
    string Transport,
    string MacSource,
    string MacPrefix,
    int PoolMacs,
    int FreeMacs,
    int RequestTimeoutSeconds,
    IReadOnlyList<InterfaceAnswer>? Interfaces = null);

/// <summary>One interface in <c>GET /v1/config</c>.</summary>
/// <param name="Name">By which <c>POST /v1/ip</c> names it.</param>
/// <param name="Interface">The kernel's name for it.</param>
/// <param name="Vlan">802.1Q VLAN on it, 1 to 4094; 0 for untagged frames.</param>
/// <param name="Transport">How DHCP travels: <c>nic</c>, <c>chaddr</c> or <c>relay</c>.</param>
/// <param name="Cidrs">The ranges it leases from: configured, or learned from the subnets in DHCP answers.</param>
/// <param name="Leases">Leases on it now.</param>
/// <param name="MaxLeases">Leases on it at most; null without a limit of its own.</param>
/// <param name="Namespaces">Namespaces whose Services lease here unless they name another interface.</param>
/// <param name="Identity">What tells leases apart: <c>mac</c> or <c>client-id</c>.</param>
/// <param name="MacBudget">MACs in use on it at most; null without a limit.</param>
public sealed record InterfaceAnswer(
    string Name, string Interface, int Vlan, string Transport, IReadOnlyList<string> Cidrs, int Leases, int? MaxLeases, IReadOnlyList<string> Namespaces,
    string Identity = "mac", int? MacBudget = null);

/// <summary>One lease in <c>GET /v1/status</c>. Times are UTC; null where they do not apply.</summary>
/// <param name="Service">The service as <c>namespace/name</c>.</param>
/// <param name="Uid">The Service's UID, if the client gave one.</param>
/// <param name="Ip">The leased address; empty while there is none yet.</param>
/// <param name="Id">Identifier of the lease.</param>
/// <param name="Mac">The hardware address the lease belongs to.</param>
/// <param name="State">Name of the state, in lower case: the DHCP client's state by RFC 2131 or the lease's own, such as <c>bound</c>, <c>renewing</c>, <c>releasing</c>.</param>
/// <param name="Hostname">The host name sent to the DHCP server.</param>
/// <param name="Server">Identifier (option 54) of the DHCP server.</param>
/// <param name="LeaseSeconds">Length of the lease as granted, in seconds; null when it never ends or there is none.</param>
/// <param name="Obtained">When the address was first leased.</param>
/// <param name="T1">When renewal begins.</param>
/// <param name="T2">When rebinding begins.</param>
/// <param name="ValidUntil">When the lease ends unless renewed.</param>
/// <param name="Verified">Whether a DHCP server confirmed the lease since the address service started.</param>
/// <param name="RenewFailures">Renewal messages that went unanswered since the last success.</param>
/// <param name="LastError">What went wrong last, or null.</param>
/// <param name="OrphanedSince">Since when it has no owner, as far as the address service was told or found out; null when it has one.</param>
/// <param name="Interface">Name of the interface that it is leased on.</param>
/// <param name="Family"><c>ipv4</c> or <c>ipv6</c>.</param>
/// <param name="Duid">The DHCPv6 client's DUID in hexadecimal; null for IPv4.</param>
/// <param name="SharesMac">True where the MAC is the interface's own, and the lease told apart by its client identifier; null otherwise.</param>
public sealed record LeaseAnswer(
    string Service,
    string? Uid,
    string Ip,
    string Id,
    string Mac,
    string State,
    string? Hostname,
    string? Server,
    long? LeaseSeconds,
    DateTimeOffset? Obtained,
    DateTimeOffset? T1,
    DateTimeOffset? T2,
    DateTimeOffset? ValidUntil,
    bool Verified,
    int RenewFailures,
    string? LastError,
    DateTimeOffset? OrphanedSince = null,
    string? Interface = null,
    string? Family = null,
    string? Duid = null,
    bool? SharesMac = null);

/// <summary>Body of <c>POST /v1/ip/orphans</c>: the leases that have no owner as far as the caller knows, all of them.</summary>
/// <param name="Services">The services as <c>namespace/name</c>. One that was named before and is not any more has its owner again.</param>
public sealed record OrphansRequest(IReadOnlyList<string>? Services);

/// <summary>Answer to the calls of <c>/v1/ip/orphans</c>.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Orphans">The leases without an owner; to a release, those that were released.</param>
/// <param name="Detail">The cause, unless successful.</param>
public sealed record OrphansAnswer(string Status, IReadOnlyList<LeaseAnswer> Orphans, string? Detail = null);

/// <summary>Answer to <c>GET /v1/status</c>.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Allocations">Every lease, sorted by service.</param>
/// <param name="AvailableMacs">MACs of the configured pool that no lease uses, sorted.</param>
/// <param name="Counters">Totals since start, by name: messages sent and received by type, frames dropped by reason, and the like.</param>
public sealed record StatusAnswer(
    string Status,
    IReadOnlyList<LeaseAnswer> Allocations,
    IReadOnlyList<string> AvailableMacs,
    IReadOnlyDictionary<string, long> Counters);

/// <summary>Body of any refusal that has no answer type of its own.</summary>
/// <param name="Status"><see cref="AnswerStatus.Error"/>.</param>
/// <param name="Detail">The cause, naming the field at fault where there is one.</param>
public sealed record ErrorAnswer(string Status, string Detail);

/// <summary>JSON of the address service's REST API, for both sides of it.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    PropertyNameCaseInsensitive = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.Strict)]
[JsonSerializable(typeof(AcquireAddressRequest))]
[JsonSerializable(typeof(AcquireAddressAnswer))]
[JsonSerializable(typeof(ReleaseAddressRequest))]
[JsonSerializable(typeof(ReleaseAddressAnswer))]
[JsonSerializable(typeof(MacListRequest))]
[JsonSerializable(typeof(AddMacsAnswer))]
[JsonSerializable(typeof(RemoveMacsAnswer))]
[JsonSerializable(typeof(ConfigAnswer))]
[JsonSerializable(typeof(StatusAnswer))]
[JsonSerializable(typeof(ErrorAnswer))]
[JsonSerializable(typeof(OrphansRequest))]
[JsonSerializable(typeof(OrphansAnswer))]
[JsonSerializable(typeof(LeaseEvent))]
[JsonSerializable(typeof(LeaseReset))]
[JsonSerializable(typeof(LeaseSynced))]
[JsonSerializable(typeof(LeasesAnswer))]
[JsonSerializable(typeof(LeaseDetailAnswer))]
[JsonSerializable(typeof(OverviewAnswer))]
[JsonSerializable(typeof(MacPoolAnswer))]
[JsonSerializable(typeof(SelfTestRequest))]
[JsonSerializable(typeof(SelfTestAnswer))]
public sealed partial class AddressServiceJsonContext : JsonSerializerContext;
