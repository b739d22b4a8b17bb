using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace DynamicLb.Kubernetes.Client;

/// <summary>Puts TLS, credentials and connection limits on the requests to the API server.</summary>
internal sealed class KubernetesHttpHandler : DelegatingHandler
{
    private static readonly TimeSpan TokenAge = TimeSpan.FromMinutes(1);

    private readonly KubernetesClientConfiguration _configuration;
    private readonly TimeProvider _time;
    private volatile TokenReading? _token;

    private KubernetesHttpHandler(KubernetesClientConfiguration configuration, TimeProvider time, HttpMessageHandler inner)
        : base(inner)
    {
        _configuration = configuration;
        _time = time;
    }

    public static KubernetesHttpHandler Create(KubernetesClientConfiguration configuration, TimeProvider time)
    {
        var sockets = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            MaxConnectionsPerServer = 64,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(2),
            EnableMultipleHttp2Connections = true,
            // Finds a server that is gone without a word while a watch is silent.
            KeepAlivePingDelay = TimeSpan.FromSeconds(15),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            SslOptions = Tls(configuration),
        };
        return new KubernetesHttpHandler(configuration, time, sockets);
    }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (await TokenAsync(cancellationToken) is { } token)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return await base.SendAsync(request, cancellationToken);
    }

    private async ValueTask<string?> TokenAsync(CancellationToken cancellationToken)
    {
        if (_configuration.TokenFile is not { } file)
            return _configuration.Token;
        var reading = _token;
        if (reading is not null && _time.GetElapsedTime(reading.At) < TokenAge)
            return reading.Token;
        try
        {
            reading = new TokenReading((await File.ReadAllTextAsync(file, cancellationToken)).Trim(), _time.GetTimestamp());
            _token = reading;
            return reading.Token;
        }
        catch (IOException) when (reading is not null)
        {
            // The file is being replaced: the old token is good for some time yet.
            return reading.Token;
        }
    }

    private static SslClientAuthenticationOptions Tls(KubernetesClientConfiguration configuration)
    {
        var tls = new SslClientAuthenticationOptions();
        if (configuration.TlsServerName is { } name)
            tls.TargetHost = name;
        if (configuration.ClientCertificate is { } certificate)
            tls.ClientCertificates = [certificate];
        if (configuration.SkipTlsVerify)
        {
#pragma warning disable CA5359 // The kubeconfig says insecure-skip-tls-verify.
            tls.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359
        }
        else if (configuration.CertificateAuthorities is { } authorities)
        {
            tls.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            tls.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
        }
        return tls;
    }

    private sealed record TokenReading(string Token, long At);
}
