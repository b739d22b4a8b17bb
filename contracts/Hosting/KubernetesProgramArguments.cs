using System.CommandLine;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Contracts.Hosting;

/// <summary>The arguments that controller and speaker share; MetalLB's names where it has them.</summary>
public sealed class KubernetesProgramArguments
{
    private readonly Option<string> _config = new("--config")
    {
        Description = "Configuration file: the mounted ConfigMap's key; or \"resources\" for the resources of metallb.io and dynamiclb.io in our own namespace.",
        DefaultValueFactory = static _ => "/etc/dynamiclb/config",
    };

    private readonly Option<string?> _kubeconfig = new("--kubeconfig")
    {
        Description = "Kubeconfig file; without it KUBECONFIG, then the pod's service account, then ~/.kube/config.",
    };

    private readonly Option<string?> _namespace = new("--namespace")
    {
        Description = "Namespace of our own Leases and Secrets; without it the service account's, then dynamiclb-system.",
    };

    private readonly Option<string> _lbClass = new("--lb-class")
    {
        Description = "Serve only Services of this loadBalancerClass; without it only those that name none.",
        DefaultValueFactory = static _ => "",
    };

    private readonly Option<string> _logLevel = new("--log-level")
    {
        Description = "all, debug, info, warn, error or none.",
        DefaultValueFactory = static _ => "info",
    };

    private readonly Option<string> _listen;

    /// <summary>Creates the arguments for one program.</summary>
    /// <param name="listen">Where health and metrics listen by default.</param>
    public KubernetesProgramArguments(string listen)
    {
        _listen = new Option<string>("--listen") { Description = "Address of /healthz, /readyz and /metrics.", DefaultValueFactory = _ => listen };
        _logLevel.AcceptOnlyFromAmong([.. DynamicLbHostExtensions.LogLevelNames]);
        _listen.Validators.Add(result =>
        {
            if (!Uri.TryCreate(result.GetValueOrDefault<string>(), UriKind.Absolute, out var uri) || uri.Scheme != "http")
                result.AddError("--listen: not an http address such as http://127.0.0.1:17472");
        });
    }

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(RootCommand command)
    {
        foreach (var option in new Option[] { _config, _kubeconfig, _namespace, _lbClass, _listen, _logLevel })
            command.Options.Add(option);
    }

    /// <summary>The values that were given.</summary>
    public KubernetesProgramSettings Read(ParseResult result) => new(
        result.GetValue(_config)!,
        result.GetValue(_kubeconfig),
        result.GetValue(_namespace) ?? Environment.GetEnvironmentVariable("METALLB_NAMESPACE"),
        result.GetValue(_lbClass)!,
        result.GetValue(_listen)!,
        DynamicLbHostExtensions.ParseLogLevel(result.GetValue(_logLevel)!) ?? LogLevel.Information);
}

/// <summary>The settings that controller and speaker share.</summary>
/// <param name="ConfigFile">Configuration file, or <c>resources</c>.</param>
/// <param name="KubeConfig">Kubeconfig file, or null.</param>
/// <param name="Namespace">Namespace of our own objects, or null to take it from the kubeconfig.</param>
/// <param name="LoadBalancerClass">The class to serve; empty for Services without one.</param>
/// <param name="Listen">Address of health and metrics.</param>
/// <param name="LogLevel">What is logged.</param>
public sealed record KubernetesProgramSettings(
    string ConfigFile, string? KubeConfig, string? Namespace, string LoadBalancerClass, string Listen, LogLevel LogLevel)
{
    /// <summary>Whether the configuration is taken from resources.</summary>
    public bool UsesResources => ConfigFile == Configuration.ResourceConfigSource.ArgumentValue;

    /// <summary>Whether a Service is ours, by its type and class.</summary>
    public bool Serves(Kubernetes.Resources.Service service) =>
        service.Spec.Type == "LoadBalancer" && (service.Spec.LoadBalancerClass ?? "") == LoadBalancerClass;
}
