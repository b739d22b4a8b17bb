using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Admission;

/// <summary>
/// Keeps the certificates of the webhooks: what is in the Secret is shown, renewed in time, and its authority made known to the API server. All replicas do so; whoever writes the Secret
/// first is followed by the others. Its own loop owns the state; <see cref="Options"/> is thread-safe.
/// </summary>
internal sealed partial class WebhookKeeper(
    WebhookOptions options, string ownNamespace, TlsSettings tls, IKubernetesClient client, TimeProvider time, Random random, ILogger<WebhookKeeper> logger) : BackgroundService
{
    /// <summary>How often everything is looked at.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    private const int MostConflicts = 5;
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);
    private volatile SslStreamCertificateContext? _shown;
    private (string Certificate, string Key) _shownText;

    /// <summary>Options of a TLS connection.</summary>
    /// <exception cref="IOException">There is no certificate yet.</exception>
    public SslServerAuthenticationOptions Options() => tls.With(_shown ?? throw new IOException("there is no certificate for the webhooks yet"));

    /// <summary>Looks at everything once.</summary>
    public async Task KeepAsync(CancellationToken cancellationToken)
    {
        var certificates = options.ManagesCertificates ? await RenewAsync(cancellationToken) : Read(await FindAsync(cancellationToken));
        if (certificates is null)
            throw new IOException($"Secret {ownNamespace}/{options.SecretName} has no tls.crt and tls.key, and we are not to make them");
        Show(certificates);
        if (options.ManagesCertificates)
        {
            byte[] bundle = Encoding.UTF8.GetBytes(certificates.Authorities);
            await TellConfigurationAsync(Convert.ToBase64String(bundle), cancellationToken);
            await TellDefinitionAsync(Convert.ToBase64String(bundle), cancellationToken);
        }
        else if (options.FailurePolicy is not null)
        {
            await TellConfigurationAsync(null, cancellationToken);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        string told = "";
        var backoff = new Backoff(RetryAfter, Interval, random);
        while (true)
        {
            var pause = Interval;
            try
            {
                await KeepAsync(stoppingToken);
                told = "";
                backoff.Reset();
            }
            catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException or CryptographicException or ArgumentException)
            {
                if (e.Message != told)
                    LogFailed(logger, e.Message);
                told = e.Message;
                // Until the API server knows the authority, it may refuse what operators change.
                pause = _shown is null ? RetryAfter : backoff.Next();
            }
            await Task.Delay(pause, time, stoppingToken);
        }
    }

    private void Show(WebhookCertificates certificates)
    {
        if (_shownText == (certificates.Certificate, certificates.Key))
            return;
        _shown = ServingCertificate.Parse(certificates.Certificate, certificates.Key);
        _shownText = (certificates.Certificate, certificates.Key);
        var until = _shown.TargetCertificate.NotAfter;
        LogShown(logger, until);
    }

    private async Task<WebhookCertificates> RenewAsync(CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            var secret = await FindAsync(cancellationToken);
            var current = Read(secret);
            var wanted = WebhookAuthority.Renew(current, options.Names(ownNamespace), time.GetUtcNow());
            if (ReferenceEquals(wanted, current))
                return current;
            try
            {
                await WriteAsync(secret, wanted, cancellationToken);
                LogWritten(logger, ownNamespace, options.SecretName);
                return wanted;
            }
            catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Conflict && attempt < MostConflicts)
            {
                // Another replica was faster: what it wrote counts.
            }
        }
    }

    private async Task<Secret?> FindAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await client.GetAsync(ResourceTypes.Secrets, ownNamespace, options.SecretName, cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    private Task<Secret> WriteAsync(Secret? secret, WebhookCertificates certificates, CancellationToken cancellationToken)
    {
        var data = new Dictionary<string, string>
        {
            ["ca.crt"] = Encode(certificates.Authorities),
            ["ca.key"] = Encode(certificates.AuthorityKey),
            ["tls.crt"] = Encode(certificates.Certificate),
            ["tls.key"] = Encode(certificates.Key),
        };
        if (secret is null)
        {
            var created = new Secret { Metadata = new ObjectMeta { Namespace = ownNamespace, Name = options.SecretName }, Type = "Opaque", Data = data };
            return client.CreateAsync(ResourceTypes.Secrets, created, cancellationToken);
        }
        return client.PatchAsync(
            ResourceTypes.Secrets, ownNamespace, options.SecretName, PatchType.Merge,
            Json(json =>
            {
                WriteVersion(json, secret);
                json.WriteStartObject("data");
                foreach (var (key, value) in data)
                    json.WriteString(key, value);
                json.WriteEndObject();
            }),
            null, cancellationToken);
    }

    /// <summary>Our authority, and the failure policy if one is given, in each webhook of the ValidatingWebhookConfiguration.</summary>
    private async Task TellConfigurationAsync(string? bundle, CancellationToken cancellationToken)
    {
        ValidatingWebhookConfiguration configuration;
        try
        {
            configuration = await client.GetAsync(AdmissionTypes.WebhookConfigurations, null, WebhookOptions.ConfigurationName, cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return;
        }
        var behind = (configuration.Webhooks ?? []).Where(webhook => (bundle is not null && webhook.ClientConfig?.CaBundle != bundle)
            || (options.FailurePolicy is not null && webhook.FailurePolicy != options.FailurePolicy)).ToList();
        if (behind.Count == 0)
            return;
        await client.PatchAsync(
            AdmissionTypes.WebhookConfigurations, null, WebhookOptions.ConfigurationName, PatchType.Strategic,
            Json(json =>
            {
                WriteVersion(json, configuration);
                json.WriteStartArray("webhooks");
                foreach (var webhook in behind)
                {
                    json.WriteStartObject();
                    json.WriteString("name", webhook.Name);
                    if (bundle is not null)
                        WriteBundle(json, bundle);
                    if (options.FailurePolicy is not null)
                        json.WriteString("failurePolicy", options.FailurePolicy);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
            }),
            null, cancellationToken);
        LogTold(logger, WebhookOptions.ConfigurationName);
    }

    /// <summary>Our authority in the definition of BGPPeer, where that names a webhook to convert.</summary>
    private async Task TellDefinitionAsync(string bundle, CancellationToken cancellationToken)
    {
        CustomResourceDefinition definition;
        try
        {
            definition = await client.GetAsync(AdmissionTypes.Definitions, null, WebhookOptions.ConvertedDefinition, cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return;
        }
        if (definition.Spec?.Conversion is not { Strategy: "Webhook", Webhook: { } webhook } || webhook.ClientConfig?.CaBundle == bundle)
            return;
        await client.PatchAsync(
            AdmissionTypes.Definitions, null, WebhookOptions.ConvertedDefinition, PatchType.Merge,
            Json(json =>
            {
                WriteVersion(json, definition);
                json.WriteStartObject("spec");
                json.WriteStartObject("conversion");
                json.WriteStartObject("webhook");
                WriteBundle(json, bundle);
                json.WriteEndObject();
                json.WriteEndObject();
                json.WriteEndObject();
            }),
            null, cancellationToken);
        LogTold(logger, WebhookOptions.ConvertedDefinition);
    }

    private static WebhookCertificates? Read(Secret? secret)
    {
        if (Decode(secret, "tls.crt") is not { } certificate || Decode(secret, "tls.key") is not { } key)
            return null;
        return new WebhookCertificates(Decode(secret, "ca.crt") ?? "", Decode(secret, "ca.key") ?? "", certificate, key);
    }

    private static string? Decode(Secret? secret, string key)
    {
        try
        {
            return secret?.Data is { } data && data.TryGetValue(key, out string? value) ? Encoding.UTF8.GetString(Convert.FromBase64String(value)) : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private static string Encode(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        return buffer.ToArray();
    }

    private static void WriteVersion(Utf8JsonWriter json, KubernetesObject item)
    {
        json.WriteStartObject("metadata");
        json.WriteString("resourceVersion", item.Metadata.ResourceVersion);
        json.WriteEndObject();
    }

    private static void WriteBundle(Utf8JsonWriter json, string bundle)
    {
        json.WriteStartObject("clientConfig");
        json.WriteString("caBundle", bundle);
        json.WriteEndObject();
    }

    [LoggerMessage(1, LogLevel.Warning, "The certificates of the webhooks could not be kept, next try follows: {Cause}")]
    private static partial void LogFailed(ILogger logger, string cause);

    [LoggerMessage(2, LogLevel.Information, "Webhooks are served with a certificate that is good until {NotAfter}")]
    private static partial void LogShown(ILogger logger, DateTime notAfter);

    [LoggerMessage(3, LogLevel.Information, "Certificates of the webhooks written to Secret {Namespace}/{Name}")]
    private static partial void LogWritten(ILogger logger, string @namespace, string name);

    [LoggerMessage(4, LogLevel.Information, "{Name} updated for the webhooks")]
    private static partial void LogTold(ILogger logger, string name);
}
