using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;
using DynamicLb.Tests.Cluster.Manifests;

namespace DynamicLb.Tests.Cluster.Controller;

/// <summary>Metrics by HTTPS of the real controller: the real API server says who may read them.</summary>
public sealed class HttpsMetricsTests : IAsyncLifetime
{
    private const string Own = ManifestCluster.Namespace;
    private readonly int _port = LoopbackPorts.Take();
    private readonly int _healthPort = LoopbackPorts.Take();
    private HttpClient _http = null!;
    private RealControlPlane _plane = null!;
    private ChildProcess _controller = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _plane = await RealControlPlane.StartAsync(cancellationToken: Token);
        var kubectl = new Kubectl(_plane.AdminKubeconfig);
        string manifests = Path.Combine(Repository.Root, "manifests");
        await kubectl.RunAsync(["apply", "-f", Path.Combine(manifests, "dynamiclb.yaml"), "-f", Path.Combine(manifests, "monitoring", "https-metrics.yaml")], cancellationToken: Token);
        await kubectl.RunAsync(["create", "serviceaccount", "prometheus"], cancellationToken: Token);
        await kubectl.RunAsync(["create", "serviceaccount", "other"], cancellationToken: Token);
        await kubectl.RunAsync(["create", "clusterrolebinding", "prometheus", "--clusterrole=dynamiclb:metrics-reader", "--serviceaccount=default:prometheus"], cancellationToken: Token);
        await TakenUp.RightsAsync(_plane, Token);
        _http = new HttpClient(new SocketsHttpHandler { SslOptions = { CertificateChainPolicy = WriteCertificate(_plane.Folder) } });
        string config = Path.Combine(_plane.Folder, "config");
        await File.WriteAllTextAsync(config, "address-pools: [{name: lab, protocol: layer2, addresses: [10.0.0.0/24]}]\n", Token);
        _controller = ChildProcess.Start(
            "dotnet",
            [
                Programs.PathOf("Controller"), "--config", config, "--namespace", Own, "--listen", string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_healthPort}"),
                "--metrics-cert-dir", _plane.Folder, "--metrics-listen", string.Create(CultureInfo.InvariantCulture, $"https://127.0.0.1:{_port}"),
                "--kubeconfig", _plane.WriteKubeconfig("controller", await _plane.CreateServiceAccountTokenAsync(Own, "controller", cancellationToken: Token)),
            ],
            Path.Combine(_plane.Folder, "controller.log"));
        await Wait.UntilAsync(
            async () => await CodeAsync(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_healthPort}/readyz")) == HttpStatusCode.OK, TimeSpan.FromSeconds(60),
            "the controller to be ready", Token);
    }

    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        if (_controller is not null)
            await _controller.DisposeAsync();
        if (_plane is not null)
            await _plane.DisposeAsync();
    }

    [Fact]
    public async Task Only_those_whom_Kubernetes_lets_can_read_them()
    {
        string metrics = string.Create(CultureInfo.InvariantCulture, $"https://127.0.0.1:{_port}/metrics");
        string prometheus = await _plane.CreateServiceAccountTokenAsync("default", "prometheus", cancellationToken: Token);
        string other = await _plane.CreateServiceAccountTokenAsync("default", "other", cancellationToken: Token);

        Assert.Equal(HttpStatusCode.Unauthorized, await CodeAsync(metrics));
        Assert.Equal(HttpStatusCode.Unauthorized, await CodeAsync(metrics, "nonsense"));
        Assert.Equal(HttpStatusCode.Forbidden, await CodeAsync(metrics, other));
        Assert.Equal(HttpStatusCode.OK, await CodeAsync(metrics, prometheus));
        // One that waits for its turn to lead is ready as well, and has not loaded it.
        await Wait.UntilAsync(
            async () =>
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, metrics) { Headers = { Authorization = new AuthenticationHeaderValue("Bearer", prometheus) } };
                using var answer = await _http.SendAsync(request, Token);
                return (await answer.Content.ReadAsStringAsync(Token)).Contains("metallb_k8s_client_config_loaded_bool 1", StringComparison.Ordinal);
            },
            TimeSpan.FromSeconds(60), "metallb_k8s_client_config_loaded_bool 1", Token);

        // Health is where it was, and metrics no longer are; neither is health with the metrics.
        Assert.Equal(HttpStatusCode.NotFound, await CodeAsync(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_healthPort}/metrics")));
        Assert.Equal(HttpStatusCode.NotFound, await CodeAsync(string.Create(CultureInfo.InvariantCulture, $"https://127.0.0.1:{_port}/healthz"), prometheus));
        Assert.DoesNotContain("Health check", await File.ReadAllTextAsync(Path.Combine(_plane.Folder, "controller.log"), Token), StringComparison.Ordinal);
    }

    /// <summary>Writes a certificate for the loopback address; what trusts it.</summary>
    private static X509ChainPolicy WriteCertificate(string folder)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=metrics", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        var certificate = request.CreateSelfSigned(TimeProvider.System.GetUtcNow().AddHours(-1), TimeProvider.System.GetUtcNow().AddDays(1));
        File.WriteAllText(Path.Combine(folder, "tls.crt"), certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(folder, "tls.key"), key.ExportPkcs8PrivateKeyPem());
        return new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { certificate }, RevocationMode = X509RevocationMode.NoCheck };
    }

    private async Task<HttpStatusCode?> CodeAsync(string url, string? token = null)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, url);
            if (token is not null)
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            using var answer = await _http.SendAsync(request, Token);
            return answer.StatusCode;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }
}
