using System.Text.Json;
using DynamicLb.Lab.Bgp;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Demo;

/// <summary>BGP step by step: a router that spreads traffic over two nodes, and what becomes of it when one of them dies.</summary>
internal sealed class BgpDemoRun(LabNetwork network, DemoOptions options, StepLog steps) : IDemo
{
    private const string Range = "203.0.113.0/28";
    private const string Router = "10.20.0.1";

    // BFD: a path is down when nothing was heard for as long as five packets take.
    private const int IntervalMilliseconds = 100;
    private const int Multiplier = 5;

    private static readonly TimeSpan Detection = TimeSpan.FromMilliseconds(IntervalMilliseconds * Multiplier);

    // For the router's daemons to tell each other, and the kernel, on a busy machine. By the hold time it would be 90 s.
    private static readonly TimeSpan Slack = TimeSpan.FromSeconds(1);

    private static readonly string[] _nodes = ["node1", "node2"];
    private FrrRouter _frr = null!;
    private DemoCluster _cluster = null!;
    private DemoPrograms _programs = null!;
    private string _ip = "";

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await steps.RunAsync("network", () => StartNetworkAsync(cancellationToken));
        await steps.RunAsync("kubernetes", () => StartKubernetesAsync(cancellationToken));
        await steps.RunAsync("programs", () => StartProgramsAsync(cancellationToken));
        await steps.RunAsync("address", () => ApplyServiceAsync(cancellationToken));
        await steps.RunAsync("routes", () => WaitForRoutesAsync(cancellationToken));
        await steps.RunAsync("traffic", () => FetchAsync(cancellationToken));
        await steps.RunAsync("failure", () => KillNodeAsync(cancellationToken));
        await steps.RunAsync("return", () => ReviveNodeAsync(cancellationToken));
        await steps.RunAsync("withdrawal", () => DeleteServiceAsync(cancellationToken));
    }

    public async Task PlayAsync(CancellationToken cancellationToken)
    {
        await ApplyServiceAsync(cancellationToken);
        await WaitForPathsAsync(_nodes, cancellationToken);
        Console.WriteLine($"""

            demo/web is back at {_ip}. Play with it:
              export KUBECONFIG={_cluster.HostKubeconfig}
              fetch as the client:  ip netns exec {network["client"].Namespace.Name} curl http://{_ip}/
              the router's view:    vtysh --vty_socket {_frr.Sockets} -c 'show bgp ipv4 unicast' -c 'show bfd peers brief'
              its routing table:    ip -n {network["router"].Namespace.Name} route
              a node's sessions:    ip netns exec {network["node1"].Namespace.Name} curl http://127.0.0.1:17473/v1/bgp
              cut a node's cable:   ip -n {network.Switch.Name} link set p-node1 down
              logs:                 {network.Folder}/*.log
            Ctrl-C removes all of it.
            """);
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (_cluster is not null)
            await _cluster.DisposeAsync();
    }

    private async Task<string> StartNetworkAsync(CancellationToken cancellationToken)
    {
        var router = await network.AddHostAsync("router", 1, cancellationToken);
        await network.AddHostAsync("kube", 10, cancellationToken);
        foreach (var (name, number) in _nodes.Zip([11, 12]))
            await network.AddHostAsync(name, number, cancellationToken);

        // The client is on a network of its own, behind the router.
        var client = (await network.AddHostAsync("client", 50, cancellationToken)).Namespace;
        await client.IpAsync("link delete eth0", cancellationToken);
        await client.IpAsync($"link add eth0 type veth peer name eth1 netns {router.Namespace.Name}", cancellationToken);
        await router.Namespace.IpAsync("address add 198.51.100.1/24 dev eth1", cancellationToken);
        await router.Namespace.IpAsync("link set eth1 up", cancellationToken);
        await client.IpAsync("address add 198.51.100.50/24 dev eth0", cancellationToken);
        await client.IpAsync("link set eth0 up", cancellationToken);
        await client.IpAsync("route add default via 198.51.100.1", cancellationToken);
        // Each connection by itself goes to one of the nodes; else all of one client would go to the same.
        await router.Namespace.RunAsync("sysctl", ["-qw", "net.ipv4.fib_multipath_hash_policy=1"], cancellationToken);

        var neighbors = _nodes.Select(name => $"""
             neighbor {network[name].Address} remote-as 64513
             neighbor {network[name].Address} bfd
             neighbor {network[name].Address} bfd profile fast
            """);
        _frr = await FrrRouter.StartAsync(
            network, router,
            $"""
            router bgp 64512
             no bgp ebgp-requires-policy
            {string.Join('\n', neighbors)}
            """,
            cancellationToken,
            $"""
            bfd
             profile fast
              detect-multiplier {Multiplier}
              transmit-interval {IntervalMilliseconds}
              receive-interval {IntervalMilliseconds}
            """);
        var version = (await _frr.ShowAsync("show version", cancellationToken)).Split('\n')[0].Split('(')[0].Trim();
        return $"Two nodes on 10.20.0.0/24, a client on 198.51.100.0/24, and between them a router, {version} of AS 64512; namespaces {network.Prefix}-*";
    }

    private async Task<string> StartKubernetesAsync(CancellationToken cancellationToken)
    {
        _cluster = await DemoCluster.StartAsync(network, network["kube"], options.Kube, cancellationToken);
        return await _cluster.PopulateAsync(_nodes.Select(name => network[name]), cancellationToken);
    }

    private async Task<string> StartProgramsAsync(CancellationToken cancellationToken)
    {
        foreach (var name in _nodes)
            network.Start(network[name], $"web-{name}", "dotnet", Programs.PathOf("Lab"), "web", "8080", name);
        _programs = new DemoPrograms(network, _cluster, options.UsesResources);
        if (options.UsesResources)
        {
            await _cluster.DefineResourcesAsync(cancellationToken);
            await _cluster.CreateBgpConfigurationAsync(Range, Router, IntervalMilliseconds, Multiplier, cancellationToken);
        }
        else
        {
            await File.WriteAllTextAsync(_programs.ConfigurationFile, $$"""
                peers:
                - {my-asn: 64513, peer-asn: 64512, peer-address: {{Router}}, bfd-profile: fast}
                bfd-profiles:
                - {name: fast, transmit-interval: {{IntervalMilliseconds}}, receive-interval: {{IntervalMilliseconds}}, detect-multiplier: {{Multiplier}}}
                address-pools:
                - {name: public, protocol: bgp, addresses: [{{Range}}]}

                """, cancellationToken);
        }

        await _programs.StartAsync(_nodes, cancellationToken);
        return "Ready: the controller, and a speaker and a Pod of demo/web on each node";
    }

    private async Task<string> ApplyServiceAsync(CancellationToken cancellationToken)
    {
        await _cluster.CreateWebAsync([.. _nodes.Select(name => network[name])], cancellationToken);
        (_, _ip) = await _cluster.WaitForWebAddressAsync(cancellationToken);
        foreach (var name in _nodes)
            await _programs.ForwardAsync(name, _ip, name, cancellationToken);
        return $"Service demo/web, type LoadBalancer, has the address {_ip} of {Range}; traffic stays on the node it comes to (externalTrafficPolicy Local)";
    }

    private async Task<string> WaitForRoutesAsync(CancellationToken cancellationToken)
    {
        await WaitForPathsAsync(_nodes, cancellationToken);
        return $"The router has {_ip}/32 by BGP through {string.Join(" and ", _nodes.Select(name => network[name].Address))}, and hears both by BFD every {IntervalMilliseconds} ms";
    }

    /// <summary>Waits until the router's kernel forwards through these nodes and no other, and BFD watches them.</summary>
    private async Task WaitForPathsAsync(IReadOnlyList<string> nodes, CancellationToken cancellationToken)
    {
        await Wait.UntilAsync(
            async () =>
            {
                var route = await network["router"].Namespace.IpAsync($"route show {_ip}", cancellationToken);
                return Array.TrueForAll(_nodes, name => route.Contains($"via {network[name].Address} ", StringComparison.Ordinal) == nodes.Contains(name));
            },
            TimeSpan.FromSeconds(60), $"the router to have {_ip} through {string.Join(" and ", nodes)} alone", cancellationToken);
        await Wait.UntilAsync(
            async () =>
            {
                using var peers = JsonDocument.Parse(await _frr.ShowAsync("show bfd peers json", cancellationToken));
                var up = peers.RootElement.EnumerateArray().Where(static peer => peer.GetProperty("status").GetString() == "up").Select(static peer => peer.GetProperty("peer").GetString()).ToList();
                return nodes.All(name => up.Contains(network[name].Address.ToString()));
            },
            TimeSpan.FromSeconds(60), $"BFD with {string.Join(" and ", nodes)}", cancellationToken);
    }

    private async Task<string> FetchAsync(CancellationToken cancellationToken)
    {
        var pages = new SortedDictionary<string, int>(StringComparer.Ordinal);
        await Wait.UntilAsync(
            async () =>
            {
                if (await PageAsync(cancellationToken) is { } page)
                    pages[page] = pages.GetValueOrDefault(page) + 1;
                return pages.Count == _nodes.Length;
            },
            TimeSpan.FromSeconds(60), $"pages from both nodes at http://{_ip}/", cancellationToken);
        return $"The client fetches http://{_ip}/ {pages.Values.Sum()} times: {string.Join(", ", pages.Select(static page => $"{page.Value}x \"{page.Key}\""))}";
    }

    private async Task<string?> PageAsync(CancellationToken cancellationToken) => (await network["client"].FetchAsync($"http://{_ip}/", 2, cancellationToken))?.Trim();

    private async Task<string> KillNodeAsync(CancellationToken cancellationToken)
    {
        var (process, dialed) = await _programs.DialAsync(_ip, cancellationToken);
        await using var dialer = process;

        // The cable first: a speaker that dies on a living node closes its connection, and the router knows at once.
        var cut = TimeProvider.System.GetUtcNow();
        await network.Switch.IpAsync("link set p-node1 down", cancellationToken);
        _programs.Speaker("node1").Signal("KILL");
        await WaitForPathsAsync(["node2"], cancellationToken);
        // A connection that waits for its answer is known to have failed a second later.
        await Task.Delay(TimeSpan.FromSeconds(1.2), TimeProvider.System, cancellationToken);
        var gap = Dialer.UntilLastFailure(dialed, cut);
        steps.Measured("gap", gap);
        var page = await Wait.ForAsync(() => PageAsync(cancellationToken), TimeSpan.FromSeconds(60), $"a page at http://{_ip}/", cancellationToken);
        if (gap > Detection + Slack || !page.Contains("node2", StringComparison.Ordinal))
            throw new InvalidOperationException($"connections failed for {gap.TotalMilliseconds:0} ms, BFD takes {Detection.TotalMilliseconds:0} ms; the page is \"{page}\"");
        return $"node1 was cut off and its speaker killed: connections that the router sent there failed for {gap.TotalMilliseconds:0} ms (BFD takes up to {Detection.TotalMilliseconds:0} ms, "
            + $"the hold time would be 90 s); the client fetches \"{page}\"";
    }

    private async Task<string> ReviveNodeAsync(CancellationToken cancellationToken)
    {
        await network.Switch.IpAsync("link set p-node1 up", cancellationToken);
        _programs.StartSpeaker("node1");
        await WaitForPathsAsync(_nodes, cancellationToken);
        return $"node1 is back: the router spreads {_ip} over both nodes again";
    }

    private async Task<string> DeleteServiceAsync(CancellationToken cancellationToken)
    {
        await _cluster.DeleteWebAsync(cancellationToken);
        await WaitForPathsAsync([], cancellationToken);
        return $"demo/web was deleted: the router has no route to {_ip} any more, its sessions stay";
    }
}
