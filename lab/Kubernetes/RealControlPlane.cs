using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Kubernetes;

/// <summary>How a <see cref="RealControlPlane"/> is started.</summary>
public sealed record RealControlPlaneOptions
{
    /// <summary>Address the API server listens on. Default: loopback.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>Port of the API server; 0 takes a free one.</summary>
    public int Port { get; init; }

    /// <summary>Network namespace both processes run in; null: the caller's.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Makes connections to the API server where it cannot be reached from here directly; null: the ordinary way.</summary>
    public Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? Connect { get; init; }

    /// <summary>More flags for kube-apiserver, after ours.</summary>
    public IReadOnlyList<string> ApiServerArguments { get; init; } = [];
}

/// <summary>
/// A real kube-apiserver (1.20.2, with RBAC) and etcd, in a temporary folder and on ports of their own; both are killed and the folder is
/// removed on disposal. Needs etcd (Debian: etcd-server) in the PATH; the Kubernetes binaries come from lab/kube/build.sh.
/// </summary>
public sealed class RealControlPlane : IAsyncDisposable
{
    // Patience only: on a machine that does other things too, all takes many times as long.
    private static readonly TimeSpan _startLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan _requestLimit = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan _probeLimit = TimeSpan.FromSeconds(10);
    private readonly RealControlPlaneOptions _options;
    private readonly string _apiServer;
    private readonly int _etcdPort = LoopbackPorts.Take();
    private readonly int _etcdPeerPort = LoopbackPorts.Take();
    private readonly int _port;
    private ChildProcess? _etcdProcess;
    private ChildProcess? _apiServerProcess;
    private HttpClient? _http;

    private RealControlPlane(RealControlPlaneOptions options, string binaries)
    {
        _options = options;
        _apiServer = Path.Combine(binaries, "kube-apiserver");
        _port = options.Port != 0 ? options.Port : LoopbackPorts.Take();
        Folder = Directory.CreateTempSubdirectory(Leftovers.Prefix(0) + "-kube").FullName;
        AdminToken = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        Server = new UriBuilder("https", options.Address.ToString(), _port).Uri;
    }

    /// <summary>URL of the API server.</summary>
    public Uri Server { get; }

    /// <summary>Bearer token of a member of system:masters.</summary>
    public string AdminToken { get; }

    /// <summary>Folder with logs, keys and kubeconfig files; gone after disposal.</summary>
    public string Folder { get; }

    /// <summary>PEM file to verify the API server with.</summary>
    public string CertificateAuthorityFile => Path.Combine(Folder, "certificates", "apiserver.crt");

    /// <summary>kubeconfig of the administrator.</summary>
    public string AdminKubeconfig => Path.Combine(Folder, "admin.kubeconfig");

    /// <summary>An HTTP client for the API, as the administrator.</summary>
    public HttpClient Http => _http ?? throw new InvalidOperationException("The API server has not been started.");

