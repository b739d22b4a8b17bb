using System.CommandLine;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes.Client;

namespace DynamicLb.Controller.Admission;

/// <summary>The flags of the webhooks (MetalLB's names where it has them).</summary>
internal sealed class WebhookArguments
{
    private static readonly WebhookOptions Default = new();
    private readonly Option<string> _mode = new("--webhook-mode") { Description = "enabled, disabled or onlywebhook (nothing else is done).", DefaultValueFactory = static _ => "disabled" };
    private readonly Option<string> _listen = new("--webhook-listen") { Description = "Where the webhooks listen.", DefaultValueFactory = static _ => Default.Listen };
    private readonly Option<string> _service = new("--cert-service-name") { Description = "The Service that leads to the webhooks.", DefaultValueFactory = static _ => Default.ServiceName };
    private readonly Option<string> _secret = new("--webhook-secret")
    {
        Description = "Secret with the certificates of the webhooks, in our own namespace; it is made if it does not exist.",
        DefaultValueFactory = static _ => Default.SecretName,
    };

    private readonly Option<bool> _noRotation = new("--disable-cert-rotation")
    {
        Description = "Use what is in the Secret, and neither renew it nor tell the API server of its authority.",
    };

    private readonly Option<string?> _folder = new("--cert-dir") { Description = "Folder with tls.crt and tls.key, in place of the Secret; read again when they change." };
    private readonly Option<string> _names = new("--cert-names")
    {
        Description = "Further names or addresses in the certificate, separated by commas, for an API server that reaches the webhooks by a URL.",
        DefaultValueFactory = static _ => "",
    };

    private readonly Option<string?> _policy = new("--webhook-failure-policy")
    {
        Description = "Fail or Ignore: what becomes of a change while no webhook answers, to be set in the ValidatingWebhookConfiguration.",
    };

    public WebhookArguments()
    {
        _mode.AcceptOnlyFromAmong("enabled", "disabled", "onlywebhook");
        _policy.AcceptOnlyFromAmong("Fail", "Ignore");
        _listen.Validators.Add(static result =>
        {
            if (!ProgramPorts.IsUrl(result.GetValueOrDefault<string>(), "https"))
                result.AddError("--webhook-listen: not an https address such as https://*:9443");
        });
    }

    public void AddTo(RootCommand command)
    {
        foreach (var option in new Option[] { _mode, _listen, _service, _secret, _noRotation, _folder, _names, _policy })
            command.Options.Add(option);
    }

    public WebhookOptions Read(ParseResult result) => new()
    {
        Mode = result.GetValue(_mode) switch { "enabled" => WebhookMode.Enabled, "onlywebhook" => WebhookMode.OnlyWebhook, _ => WebhookMode.Disabled },
        Listen = result.GetValue(_listen)!,
        ServiceName = result.GetValue(_service)!,
        SecretName = result.GetValue(_secret)!,
        ManagesCertificates = !result.GetValue(_noRotation) && result.GetValue(_folder) is null,
        CertificateFolder = result.GetValue(_folder),
        ExtraNames = result.GetValue(_names)!.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
        FailurePolicy = result.GetValue(_policy),
    };
}

/// <summary>The parts of the webhooks.</summary>
internal static class AdmissionSetup
{
    /// <summary>Adds them; the port to listen on.</summary>
    public static ProgramPort AddAdmission(this IServiceCollection services, ControllerOptions options)
    {
        var webhooks = options.Webhooks;
        services.AddSingleton(provider => new AdmissionEndpoints(
            provider.GetRequiredService<IKubernetesClient>(), options.Namespace, provider.GetRequiredService<ILogger<AdmissionEndpoints>>()));
        if (webhooks.CertificateFolder is { } folder)
        {
            services.AddKeyedSingleton(nameof(Admission), (provider, _) => new ServingCertificate(
                folder, [], provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ServingCertificate>>()));
            return new ProgramPort(webhooks.Listen, AdmissionEndpoints.Paths)
            {
                Tls = provider => options.Common.Tls.With(provider.GetRequiredKeyedService<ServingCertificate>(nameof(Admission)).Current),
            };
        }
        services.AddSingleton(provider => new WebhookKeeper(
            webhooks, options.Namespace, options.Common.Tls, provider.GetRequiredService<IKubernetesClient>(), provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<Random>(), provider.GetRequiredService<ILogger<WebhookKeeper>>()));
        services.AddHostedService(static provider => provider.GetRequiredService<WebhookKeeper>());
        return new ProgramPort(webhooks.Listen, AdmissionEndpoints.Paths) { Tls = static provider => provider.GetRequiredService<WebhookKeeper>().Options() };
    }
}
