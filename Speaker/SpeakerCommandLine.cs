using System.CommandLine;
using System.Text.RegularExpressions;
using DynamicLb.Contracts.Hosting;

namespace DynamicLb.Speaker;

/// <summary>The command line; every flag can come from an environment variable too where that is useful in a Pod.</summary>
internal static class SpeakerCommandLine
{
    public static RootCommand Create(Func<SpeakerOptions, LogLevel, CancellationToken, Task<int>> run)
    {
        var config = new Option<string>("--config")
        {
            Description = "Configuration file, shared with the controller.",
            DefaultValueFactory = _ => "/etc/dynamiclb/config",
        };
        var kubeconfig = new Option<string?>("--kubeconfig") { Description = "kubeconfig file. Default: KUBECONFIG, or the cluster it runs in." };
        var ns = new Option<string>("--namespace")
        {
            Description = "Namespace of the speakers' Leases (DYNAMICLB_NAMESPACE, METALLB_NAMESPACE).",
            DefaultValueFactory = _ => FromEnvironment("DYNAMICLB_NAMESPACE", "METALLB_NAMESPACE") ?? "dynamiclb-system",
        };
        var node = new Option<string>("--node-name")
        {
            Description = "Name of this node in Kubernetes (DYNAMICLB_NODE_NAME, METALLB_NODE_NAME).",
            DefaultValueFactory = _ => FromEnvironment("DYNAMICLB_NODE_NAME", "METALLB_NODE_NAME") ?? "",
        };
        var listen = new Option<string>("--listen")
        {
            Description = "Where /healthz, /readyz and /metrics are served.",
            DefaultValueFactory = _ => "http://127.0.0.1:17473",
        };
        var loadBalancerClass = new Option<string?>("--lb-class") { Description = "Announce Services of this loadBalancerClass; without it those that have none." };
        var ignoreExclusion = new Option<bool>("--ignore-exclude-lb") { Description = "Announce also on nodes labelled as excluded from load balancers." };
        var exclude = new Option<string[]>("--interface-exclude")
        {
            Description = "Regular expression: interfaces that match never announce. Repeatable; replaces the default list.",
            DefaultValueFactory = _ => [.. SpeakerOptions.DefaultInterfaceExclude],
        };
        var leaseSeconds = new Option<int>("--lease-seconds")
        {
            Description = "After so many seconds without a sign of life a node is taken for dead (3 to 120).",
            DefaultValueFactory = _ => 10,
        };
        var logLevel = new Option<string>("--log-level")
        {
            Description = string.Join(", ", DynamicLbHostExtensions.LogLevelNames) + ".",
            DefaultValueFactory = _ => "info",
        };
        node.Validators.Add(result =>
        {
            if (string.IsNullOrEmpty(result.GetValueOrDefault<string>()))
                result.AddError("--node-name is required (or DYNAMICLB_NODE_NAME).");
        });
        leaseSeconds.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 3 or > 120)
                result.AddError("--lease-seconds must be 3 to 120.");
        });
        logLevel.Validators.Add(result =>
        {
            if (DynamicLbHostExtensions.ParseLogLevel(result.GetValueOrDefault<string>() ?? "") is null)
                result.AddError("--log-level must be one of: " + string.Join(", ", DynamicLbHostExtensions.LogLevelNames) + ".");
        });
        exclude.Validators.Add(result =>
        {
            foreach (var pattern in result.GetValueOrDefault<string[]>() ?? [])
            {
                if (!IsPattern(pattern))
                    result.AddError($"--interface-exclude: '{pattern}' is not a regular expression.");
            }
        });

        var command = new RootCommand("Makes the network send the traffic of load-balanced Services to this node.")
        {
            config, kubeconfig, ns, node, listen, loadBalancerClass, ignoreExclusion, exclude, leaseSeconds, logLevel,
        };
        command.SetAction((parsed, cancellationToken) => run(
            new SpeakerOptions
            {
                ConfigFile = parsed.GetValue(config)!,
                Kubeconfig = parsed.GetValue(kubeconfig),
                Namespace = parsed.GetValue(ns)!,
                NodeName = parsed.GetValue(node)!,
                Listen = parsed.GetValue(listen)!,
                LoadBalancerClass = parsed.GetValue(loadBalancerClass) is { Length: > 0 } name ? name : null,
                IgnoreExclusion = parsed.GetValue(ignoreExclusion),
                InterfaceExclude = parsed.GetValue(exclude)!,
                LeaseDuration = TimeSpan.FromSeconds(parsed.GetValue(leaseSeconds)),
            },
            DynamicLbHostExtensions.ParseLogLevel(parsed.GetValue(logLevel)!)!.Value,
            cancellationToken));
        return command;
    }

    private static bool IsPattern(string pattern)
    {
        try
        {
            _ = new Regex(pattern, RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private static string? FromEnvironment(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (Environment.GetEnvironmentVariable(name) is { Length: > 0 } value)
                return value;
        }
        return null;
    }
}
