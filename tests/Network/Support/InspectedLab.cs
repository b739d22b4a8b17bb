using System.Globalization;
using System.Text;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Network.Support;

/// <summary>
/// A LAN whose switch does what DHCP snooping, dynamic ARP inspection and IP source guard do: it drops every ARP and IPv4 frame whose MAC and address are no pair of the DHCP server's
/// lease table. Three nodes with the real speaker, the real controller and address service, a client, and a pod of a Service on node2.
/// </summary>
internal sealed class InspectedLab : IAsyncDisposable
{
    private const string Api = "http://10.88.0.10:6443";
    private readonly Dictionary<string, ChildProcess> _speakers = new(StringComparer.Ordinal);
    private AddressServiceProcess _addresses = null!;
    private HttpClient _http = null!;
    private DhcpServer _dhcp = null!;

    private InspectedLab(LabNetwork network) => Network = network;

    public static IReadOnlyList<string> Nodes { get; } = ["node1", "node2", "node3"];

    public LabNetwork Network { get; }

    public LabHost Client => Network["client"];

    /// <summary>The address of the Service.</summary>
    public string Ip { get; private set; } = "";

    /// <summary>The MAC that it is leased for, by the server's table.</summary>
    public string LeasedMac { get; private set; } = "";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>The address service. It runs on none of the nodes.</summary>
    public AddressServiceProcess Addresses => _addresses;

