using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Demo;

/// <summary>The programs of a cluster: the controller, and on each node a speaker and what forwards to Pods.</summary>
internal sealed class DemoPrograms(LabNetwork network, DemoCluster cluster, bool usesResources)
{
    private readonly Dictionary<string, ChildProcess> _speakers = new(StringComparer.Ordinal);

    /// <summary>Where the configuration is, unless it is resources.</summary>
    public string ConfigurationFile { get; } = Path.Combine(network.Folder, "config.yaml");

    private string Configuration => usesResources ? "resources" : ConfigurationFile;

    private string HeartbeatKey => Path.Combine(network.Folder, "heartbeat-key");

    /// <summary>The process of a node's speaker.</summary>
    public ChildProcess Speaker(string node) => _speakers[node];

    /// <summary>Starts the controller and the nodes' programs, and waits until they are ready.</summary>
    public async Task StartAsync(IReadOnlyList<string> nodes, CancellationToken cancellationToken)
    {
        network.StartOurs(network["kube"], "controller", "Controller", "--config", Configuration, "--kubeconfig", cluster.Kubeconfig, "--namespace", "dynamiclb-system");
        await File.WriteAllTextAsync(HeartbeatKey, System.Security.Cryptography.RandomNumberGenerator.GetHexString(32), cancellationToken);
        foreach (var name in nodes)
        {
            StartSpeaker(name);
            if (cluster.KubeProxy is { } kubeProxy)
                StartKubeProxy(name, kubeProxy);
        }

        await WaitForReadyAsync("kube", 17472, "controller", cancellationToken);
        foreach (var name in nodes)
            await WaitForReadyAsync(name, 17473, $"speaker-{name}", cancellationToken);
    }

    /// <summary>Starts the speaker of a node.</summary>
    public void StartSpeaker(string node) =>
        _speakers[node] = network.StartOurs(network[node], $"speaker-{node}", "Speaker", "--config", Configuration,
            "--kubeconfig", cluster.Kubeconfig, "--namespace", "dynamiclb-system", "--node-name", node, "--heartbeat-key-file", HeartbeatKey);

    /// <summary>What kube-proxy does on a node for demo/web, where there is none.</summary>
    /// <param name="node">The node.</param>
    /// <param name="ip">The Service's address.</param>
    /// <param name="pod">The node of the Pod that traffic goes to.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public Task ForwardAsync(string node, string ip, string pod, CancellationToken cancellationToken) => cluster.KubeProxy is not null ? Task.CompletedTask : network[node].Namespace.RunAsync("nft",
    [
        $$"""
        table ip kube-proxy-stand-in {}
        delete table ip kube-proxy-stand-in
        table ip kube-proxy-stand-in {
            chain prerouting { type nat hook prerouting priority dstnat; ip daddr {{ip}} tcp dport 80 dnat to {{network[pod].ManagementAddress}}:8080; }
            chain postrouting { type nat hook postrouting priority srcnat; ct status dnat oifname "mgmt0" masquerade; }
        }
        """,
    ], cancellationToken);

    /// <summary>Has the client open connections to an address all the time, and waits until they come about.</summary>
    /// <returns>The process, and the file that <see cref="Dialer"/> reads.</returns>
    public async Task<(ChildProcess Process, string File)> DialAsync(string ip, CancellationToken cancellationToken)
    {
        var process = network.Start(network["client"], "dial", "dotnet", Programs.PathOf("Lab"), "dial", ip, "80");
        var dialed = Path.Combine(network.Folder, "dial.log");
        var begun = TimeProvider.System.GetUtcNow();
        await Wait.UntilAsync(() => Task.FromResult(File.Exists(dialed) && Dialer.LongestGap(dialed, begun) < TimeSpan.MaxValue), TimeSpan.FromSeconds(30), "connections", cancellationToken);
        return (process, dialed);
    }

    // The limits of connection tracking belong to the machine, not to a namespace: 0 leaves them alone.
    private void StartKubeProxy(string node, string kubeProxy) =>
        network.Start(network[node], $"kube-proxy-{node}", kubeProxy, "--kubeconfig", cluster.Kubeconfig, "--hostname-override", node, "--proxy-mode", "iptables",
            "--conntrack-max-per-core", "0", "--conntrack-tcp-timeout-established", "0s", "--conntrack-tcp-timeout-close-wait", "0s");

    private async Task WaitForReadyAsync(string host, int port, string log, CancellationToken cancellationToken)
    {
        try
        {
            await Wait.UntilAsync(async () => await network[host].FetchAsync($"http://127.0.0.1:{port}/readyz", 2, cancellationToken) is not null,
                TimeSpan.FromMinutes(2), $"{log} to be ready", cancellationToken);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}; it says: {string.Join('\n', File.ReadLines(Path.Combine(network.Folder, $"{log}.log")).TakeLast(5))}", e);
        }
    }
}
