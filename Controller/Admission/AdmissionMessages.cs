using System.Text.Json;
using System.Text.Json.Serialization;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Admission;

/// <summary>A question of the API server whether an object may be written, and our answer (admission.k8s.io, v1 and v1beta1 have one form).</summary>
internal sealed record AdmissionReview
{
    public string? ApiVersion { get; init; }

    public string? Kind { get; init; }

    public AdmissionRequest? Request { get; init; }

    public AdmissionResponse? Response { get; init; }
}

/// <summary>What is asked.</summary>
internal sealed record AdmissionRequest
{
    public string? Uid { get; init; }

    /// <summary>CREATE, UPDATE, DELETE or CONNECT.</summary>
    public string? Operation { get; init; }

    public string? Namespace { get; init; }

    public string? Name { get; init; }

    /// <summary>What is to be; null for DELETE.</summary>
    public JsonElement? Object { get; init; }

    /// <summary>What is; null for CREATE.</summary>
    public JsonElement? OldObject { get; init; }
}

/// <summary>What is answered.</summary>
internal sealed record AdmissionResponse
{
    public string? Uid { get; init; }

    public bool Allowed { get; init; }

    public Kubernetes.Resources.Status? Status { get; init; }

    /// <summary>Shown to whoever writes; kubectl cuts them.</summary>
    public IReadOnlyList<string>? Warnings { get; init; }

    public static AdmissionResponse Allow(IReadOnlyList<string>? warnings = null) => new() { Allowed = true, Warnings = warnings is { Count: > 0 } ? warnings : null };

    public static AdmissionResponse Deny(string message) => new() { Status = new Kubernetes.Resources.Status { Code = 403, Reason = "Forbidden", Message = message } };
}

/// <summary>A question of the API server to read objects of one version as another (apiextensions.k8s.io, v1 and v1beta1 have one form).</summary>
internal sealed record ConversionReview
{
    public string? ApiVersion { get; init; }

    public string? Kind { get; init; }

    public ConversionRequest? Request { get; init; }

    public ConversionResponse? Response { get; init; }
}

/// <summary>What is asked.</summary>
internal sealed record ConversionRequest
{
    public string? Uid { get; init; }

    [JsonPropertyName("desiredAPIVersion")]
    public string? DesiredApiVersion { get; init; }

    public IReadOnlyList<System.Text.Json.Nodes.JsonObject>? Objects { get; init; }
}

/// <summary>What is answered.</summary>
internal sealed record ConversionResponse
{
    public string? Uid { get; init; }

    public IReadOnlyList<System.Text.Json.Nodes.JsonObject>? ConvertedObjects { get; init; }

    public ConversionResult Result { get; init; } = new();
}

/// <summary>Whether it could be done.</summary>
internal sealed record ConversionResult
{
    /// <summary>Success or Failure.</summary>
    public string Status { get; init; } = "Success";

    public string? Message { get; init; }
}

/// <summary>A ValidatingWebhookConfiguration (admissionregistration.k8s.io/v1), as far as we look at it.</summary>
internal sealed record ValidatingWebhookConfiguration : KubernetesObject
{
    public IReadOnlyList<RegisteredWebhook>? Webhooks { get; init; }
}

/// <summary>One webhook of it.</summary>
internal sealed record RegisteredWebhook
{
    public string? Name { get; init; }

    public WebhookClientConfig? ClientConfig { get; init; }

    public string? FailurePolicy { get; init; }
}

/// <summary>How the API server reaches a webhook.</summary>
internal sealed record WebhookClientConfig
{
    /// <summary>Certificates in base64 (of PEM).</summary>
    public string? CaBundle { get; init; }
}

/// <summary>A CustomResourceDefinition (apiextensions.k8s.io/v1), as far as we look at it.</summary>
internal sealed record CustomResourceDefinition : KubernetesObject
{
    public DefinitionSpec? Spec { get; init; }
}

/// <summary>Its spec.</summary>
internal sealed record DefinitionSpec
{
    public DefinitionConversion? Conversion { get; init; }
}

/// <summary>How its versions are converted.</summary>
internal sealed record DefinitionConversion
{
    /// <summary>None or Webhook.</summary>
    public string? Strategy { get; init; }

    public DefinitionWebhook? Webhook { get; init; }
}

/// <summary>The webhook that converts.</summary>
internal sealed record DefinitionWebhook
{
    public WebhookClientConfig? ClientConfig { get; init; }
}

/// <summary>Where these objects live in the API.</summary>
internal static class AdmissionTypes
{
    private static readonly AdmissionJsonContext Json = AdmissionJsonContext.Default;

    public static ResourceType<ValidatingWebhookConfiguration> WebhookConfigurations { get; } = new(
        "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false, Json.ValidatingWebhookConfiguration,
        Json.ResourceListValidatingWebhookConfiguration);

    public static ResourceType<CustomResourceDefinition> Definitions { get; } = new(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false, Json.CustomResourceDefinition, Json.ResourceListCustomResourceDefinition);
}

/// <summary>JSON of all this.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AdmissionReview))]
[JsonSerializable(typeof(ConversionReview))]
[JsonSerializable(typeof(ResourceList<ValidatingWebhookConfiguration>))]
[JsonSerializable(typeof(ResourceList<CustomResourceDefinition>))]
internal sealed partial class AdmissionJsonContext : JsonSerializerContext;
