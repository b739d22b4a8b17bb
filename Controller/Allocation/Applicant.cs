using System.Net.Sockets;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;

namespace DynamicLb.Controller.Allocation;

/// <summary>What of a Service decides which addresses it may have. Immutable.</summary>
/// <param name="Name">The Service.</param>
internal sealed record Applicant(NamespacedName Name)
{
    /// <summary>Labels of the Service; null for none.</summary>
    public IReadOnlyDictionary<string, string>? Labels { get; init; }

    /// <summary>Labels of its namespace; null for none.</summary>
    public IReadOnlyDictionary<string, string>? NamespaceLabels { get; init; }

    /// <summary>With whom it shares addresses; null for nobody.</summary>
    public SharingGroup? Sharing { get; init; }

    /// <summary>The ports it needs for itself on an address that is shared.</summary>
    public IReadOnlyList<SharedPort> Ports { get; init; } = [];

    /// <summary>Whether it may have one address together with another Service.</summary>
    public bool SharesWith(Applicant other) => Sharing is not null && Sharing == other.Sharing && !Ports.Intersect(other.Ports).Any();

    /// <summary>Whether a source that is pinned lets it in.</summary>
    public bool MayUse(AddressSource source) => source.Allocation?.Permits(Name.Namespace, NamespaceLabels, Labels) != false;
}

/// <summary>Services share an address when they are of one group and have no port in common.</summary>
/// <param name="Key">The sharing key they name.</param>
/// <param name="Backend">Where their traffic goes when it must stay on the node; empty when it may go anywhere.</param>
internal readonly record struct SharingGroup(string Key, string Backend);

/// <summary>A port on a shared address.</summary>
internal readonly record struct SharedPort(string Protocol, int Port)
{
    public override string ToString() => $"{Protocol}/{Port}";
}

/// <summary>Why an address is not given.</summary>
internal enum RefusalReason
{
    /// <summary>No pool contains it.</summary>
    NoPoolContains = 0,

    /// <summary>Several addresses, but not of one pool.</summary>
    NotInOnePool,

    /// <summary>It is not in the pool asked for.</summary>
    NotInRequestedPool,

    /// <summary>Its pool is pinned to others.</summary>
    NotPermitted,

    /// <summary>Another Service has it, and they do not share.</summary>
    InUse,

    /// <summary>Another Service that shares it has the port.</summary>
    PortInUse,

    /// <summary>There is no such pool.</summary>
    UnknownPool,

    /// <summary>The pool asked for has nothing free.</summary>
    PoolExhausted,

    /// <summary>No pool has anything free.</summary>
    NothingAvailable,
}

/// <summary>Why an address is not given, in words too.</summary>
internal sealed record Refusal(RefusalReason Reason, string Message);

/// <summary>What came of an allocation: neither is set when addresses were given.</summary>
/// <param name="AddressService">The address service that is to be asked, because its turn has come.</param>
/// <param name="Refusal">Why nothing is to be had.</param>
internal readonly record struct AllocationResult(AddressServiceSource? AddressService, Refusal? Refusal);

/// <summary>Which families an allocation may have, in the order in which they are preferred. Immutable.</summary>
/// <param name="Alternatives">Each one is a set of addresses, all of one source.</param>
internal sealed record FamilyWish(IReadOnlyList<IReadOnlyList<AddressFamily>> Alternatives)
{
    /// <summary>One address.</summary>
    public static FamilyWish Single(AddressFamily family) => new([[family]]);

    /// <summary>One address of each family, or nothing.</summary>
    public static FamilyWish Both { get; } = new([[AddressFamily.InterNetwork, AddressFamily.InterNetworkV6]]);

    /// <summary>One address of each family; else one of the first, else one of the other.</summary>
    public static FamilyWish PreferBoth(AddressFamily first) => new(
    [
        [AddressFamily.InterNetwork, AddressFamily.InterNetworkV6], [first],
        [first == AddressFamily.InterNetwork ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork],
    ]);

    /// <summary>For people.</summary>
    public override string ToString() => string.Join(
        " or ", Alternatives.Select(static families => string.Join(" and ", families.Select(static family => family == AddressFamily.InterNetwork ? "IPv4" : "IPv6"))));
}
