namespace DynamicLb.Contracts;

/// <summary>Annotations on Services. Those of MetalLB keep its names, so that manifests work unchanged.</summary>
public static class Annotations
{
    /// <summary>Read: the name of the address pool or address service to take the address from (MetalLB).</summary>
    public const string AddressPool = "metallb.io/address-pool";

    /// <summary>Read: the older spelling of <see cref="AddressPool"/>, used only where the new one is absent (MetalLB before 0.15).</summary>
    public const string LegacyAddressPool = "metallb.universe.tf/address-pool";

    /// <summary>Read: one or two addresses asked for, separated by a comma (MetalLB).</summary>
    public const string LoadBalancerIPs = "metallb.io/loadBalancerIPs";

    /// <summary>Read: the older spelling of <see cref="LoadBalancerIPs"/>, used only where the new one is absent.</summary>
    public const string LegacyLoadBalancerIPs = "metallb.universe.tf/loadBalancerIPs";

    /// <summary>Read: Services with the same key may share an address (MetalLB).</summary>
    public const string AllowSharedIP = "metallb.io/allow-shared-ip";

    /// <summary>Read: the older spelling of <see cref="AllowSharedIP"/>, used only where the new one is absent.</summary>
    public const string LegacyAllowSharedIP = "metallb.universe.tf/allow-shared-ip";

    /// <summary>Written by the controller: the pool or address service that the address came from (MetalLB).</summary>
    public const string AllocatedFromPool = "metallb.io/ip-allocated-from-pool";

    /// <summary>
    /// Written by the controller for leased addresses: when the lease ends, of two the one that ends first, RFC 3339 in UTC. The speaker announces nothing after it.
    /// Absent: the address never expires.
    /// </summary>
    public const string ValidUntil = "dynamiclb.io/valid-until";

    /// <summary>
    /// Written by the controller for addresses that are to be announced with the MAC of their lease: <c>address=MAC</c>, separated by commas.
    /// </summary>
    public const string LeaseMacs = "dynamiclb.io/lease-macs";

    /// <summary>
    /// Written by the controller where a Service's lease does not go by the Service's own name, because it shares another's or asked for another address:
    /// <c>namespace/name@uid</c> of the lease; where that of one family goes by yet another name, <c>,4=</c> or <c>,6=</c> and the same of that one.
    /// </summary>
    public const string Lease = "dynamiclb.io/lease";

    /// <summary>
    /// Written by the controller when a lease was lost or changed and its address service says <c>Fail</c>: the address service and the addresses that were lost,
    /// <c>dhcp/10.20.0.11</c>, separated by commas. Whoever removes it lets the Service have another address.
    /// </summary>
    public const string FailedLease = "dynamiclb.io/failed-lease";

    /// <summary>Written by a controller that took over from one that vanished, to Services without an address; removed with the first address.</summary>
    public const string Fence = "dynamiclb.io/fence";

    /// <summary>Whether a key is in one of the domains that ours, and those taken over from MetalLB, are in.</summary>
    public static bool IsOurs(string key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return key.StartsWith("metallb.io/", StringComparison.Ordinal) || key.StartsWith("metallb.universe.tf/", StringComparison.Ordinal) || key.StartsWith("dynamiclb.io/", StringComparison.Ordinal);
    }
}

/// <summary>Types of the conditions that are written to Services.</summary>
public static class Conditions
{
    /// <summary>Written by the speaker: another machine has an address of the Service.</summary>
    public const string AddressConflict = "dynamiclb.io/AddressConflict";
}

/// <summary>Labels on Nodes that the speaker reads.</summary>
public static class NodeLabels
{
    /// <summary>Present: the node announces nothing (Kubernetes).</summary>
    public const string ExcludeFromExternalLoadBalancers = "node.kubernetes.io/exclude-from-external-load-balancers";
}