    /// <param name="mac">What addresses are announced with: <c>node</c> or <c>lease</c>.</param>
    /// <param name="arguments">More flags of the address service.</param>
    public static async Task<InspectedLab> StartAsync(string mac, params IReadOnlyList<string> arguments)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        var lab = new InspectedLab(await LabNetwork.CreateAsync(Cancelled));
        try
        {
            await lab.StartCoreAsync(mac, arguments);
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    public ChildProcess Speaker(string node) => _speakers[node];

    /// <summary>Changes what addresses are announced with.</summary>
    public async Task ConfigureAsync(string mac)
    {
        string file = Path.Combine(Network.Folder, "config.yaml");
        await File.WriteAllTextAsync(
            $"{file}.new",
            $"""
            address-services:
            - name: dhcp
              url: {_addresses.Url.ToString().TrimEnd('/')}
              protocol: layer2
              token-file: {_addresses.TokenFile}
              announced-mac: {mac}

            """,
            Cancelled);
        // In one go: nobody reads a half of it.
        File.Move($"{file}.new", file, overwrite: true);
    }

    /// <summary>Starts a node's speaker.</summary>
    /// <param name="node">The node.</param>
    /// <param name="without">A capability that it does not get, such as <c>net_admin</c>.</param>
    public void StartSpeaker(string node, string? without = null)
    {
        IReadOnlyList<string> command =
        [
            "dotnet", Programs.PathOf("Speaker"), "--config", Path.Combine(Network.Folder, "config.yaml"), "--kubeconfig", Path.Combine(Network.Folder, "kubeconfig"), "--namespace", "default",
            "--node-name", node, "--listen", "http://127.0.0.1:17473", "--exclude-interfaces", "^(lo|mgmt.*)$", "--heartbeat-key-file", Path.Combine(Network.Folder, "heartbeat-key"),
        ];
        _speakers[node] = without is null
            ? Network.Start(Network[node], $"speaker-{node}", command[0], [.. command.Skip(1)])
            : Network.Start(Network[node], $"speaker-{node}", "setpriv", ["--bounding-set", $"-{without}", "--inh-caps", $"-{without}", .. command]);
    }

    /// <summary>Waits until a node's speaker is ready.</summary>
    public Task WaitForReadyAsync(string host, int port = 17473) => Wait.UntilAsync(
        async () => await Network[host].FetchAsync($"http://127.0.0.1:{port}/readyz", 2, Cancelled) is not null, TimeSpan.FromSeconds(60), () => $"{host} to be ready\n{Logs()}", Cancelled);

    // Before that, who is there first takes itself for the owner.
    private Task WaitForAllKnownAsync(string node) => Wait.UntilAsync(
        async () => await Network[node].FetchAsync("http://127.0.0.1:17473/metrics", 2, Cancelled) is { } metrics
            && metrics.Split('\n') is var lines && lines.Contains($"dynamiclb_speaker_members {Nodes.Count}") && lines.Contains($"dynamiclb_speaker_heartbeat_nodes {Nodes.Count - 1}"),
        TimeSpan.FromSeconds(60), () => $"{node} to know all\n{Logs()}", Cancelled);

    /// <summary>Waits until a node announces the address; not one of those.</summary>
    public Task<string> WaitForAnnouncerAsync(params string[] except) => Wait.ForAsync(
        async () =>
        {
            foreach (string node in Nodes.Except(except))
            {
                string? metrics = _speakers[node].HasExited ? null : await Network[node].FetchAsync("http://127.0.0.1:17473/metrics", 2, Cancelled);
                if (metrics?.Split('\n').Any(static line => line.StartsWith("metallb_speaker_announced{", StringComparison.Ordinal) && line.EndsWith(" 1", StringComparison.Ordinal)) == true)
                    return node;
            }
            return null;
        },
        TimeSpan.FromSeconds(60), () => $"a node to announce {Ip}\n{Logs()}", Cancelled);

    /// <summary>What the client gets from the Service; null for nothing.</summary>
    public Task<string?> FetchAsync() => Client.FetchAsync($"http://{Ip}/", 2, Cancelled);

    /// <summary>Waits until the client gets the page.</summary>
    public Task<string> WaitForPageAsync() => Wait.ForAsync(FetchAsync, TimeSpan.FromSeconds(60), () => $"the page at {Ip}\n{Logs()}", Cancelled);

    /// <summary>The MAC in the client's neighbour table; null for none.</summary>
    public async Task<string?> KnownMacAsync()
    {
        string[] words = (await Client.Namespace.IpAsync($"neigh show {Ip} dev eth0", Cancelled)).Split(' ', StringSplitOptions.TrimEntries);
        int at = Array.IndexOf(words, "lladdr");
        return at < 0 ? null : words[at + 1];
    }

    /// <summary>Frames that the switch dropped since the last call, ARP and IPv4.</summary>
    public async Task<(long Arp, long IPv4)> TakeDroppedAsync() => (await TakeAsync("arp_drops"), await TakeAsync("ip_drops"));

    /// <summary>Starts a client that connects to the Service all the time.</summary>
    /// <returns>What tells the longest time without a connection since a moment.</returns>
    public async Task<Func<DateTimeOffset, TimeSpan>> DialAsync()
    {
        Network.Start(Client, "dial", "dotnet", Programs.PathOf("Lab"), "dial", Ip, "80");
        string dialed = Path.Combine(Network.Folder, "dial.log");
        var begun = TimeProvider.System.GetUtcNow();
        await Wait.UntilAsync(
            () => Task.FromResult(File.Exists(dialed) && Dialer.LongestGap(dialed, begun) < TimeSpan.MaxValue), TimeSpan.FromSeconds(60), "connections", Cancelled);
        return since => Dialer.LongestGap(dialed, since - TimeSpan.FromMilliseconds(100));
    }

    /// <summary>Whether a node's kernel changes frames for a speaker.</summary>
    public async Task<bool> HasTableAsync(string node) =>
        (await Network[node].Namespace.RunAsync("nft", ["list", "tables"], Cancelled)).Contains("netdev dynamiclb", StringComparison.Ordinal);

    /// <summary>Whether a node's network card takes frames for more than its own MAC.</summary>
    public async Task<string> FurtherMacsAsync(string node) =>
        await Network[node].Namespace.RunAsync("sh", ["-c", "bridge fdb show dev eth0 | grep -v '^33:33\\|^01:00' || true"], Cancelled);

    /// <summary>Events about the Service with a reason.</summary>
    public async Task<int> EventCountAsync(string reason)
    {
        using var document = System.Text.Json.JsonDocument.Parse(await _http.GetStringAsync("api/v1/namespaces/default/events", Cancelled));
        return document.RootElement.GetProperty("items").EnumerateArray().Count(item => item.GetProperty("reason").GetString() == reason);
    }

    public string Logs() => string.Join('\n', _speakers.Select(static entry => $"--- {entry.Key}\n{entry.Value.LogTail(12)}"));

    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        _addresses?.Dispose();
        await Network.DisposeAsync();
    }

