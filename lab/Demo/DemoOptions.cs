using DynamicLb.Lab.Dhcp;

namespace DynamicLb.Lab.Demo;

/// <summary>Which Kubernetes API the demo uses.</summary>
internal enum DemoKube
{
    /// <summary>The in-memory server of the tests, as a process of its own.</summary>
    InProcess = 0,

    /// <summary>kube-apiserver, etcd and kube-proxy.</summary>
    Real,

    /// <summary>The cluster that KUBECONFIG names.</summary>
    Existing,
}

/// <summary>The command line of the demo, which demo.sh has looked at before.</summary>
internal sealed record DemoOptions
{
    public bool Check { get; init; }

    public string Dhcp { get; init; } = "dnsmasq";

    public DemoKube Kube { get; init; }

    /// <summary>Whether the programs are configured by resources; else by a file.</summary>
    public bool UsesResources { get; init; }

    /// <summary>Whether a router is told of addresses by BGP; else the LAN is, by ARP.</summary>
    public bool UsesBgp { get; init; }

    /// <summary>Null with a fault when the arguments are wrong.</summary>
    public static DemoOptions? Parse(IReadOnlyList<string> args, out string? fault)
    {
        var options = new DemoOptions();
        fault = null;
        for (var i = 0; i < args.Count; i++)
        {
            var value = i + 1 < args.Count ? args[i + 1] : null;
            switch (args[i])
            {
                case "--check":
                    options = options with { Check = true };
                    break;
                case "--dhcp" when value is not null && DhcpServer.Kinds.Contains(value, StringComparer.Ordinal):
                    options = options with { Dhcp = value };
                    i++;
                    break;
                case "--kube" when value is "existing" && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("KUBECONFIG")):
                    fault = "--kube existing needs KUBECONFIG to name the cluster";
                    return null;
                case "--kube" when value is "inprocess" or "real" or "existing":
                    options = options with { Kube = Enum.Parse<DemoKube>(value, ignoreCase: true) };
                    i++;
                    break;
                case "--config" when value is "file" or "resources":
                    options = options with { UsesResources = value == "resources" };
                    i++;
                    break;
                case "--protocol" when value is "layer2" or "bgp":
                    options = options with { UsesBgp = value == "bgp" };
                    i++;
                    break;
                default:
                    fault = $"cannot understand {args[i]} {value}".TrimEnd();
                    return null;
            }
        }

        // The definitions of the resources, and with them all objects of their kinds, would have to be removed from somebody's own cluster.
        if (options is { UsesResources: true, Kube: DemoKube.Existing })
        {
            fault = "--config resources goes with --kube inprocess and real only";
            return null;
        }

        // Its addresses are from a reserved range, and nodes of somebody's own cluster are not ours to kill.
        if (options.UsesBgp && (args.Contains("--dhcp", StringComparer.Ordinal) || options.Kube == DemoKube.Existing))
        {
            fault = "--protocol bgp goes neither with --dhcp nor with --kube existing";
            return null;
        }

        return options;
    }
}
