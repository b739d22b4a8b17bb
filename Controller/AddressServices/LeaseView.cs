using System.Net;
using System.Net.Sockets;
using DynamicLb.Kubernetes;

namespace DynamicLb.Controller.AddressServices;

/// <summary>One lease as an address service knows it.</summary>
/// <param name="Name">The service that it is leased for.</param>
/// <param name="Family">The family: a service has one lease of each.</param>
internal readonly record struct LeaseId(NamespacedName Name, AddressFamily Family)
{
    public override string ToString() => Family == AddressFamily.InterNetwork ? Name.ToString() : $"{Name} (IPv6)";
}

/// <summary>What a Service has from an address service.</summary>
internal enum LeasePhase
{
    /// <summary>Asked for; no answer yet.</summary>
    Pending = 0,

    /// <summary>Leased.</summary>
    Leased,

    /// <summary>The last try failed; another follows. What was leased before may still be.</summary>
    Failed,

    /// <summary>What was leased is lost for certain: the address service says so. It is asked again.</summary>
    Lost,
}

/// <summary>Where a lease stands. Immutable.</summary>
/// <param name="Phase">The phase.</param>
/// <param name="Address">The leased address, in <see cref="LeasePhase.Leased"/>.</param>
/// <param name="ValidUntil">When it ends unless renewed; null for never.</param>
/// <param name="Cause">Why there is none, in <see cref="LeasePhase.Failed"/> and <see cref="LeasePhase.Lost"/>.</param>
internal sealed record LeaseView(LeasePhase Phase, IPAddress? Address, DateTimeOffset? ValidUntil, string? Cause)
{
    /// <summary>The MAC that is the lease's alone; null where it has none: by DHCPv6, and where leases are told apart by client identifiers.</summary>
    public string? Mac { get; init; }

    public static LeaseView Pending { get; } = new(LeasePhase.Pending, null, null, null);

    public static LeaseView Leased(IPAddress address, DateTimeOffset? validUntil, string? mac = null) => new(LeasePhase.Leased, address, validUntil, null) { Mac = mac };

    public static LeaseView Failed(string cause) => new(LeasePhase.Failed, null, null, cause);

    public static LeaseView Lost(string cause) => new(LeasePhase.Lost, null, null, cause);
}

/// <summary>What an address service says of itself. Immutable.</summary>
/// <param name="Cidrs">Networks that it leases from; null when it has not said.</param>
/// <param name="Leased">Leases that it holds.</param>
/// <param name="FreeMacs">MACs of its list that are free.</param>
/// <param name="Error">What went wrong last; null when nothing did.</param>
internal sealed record AddressServiceView(IReadOnlyList<string>? Cidrs, long? Leased, long? FreeMacs, string? Error);