    /// <summary>Starts both and returns when the API server says it is ready (some 5 seconds).</summary>
    public static async Task<RealControlPlane> StartAsync(RealControlPlaneOptions? options = null, CancellationToken cancellationToken = default)
    {
        var binaries = await ChildProcess.OutputOfAsync(Path.Combine(Repository.Root, "lab", "kube", "build.sh"), [], cancellationToken);
        Leftovers.SweepFolders();
        var plane = new RealControlPlane(options ?? new RealControlPlaneOptions(), binaries.Trim());
        try
        {
            plane.WriteCredentials();
            plane.StartEtcd();
            await plane.StartApiServerAsync(cancellationToken);
            return plane;
        }
        catch
        {
            await plane.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the API server after <see cref="StopApiServerAsync"/>, on the same port and data.</summary>
    public async Task StartApiServerAsync(CancellationToken cancellationToken = default)
    {
        var keys = Path.Combine(Folder, "service-account.key");
        _apiServerProcess = Start(
            "apiserver",
            _apiServer,
            [
                "--etcd-servers", $"http://127.0.0.1:{_etcdPort}",
                "--bind-address", _options.Address.ToString(),
                "--secure-port", $"{_port}",
                "--cert-dir", Path.Combine(Folder, "certificates"),
                "--token-auth-file", Path.Combine(Folder, "tokens"),
                "--authorization-mode", "RBAC",
                "--disable-admission-plugins", "ServiceAccount",
                "--service-account-issuer", "https://kubernetes.default.svc",
                "--service-account-key-file", keys,
                "--service-account-signing-key-file", keys,
                "--service-cluster-ip-range", "10.96.0.0/12",
                "--endpoint-reconciler-type", "none",
                .. _options.ApiServerArguments,
            ]);
        await WaitUntilReadyAsync(cancellationToken);
    }

    /// <summary>Kills the API server, as a crash would; etcd keeps the data.</summary>
    public async Task StopApiServerAsync()
    {
        if (_apiServerProcess is not null)
        {
            await _apiServerProcess.DisposeAsync();
            _apiServerProcess = null;
        }
    }

    /// <summary>Path of kube-proxy, of the same version.</summary>
    public string KubeProxy => Path.Combine(Path.GetDirectoryName(_apiServer)!, "kube-proxy");

    /// <summary>A token for a service account, as the kubelet would mount it into a Pod; for the API server, or for the audience given.</summary>
    public async Task<string> CreateServiceAccountTokenAsync(string ns, string account, string? audience = null, CancellationToken cancellationToken = default)
    {
        string audiences = audience is null ? "" : $$""","audiences":["{{audience}}"]""";
        using var content = new StringContent(
            $$$"""{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600{{{audiences}}}}}""",
            new MediaTypeHeaderValue("application/json"));
        using var response = await Http.PostAsync($"/api/v1/namespaces/{ns}/serviceaccounts/{account}/token", content, cancellationToken);
        response.EnsureSuccessStatusCode();
        var answer = await response.Content.ReadFromJsonAsync<JsonElement>(cancellationToken);
        return answer.GetProperty("status").GetProperty("token").GetString()!;
    }

    /// <summary>Writes a kubeconfig for whoever holds <paramref name="token"/> and returns its path.</summary>
    public string WriteKubeconfig(string name, string token) => WriteKubeconfig(name, token, Server);

    /// <summary>As <see cref="WriteKubeconfig(string, string)"/>, for whoever reaches the API server at another address.</summary>
    public string WriteKubeconfig(string name, string token, Uri server)
    {
        var file = Path.Combine(Folder, name + ".kubeconfig");
        File.WriteAllText(
            file,
            $"""
            apiVersion: v1
            kind: Config
            current-context: lab
            clusters:
            - name: lab
              cluster:
                server: {server}
                tls-server-name: kubernetes
                certificate-authority: {CertificateAuthorityFile}
            contexts:
            - name: lab
              context:
                cluster: lab
                user: {name}
            users:
            - name: {name}
              user:
                token: {token}

            """);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return file;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        await StopApiServerAsync();
        if (_etcdProcess is not null)
        {
            await _etcdProcess.DisposeAsync();
        }

        Directory.Delete(Folder, recursive: true);
    }

    private void WriteCredentials()
    {
        using var key = RSA.Create(2048);
        File.WriteAllText(Path.Combine(Folder, "service-account.key"), key.ExportRSAPrivateKeyPem());
        File.WriteAllText(Path.Combine(Folder, "tokens"), $"{AdminToken},admin,admin,\"system:masters\"\n");
        WriteKubeconfig("admin", AdminToken);
    }

    private void StartEtcd()
    {
        var client = $"http://127.0.0.1:{_etcdPort}";
        var peer = $"http://127.0.0.1:{_etcdPeerPort}";
        _etcdProcess = Start(
            "etcd",
            "etcd",
            [
                "--data-dir", Path.Combine(Folder, "etcd"),
                "--listen-client-urls", client,
                "--advertise-client-urls", client,
                "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer,
                "--initial-cluster", $"default={peer}",
                // The data lives as long as the test.
                "--unsafe-no-fsync",
            ]);
    }

    private ChildProcess Start(string name, string program, IReadOnlyList<string> arguments)
    {
        var log = Path.Combine(Folder, name + ".log");
        return _options.NetworkNamespace is { } ns
            ? ChildProcess.Start("ip", ["netns", "exec", ns, program, .. arguments], log)
            : ChildProcess.Start(program, arguments, log);
    }

    private async Task WaitUntilReadyAsync(CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(_startLimit);
        while (!deadline.IsCancellationRequested)
        {
            foreach (var process in new[] { _etcdProcess, _apiServerProcess })
            {
                if (process is { HasExited: true })
                {
                    throw new InvalidOperationException($"The control plane did not start; the end of its log:\n{process.LogTail()}");
                }
            }

            // Its certificate is made at the first start.
            if (File.Exists(CertificateAuthorityFile) && await IsReadyAsync(cancellationToken))
            {
                return;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System, cancellationToken);
        }

        cancellationToken.ThrowIfCancellationRequested();
        throw new TimeoutException($"The control plane was not ready after {_startLimit.TotalMinutes} minutes; the end of its log:\n{_apiServerProcess?.LogTail()}");
    }

    private async Task<bool> IsReadyAsync(CancellationToken cancellationToken)
    {
        try
        {
            _http ??= CreateHttpClient();
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(_probeLimit);
            using var ready = await _http.GetAsync("/readyz", patience.Token);
            // That it is ready does not say that it has made the namespace yet.
            using var space = await _http.GetAsync("/api/v1/namespaces/default", patience.Token);
            return ready.IsSuccessStatusCode && space.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // No answer in time: the machine has much to do.
            return false;
        }
        catch (CryptographicException)
        {
            // Half written.
            return false;
        }
    }

    private HttpClient CreateHttpClient()
    {
        if (_options.NetworkNamespace is not null && _options.Connect is null && IPAddress.IsLoopback(_options.Address))
        {
            throw new InvalidOperationException("An API server on the loopback of a namespace cannot be reached from here.");
        }

        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.ImportFromPemFile(CertificateAuthorityFile);
        if (policy.CustomTrustStore.Count == 0)
        {
            throw new CryptographicException("The file is there, and nothing is in it yet.");
        }

        return new HttpClient(new SocketsHttpHandler { SslOptions = { CertificateChainPolicy = policy }, ConnectCallback = _options.Connect, UseProxy = false })
        {
            BaseAddress = Server,
            Timeout = _requestLimit,
            DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", AdminToken) },
        };
    }
}
