using System.Net.Sockets;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Demo;

/// <summary>
/// Somebody's own cluster, as KUBECONFIG names it. kubectl proxy speaks to it, so its credentials stay with kubectl; the lab's programs reach the proxy at the address where the
/// other kinds of cluster have their server.
/// </summary>
internal sealed class ExistingCluster : IAsyncDisposable
{
    private readonly ChildProcess _proxy;
    private readonly Socket _listener;
    private readonly CancellationTokenSource _stop = new();

    private ExistingCluster(ChildProcess proxy, Socket listener, Uri proxyUrl, string userKubeconfig, string labKubeconfig) =>
        (_proxy, _listener, ProxyUrl, UserKubeconfig, LabKubeconfig) = (proxy, listener, proxyUrl, userKubeconfig, labKubeconfig);

    /// <summary>kubectl proxy, on loopback.</summary>
    public Uri ProxyUrl { get; }

    /// <summary>The user's own kubeconfig.</summary>
    public string UserKubeconfig { get; }

    /// <summary>kubeconfig for programs in the lab.</summary>
    public string LabKubeconfig { get; }

    /// <summary>Whether the cluster serves discovery.k8s.io/v1 (Kubernetes 1.21 and later).</summary>
    public bool ServesSlicesV1 { get; private set; }

    public static async Task<ExistingCluster> ConnectAsync(LabNetwork network, LabHost host, int port, CancellationToken cancellationToken)
    {
        var user = Environment.GetEnvironmentVariable("KUBECONFIG")!;
        var proxyPort = LoopbackPorts.Take();
        var address = host.ManagementAddress.ToString();
        var proxy = ChildProcess.Start(
            "kubectl",
            ["--kubeconfig", user, "proxy", "--port", $"{proxyPort}", "--accept-hosts", $"^127\\.0\\.0\\.1$,^{address.Replace(".", "\\.", StringComparison.Ordinal)}$"],
            Path.Combine(network.Folder, "kubectl-proxy.log"));
        var socket = Path.Combine(network.Folder, "kubectl-proxy.sock");
        var listener = Relay.ListenUnix(socket);
        var kubeconfig = Path.Combine(network.Folder, "kubeconfig");
        await File.WriteAllTextAsync(kubeconfig, $$$"""
            apiVersion: v1
            kind: Config
            current-context: lab
            clusters: [{name: lab, cluster: {server: "http://{{{address}}}:{{{port}}}"}}]
            users: [{name: lab, user: {}}]
            contexts: [{name: lab, context: {cluster: lab, user: lab}}]
            """, cancellationToken);
        var cluster = new ExistingCluster(proxy, listener, new Uri($"http://127.0.0.1:{proxyPort}/"), user, kubeconfig);
        _ = Relay.RunAsync(listener, token => Relay.ConnectTcpAsync("127.0.0.1", proxyPort, token), cluster._stop.Token);
        network.Start(host, "kubectl-proxy-relay", "dotnet", Programs.PathOf("Lab"), "relay-out", address, $"{port}", socket);

        using var http = cluster.CreateHttpClient();
        await Wait.UntilAsync(
            async () => await IsServedAsync(http, "api/v1/namespaces/default", cancellationToken), TimeSpan.FromMinutes(1),
            $"the cluster of {user}; kubectl proxy says: {proxy.LogTail()}", cancellationToken);
        cluster.ServesSlicesV1 = await IsServedAsync(http, "apis/discovery.k8s.io/v1", cancellationToken);
        return cluster;
    }

    /// <summary>A client of the proxy.</summary>
    public HttpClient CreateHttpClient() => new() { BaseAddress = ProxyUrl, Timeout = TimeSpan.FromSeconds(30) };

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _proxy.DisposeAsync();
        _stop.Dispose();
    }

    private static async Task<bool> IsServedAsync(HttpClient http, string path, CancellationToken cancellationToken)
    {
        try
        {
            using var answer = await http.GetAsync(path, cancellationToken);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
