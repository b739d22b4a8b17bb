using System.Text.Json.Serialization;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Contracts.Resources;

/// <summary>An address service, used like a pool (dynamiclb.io/v1beta1).</summary>
public sealed record AddressServiceResource : KubernetesObject
{
    /// <summary>What is wanted.</summary>
    public AddressServiceSpec Spec { get => field ?? new(); init; }

    /// <summary>Written by the controller.</summary>
    public AddressServiceStatus? Status { get; init; }
}

/// <summary>The spec of an <see cref="AddressServiceResource"/>.</summary>
public sealed record AddressServiceSpec
{
    /// <summary>Root of the REST API.</summary>
    public string? Url { get; init; }

    /// <summary>The token to show.</summary>
    public SecretKeySpec? TokenSecretRef { get; init; }

    /// <summary>Certificates (PEM, in base64) that the service's must chain to.</summary>
    public string? CaBundle { get; init; }

    /// <summary>Networks and ranges that its addresses must lie in; none for any.</summary>
    public IReadOnlyList<string>? Cidrs { get; init; }

    /// <summary>Whether Services that name no pool may get an address; null is true.</summary>
    public bool? AutoAssign { get; init; }

    /// <summary>Whether IPv4 addresses that end in .0 or .255 are refused; null is false.</summary>
    [JsonPropertyName("avoidBuggyIPs")]
    public bool? AvoidBuggyIPs { get; init; }

    /// <summary>Pins the address service to certain Services.</summary>
    public ServiceAllocationSpec? ServiceAllocation { get; init; }

    /// <summary>The families it is asked for, <c>ipv4</c> and <c>ipv6</c>; null is <c>ipv4</c>.</summary>
    public IReadOnlyList<string>? Families { get; init; }

    /// <summary>The interface it is to lease on, as it names it; null leaves it to the address service.</summary>
    public string? Interface { get; init; }

    /// <summary><c>Adopt</c>, <c>Hold</c> or <c>Fail</c>; null is <c>Adopt</c>.</summary>
    public string? OnLeaseChange { get; init; }

    /// <summary>The MAC that its addresses are announced with by ARP, <c>Node</c> or <c>Lease</c>; null is <c>Node</c>.</summary>
    public string? AnnouncedMac { get; init; }

    /// <summary>How many calls for leases it is sent at a time; null is 32.</summary>
    public long? Concurrency { get; init; }

    /// <summary>How long to wait for it.</summary>
    public AddressServiceTimeouts? Timeouts { get; init; }

    /// <summary>What the configuration file can name and a resource cannot: files of the program's own machine.</summary>
    [JsonIgnore]
    public AddressServiceFiles? Files { get; init; }
}

/// <summary>A key of a Secret in our own namespace.</summary>
public sealed record SecretKeySpec
{
    /// <summary>The Secret.</summary>
    public string? Name { get; init; }

    /// <summary>The key; null is <c>token</c>.</summary>
    public string? Key { get; init; }
}

/// <summary>How long to wait for an address service.</summary>
public sealed record AddressServiceTimeouts
{
    /// <summary>For one call, as Go's duration; null is 40s.</summary>
    public string? Request { get; init; }
}

/// <summary>Files that only the configuration file names.</summary>
/// <param name="TokenFile">File with the token, or null.</param>
/// <param name="Tls">Certificates, or null.</param>
public sealed record AddressServiceFiles(string? TokenFile, AddressServiceTls? Tls);

/// <summary>The status of an <see cref="AddressServiceResource"/>.</summary>
public sealed record AddressServiceStatus
{
    /// <summary>Whether the last call reached it.</summary>
    public bool? Reachable { get; init; }

    /// <summary>Networks that it leases from, as it says.</summary>
    public IReadOnlyList<string>? Cidrs { get; init; }

    /// <summary>Leases that it holds.</summary>
    public long? Leased { get; init; }

    /// <summary>MACs of its list that are free.</summary>
    public long? FreeMacs { get; init; }

    /// <summary>What went wrong last; null when nothing does.</summary>
    public string? LastError { get; init; }

    /// <summary>Conditions.</summary>
    public IReadOnlyList<Condition>? Conditions { get; init; }
}
