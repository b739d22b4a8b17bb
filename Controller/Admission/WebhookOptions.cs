namespace DynamicLb.Controller.Admission;

/// <summary>What of the webhooks and the rest a controller runs (MetalLB's <c>--webhook-mode</c>).</summary>
internal enum WebhookMode
{
    /// <summary>No webhooks.</summary>
    Disabled = 0,

    /// <summary>Webhooks beside everything else.</summary>
    Enabled,

    /// <summary>Webhooks and nothing else.</summary>
    OnlyWebhook,
}

/// <summary>How admission and conversion webhooks are served. Immutable.</summary>
internal sealed record WebhookOptions
{
    /// <summary>The ValidatingWebhookConfiguration that gets our certificate authority (MetalLB's name).</summary>
    public const string ConfigurationName = "metallb-webhook-configuration";

    /// <summary>Those of the CustomResourceDefinitions whose conversion we serve.</summary>
    public const string ConvertedDefinition = "bgppeers.metallb.io";

    /// <summary>Whether they are served at all.</summary>
    public WebhookMode Mode { get; init; }

    /// <summary>Where they listen, https.</summary>
    public string Listen { get; init; } = "https://*:9443";

    /// <summary>The Service that leads to us: its names are in the certificate.</summary>
    public string ServiceName { get; init; } = "metallb-webhook-service";

    /// <summary>The Secret with authority and certificate, in our own namespace.</summary>
    public string SecretName { get; init; } = "metallb-webhook-cert";

    /// <summary>Folder with <c>tls.crt</c> and <c>tls.key</c>, which somebody else renews; null to use the Secret.</summary>
    public string? CertificateFolder { get; init; }

    /// <summary>Whether we make and renew what is in the Secret, and tell the API server of our authority.</summary>
    public bool ManagesCertificates { get; init; } = true;

    /// <summary>Further names or addresses in the certificate, for an API server that reaches us by a URL.</summary>
    public IReadOnlyList<string> ExtraNames { get; init; } = [];

    /// <summary><c>Fail</c> or <c>Ignore</c>, to be set in the ValidatingWebhookConfiguration; null leaves what is there.</summary>
    public string? FailurePolicy { get; init; }

    /// <summary>The names that the certificate vouches for; the first is what the API server asks for.</summary>
    public IReadOnlyList<string> Names(string @namespace) => [$"{ServiceName}.{@namespace}.svc", $"{ServiceName}.{@namespace}.svc.cluster.local", .. ExtraNames];
}