    private async Task StartCoreAsync(string mac, IReadOnlyList<string> arguments)
    {
        var bound = new List<string>();
        foreach (var (name, number) in new[] { ("router", 1), ("kube", 10), ("node1", 11), ("node2", 12), ("node3", 13), ("client", 50) })
        {
            var host = await Network.AddHostAsync(name, number, Cancelled);
            string mac0 = await host.MacAsync(Cancelled);
            bound.Add(string.Create(CultureInfo.InvariantCulture, $"{TimeProvider.System.GetUtcNow().AddDays(1).ToUnixTimeSeconds()} {mac0} {host.Address} {name} *"));
        }
        _dhcp = DhcpServer.Create("dnsmasq", Network, Network["router"]);
        // The hosts have their addresses from the same server.
        await File.WriteAllTextAsync(Path.Combine(_dhcp.Folder, "leases"), string.Join('\n', bound) + "\n", Cancelled);
        await _dhcp.StartAsync(Cancelled);
        await InspectAsync();
        await SnoopAsync();

        var kube = Network["kube"];
        Network.StartOurs(kube, "kube-api", "KubeApi", "--listen", Api, "--kubeconfig-out", Path.Combine(Network.Folder, "kubeconfig"));
        _http = kube.CreateHttpClient(new Uri(Api));
        await Wait.UntilAsync(
            async () => await kube.FetchAsync($"{Api}/api/v1/nodes", 2, Cancelled) is not null && File.Exists(Path.Combine(Network.Folder, "kubeconfig")), TimeSpan.FromSeconds(60), "the Kubernetes API",
            Cancelled);
        _addresses = await AddressServiceProcess.StartAsync(Network, kube, Cancelled, arguments);
        await ConfigureAsync(mac);
        await File.WriteAllTextAsync(Path.Combine(Network.Folder, "heartbeat-key"), "0123456789abcdef0123456789abcdef\n", Cancelled);
        Network.StartOurs(
            kube, "controller", "Controller", "--config", Path.Combine(Network.Folder, "config.yaml"), "--kubeconfig", Path.Combine(Network.Folder, "kubeconfig"), "--namespace", "default");
        Network.Start(Network["node2"], "web", "dotnet", Programs.PathOf("Lab"), "web", "8080", "node2");
        foreach (string node in Nodes)
        {
            // Nothing of this depends on loose checks of where packets come from.
            await Network[node].Namespace.RunAsync("sysctl", ["-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.default.rp_filter=1"], Cancelled);
            await SendAsync("api/v1/nodes", $$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"{{{node}}}"}}""");
        }
        foreach (string node in Nodes)
            StartSpeaker(node);
        foreach (string node in Nodes)
            await WaitForReadyAsync(node);
        foreach (string node in Nodes)
            await WaitForAllKnownAsync(node);
        await SendAsync("apis/discovery.k8s.io/v1/namespaces/default/endpointslices", """
            {"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},
             "addressType":"IPv4","ports":[],"endpoints":[{"addresses":["10.88.0.12"],"conditions":{"ready":true},"nodeName":"node2"}]}
            """);
        await SendAsync("api/v1/namespaces/default/services", """
            {"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"type":"LoadBalancer","clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],"ports":[{"port":80}]}}
            """);
        var lease = await Wait.ForAsync(
            async () => (await _dhcp.LeasesAsync(Cancelled)).FirstOrDefault(static lease => lease.HostName.StartsWith("web", StringComparison.Ordinal)), TimeSpan.FromSeconds(60),
            $"a lease\n{File.ReadAllText(Path.Combine(Network.Folder, "controller.log"))}", Cancelled);
        (Ip, LeasedMac) = (lease.Ip, lease.Mac);
        await SnoopAsync();
        foreach (string node in Nodes)
            await ForwardAsync(node);
    }

    // As kube-proxy does on a node, for this one Service.
    private Task<string> ForwardAsync(string node) => Network[node].Namespace.RunAsync("nft",
    [
        $$"""
        table ip kube-proxy-stand-in {
            chain prerouting { type nat hook prerouting priority dstnat; ip daddr {{Ip}} tcp dport 80 dnat to 10.88.0.12:8080; }
            chain postrouting { type nat hook postrouting priority srcnat; ct status dnat oifname "mgmt0" masquerade; }
        }
        """,
    ], Cancelled);

    private Task<string> InspectAsync() => Network.Switch.RunAsync("nft",
    [
        """
        table bridge inspection {
            set bound { type ether_addr . ipv4_addr; }
            counter arp_drops { }
            counter ip_drops { }
            chain forward {
                type filter hook forward priority 0; policy accept;
                iifname != "p-*" accept
                ether type ip udp dport { 67, 68 } accept
                ether type arp ether saddr . arp saddr ip != @bound counter name arp_drops drop
                ether type arp arp saddr ether . arp saddr ip != @bound counter name arp_drops drop
                ether type ip ether saddr . ip saddr != @bound counter name ip_drops drop
            }
        }
        """,
    ], Cancelled);

    /// <summary>Takes the server's lease table into the switch.</summary>
    private async Task SnoopAsync()
    {
        var elements = new StringBuilder();
        foreach (var lease in await _dhcp.LeasesAsync(Cancelled))
            elements.Append(CultureInfo.InvariantCulture, $"{(elements.Length == 0 ? "" : ", ")}{lease.Mac} . {lease.Ip}");
        await Network.Switch.RunAsync("nft", [$"flush set bridge inspection bound; add element bridge inspection bound {{ {elements} }}"], Cancelled);
    }

    private async Task<long> TakeAsync(string counter)
    {
        string[] words = (await Network.Switch.RunAsync("nft", ["reset", "counter", "bridge", "inspection", counter], Cancelled)).Split([' ', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries);
        return long.Parse(words[Array.IndexOf(words, "packets") + 1], CultureInfo.InvariantCulture);
    }

    private async Task SendAsync(string path, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using var answer = await _http.PostAsync(path, content, Cancelled);
        Assert.True(answer.IsSuccessStatusCode, $"{path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(Cancelled)}");
    }
}
