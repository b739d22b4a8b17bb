using System.CommandLine;
using Microsoft.Extensions.DependencyInjection;
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

    private readonly Option<string?> _metricsListen = new("--metrics-listen")
    {
        Description = "Serve /metrics here instead: an https address (such as https://*:9120) for those whom Kubernetes lets, or an http address for everybody.",
    };

    private readonly Option<int?> _port = new("--port") { Description = "As --metrics-listen https://*:PORT; 0 for none." };

    private readonly Option<string?> _metricsCertificates = new("--metrics-cert-dir")
    {
        Description = "Folder with tls.crt and tls.key for --metrics-listen, read again when they change; without it a certificate that we sign ourselves.",
    };

    private readonly Option<string?> _tlsMinimum = new("--tls-min-version") { Description = "VersionTLS12 or VersionTLS13 (the default)." };

    private readonly Option<string?> _tlsSuites = new("--tls-cipher-suites") { Description = "Suites of TLS 1.2, by their IANA names, separated by commas." };

    /// <summary>Creates the arguments for one program.</summary>
    /// <param name="listen">Where health and metrics listen by default.</param>
    public KubernetesProgramArguments(string listen)
    {
        _listen = new Option<string>("--listen") { Description = "Address of /healthz, /readyz and /metrics.", DefaultValueFactory = _ => listen };
        _logLevel.AcceptOnlyFromAmong([.. DynamicLbHostExtensions.LogLevelNames]);
        _listen.Validators.Add(result =>
        {
            if (!ProgramPorts.IsUrl(result.GetValueOrDefault<string>(), "http"))
                result.AddError("--listen: not an http address such as http://127.0.0.1:17472");
        });
        _metricsListen.Validators.Add(static result =>
        {
            if (!ProgramPorts.IsUrl(result.GetValueOrDefault<string>(), "http", "https"))
                result.AddError("--metrics-listen: not an http or https address such as https://*:9120");
        });
        _port.Validators.Add(static result =>
        {
            if (result.GetValueOrDefault<int?>() is < 0 or > 65_535)
                result.AddError("--port: not a port");
        });
    }

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(RootCommand command)
    {
        foreach (var option in new Option[] { _config, _kubeconfig, _namespace, _lbClass, _listen, _metricsListen, _port, _metricsCertificates, _tlsMinimum, _tlsSuites, _logLevel })
            command.Options.Add(option);
        command.Validators.Add(result =>
        {
            if (TlsSettings.TryParse(result.GetValue(_tlsMinimum), result.GetValue(_tlsSuites), out _) is { } fault)
                result.AddError(fault);
        });
    }

    /// <summary>The values that were given.</summary>
    public KubernetesProgramSettings Read(ParseResult result)
    {
        _ = TlsSettings.TryParse(result.GetValue(_tlsMinimum), result.GetValue(_tlsSuites), out var tls);
        return new KubernetesProgramSettings(
            result.GetValue(_config)!,
            result.GetValue(_kubeconfig),
            result.GetValue(_namespace) ?? Environment.GetEnvironmentVariable("METALLB_NAMESPACE"),
            result.GetValue(_lbClass)!,
            result.GetValue(_listen)!,
            DynamicLbHostExtensions.ParseLogLevel(result.GetValue(_logLevel)!) ?? LogLevel.Information)
        {
            MetricsListen = result.GetValue(_metricsListen) ?? (result.GetValue(_port) is { } port ? (port == 0 ? "" : $"https://*:{port}") : null),
            MetricsCertificateFolder = result.GetValue(_metricsCertificates),
            Tls = tls,
        };
    }
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
    /// <summary>Where the metrics are served, if not beside health: an https address asks Kubernetes who may read them. Null: beside health; empty: nowhere.</summary>
    public string? MetricsListen { get; init; }

    /// <summary>Folder with the certificate of <see cref="MetricsListen"/>; null for one of our own.</summary>
    public string? MetricsCertificateFolder { get; init; }

    /// <summary>Which TLS is spoken.</summary>
    public TlsSettings Tls { get; init; } = TlsSettings.Default;

    /// <summary>The ports of health and metrics.</summary>
    public IReadOnlyList<ProgramPort> Ports()
    {
        string[] health = ["/healthz", "/readyz"];
        if (MetricsListen is null)
            return [new ProgramPort(Listen, [.. health, MetricsAccess.MetricsPath])];
        if (MetricsListen.Length == 0)
            return [new ProgramPort(Listen, health)];
        var metrics = new ProgramPort(MetricsListen, [MetricsAccess.MetricsPath]);
        if (MetricsListen.StartsWith("https:", StringComparison.Ordinal))
        {
            metrics = metrics with
            {
                Tls = services => Tls.With(services.GetRequiredService<ServingCertificate>().Current),
                Admit = static context => context.RequestServices.GetRequiredService<MetricsAccess>().AdmitAsync(context),
            };
        }
        return [new ProgramPort(Listen, health), metrics];
    }

    /// <summary>What those ports need.</summary>
    public void AddTo(IServiceCollection services)
    {
        services.AddSingleton<MetricsAccess>();
        services.AddSingleton(provider => new ServingCertificate(
            MetricsCertificateFolder, [Environment.MachineName, "localhost"], provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ServingCertificate>>()));
    }

    /// <summary>Whether the configuration is taken from resources.</summary>
    public bool UsesResources => ConfigFile == Configuration.ResourceConfigSource.ArgumentValue;

    /// <summary>Whether a Service is ours, by its type and class.</summary>
    public bool Serves(Kubernetes.Resources.Service service) =>
        service.Spec.Type == "LoadBalancer" && (service.Spec.LoadBalancerClass ?? "") == LoadBalancerClass;
}
