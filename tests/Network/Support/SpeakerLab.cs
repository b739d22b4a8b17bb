using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Lab;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Network.Support;

/// <summary>A LAN with a Kubernetes API, nodes that each run the real speaker, and a client that watches ARP. When it has started, every speaker knows all others.</summary>
internal sealed partial class SpeakerLab : IAsyncDisposable
{
    private const string Api = "http://10.88.0.2:6443";

    // How long something may take on a busy machine.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Dictionary<string, ChildProcess> _speakers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _macs = new(StringComparer.Ordinal);
    private HttpClient _http = null!;

    private bool _heartbeats;

    private readonly HashSet<string> _passwords = new(StringComparer.Ordinal);
    private readonly string[] _arguments;

    private SpeakerLab(LabNetwork network, bool heartbeats, string[] arguments) => (Network, _heartbeats, _arguments) = (network, heartbeats, arguments);

    public LabNetwork Network { get; }

    public ChildProcess ApiServer { get; private set; } = null!;

    public LabHost Client => Network["client"];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <param name="nodes">How many.</param>
    /// <param name="heartbeats">Whether the speakers exchange heartbeats.</param>
    /// <param name="arguments">More arguments of the speakers.</param>
    public static async Task<SpeakerLab> StartAsync(int nodes = 2, bool heartbeats = false, params string[] arguments)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        var lab = new SpeakerLab(await LabNetwork.CreateAsync(Cancelled), heartbeats, arguments);
        try
        {
            await lab.StartCoreAsync(nodes);
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    /// <summary>How many nodes there are.</summary>
    public int Nodes => _speakers.Count;

    /// <summary>The process of a node's speaker.</summary>
    public ChildProcess Speaker(string node) => _speakers[node];

    /// <summary>Excludes a node from external load balancers by its label, or no longer.</summary>
    public Task ExcludeAsync(string node, bool excluded) => SendAsync(HttpMethod.Patch, $"api/v1/nodes/{node}", $$$"""
        {"metadata":{"labels":{"node.kubernetes.io/exclude-from-external-load-balancers":{{{(excluded ? "\"\"" : "null")}}} } } }
        """);

    /// <summary>Waits until every speaker knows all others: by their Leases, and by heartbeats where these are exchanged. Before that, who is there first takes itself for the owner.</summary>
    public async Task WaitForAllKnownAsync()
    {
        foreach (string node in _speakers.Keys)
            await WaitForMetricAsync(node, "dynamiclb_speaker_members", Nodes);
        if (_heartbeats)
            await WaitForAllHeardAsync();
    }

    /// <summary>Waits until every speaker hears all others by heartbeats.</summary>
    public async Task WaitForAllHeardAsync()
    {
        foreach (string node in _speakers.Keys)
            await WaitForMetricAsync(node, "dynamiclb_speaker_heartbeat_nodes", Nodes - 1);
    }

    /// <summary>Waits until a metric of a node's speaker has a value; see <see cref="MetricAsync"/>.</summary>
    public Task WaitForMetricAsync(string node, string start, double value) => Wait.UntilAsync(
        async () => await MetricOrNothingAsync(node, start) == value, Patience, () => $"{start} of {node} to be {value}\n{Logs()}", Cancelled);

    /// <summary>Waits until a metric of all nodes' speakers together has a value.</summary>
    public Task WaitForSumAsync(string start, double value) => Wait.UntilAsync(
        async () =>
        {
            double sum = 0;
            foreach (string node in _speakers.Keys)
                sum += await MetricOrNothingAsync(node, start) ?? double.NaN;
            return sum == value;
        },
        Patience, () => $"{start} of all nodes to be {value}\n{Logs()}", Cancelled);

    /// <summary>The node that answers for an address; null when nobody does. Two answers are a fault.</summary>
    public async Task<string?> WhoHasAsync(string ip) =>
        await Client.ResolveAsync(ip, Cancelled, ip.StartsWith("10.30.", StringComparison.Ordinal) ? "eth1" : "eth0") is { } mac ? _macs.GetValueOrDefault(mac, mac) : null;

    /// <summary>Connects all nodes and the client to a second LAN, 10.30.0.0/24, by interfaces eth1. A node's port there is q-NODE at the switch.</summary>
    public async Task AddSegmentAsync()
    {
        await Network.Switch.IpAsync("link add lan2 type bridge", Cancelled);
        await Network.Switch.IpAsync("link set lan2 up", Cancelled);
        int number = 10;
        foreach (string name in (string[])["client", .. Enumerable.Range(1, Nodes).Select(static i => string.Create(CultureInfo.InvariantCulture, $"node{i}"))])
        {
            var host = Network[name].Namespace;
            await Network.Switch.IpAsync($"link add q-{name} type veth peer name eth1 netns {host.Name}", Cancelled);
            await Network.Switch.IpAsync($"link set q-{name} master lan2 up", Cancelled);
            await host.IpAsync(string.Create(CultureInfo.InvariantCulture, $"addr add 10.30.0.{number++}/24 dev eth1"), Cancelled);
            await host.IpAsync("link set eth1 up", Cancelled);
            string mac = (await host.RunAsync("sh", ["-c", "ip -br link show dev eth1 | awk '{print $3}'"], Cancelled)).Trim();
            if (name != "client")
                _macs[mac] = name;
        }
    }

    /// <summary>The node that answers for an IPv6 address on an interface of the client, by ndisc6(8); null when nobody does.</summary>
    public async Task<string?> WhoHasSixAsync(string ip, string device = "eth0")
    {
        string output = await Client.Namespace.RunAsync("sh", ["-c", $"ndisc6 -q -m -r 1 -w 500 {ip} {device} || true"], Cancelled);
        var answers = output.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(static mac => mac.ToLowerInvariant())
            .Where(static mac => mac.Length == 17).Distinct(StringComparer.Ordinal).ToArray();
        if (answers.Length > 1)
            throw new InvalidOperationException($"{ip} is answered by {string.Join(" and ", answers)}");
        return answers.Length == 0 ? null : _macs.GetValueOrDefault(answers[0], answers[0]);
    }

    // During a change of hands two may answer for a moment.
    private async Task<string?> OneOrNobodyAsync(string ip, string device)
    {
        try
        {
            return await WhoHasSixAsync(ip, device);
        }
        catch (InvalidOperationException) when (!Cancelled.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <summary>Waits until a node alone answers for an IPv6 address, as after a change of hands.</summary>
    public Task WaitForOwnerSixToBeAsync(string ip, string node) =>
        Wait.UntilAsync(async () => await OneOrNobodyAsync(ip, "eth0") == node, Patience, () => $"{node} to have {ip}\n{Logs()}", Cancelled);

    /// <summary>Waits until one node answers for an IPv6 address.</summary>
    public Task<string> WaitForOwnerSixAsync(string ip, string device = "eth0") =>
        Wait.ForAsync(async () => await OneOrNobodyAsync(ip, device), Patience, () => $"an answer for {ip} on {device}\n{Logs()}", Cancelled);

    /// <summary>The node that answers for an address; null for none, or for two during a change of hands.</summary>
    public async Task<string?> OwnerOrNobodyAsync(string ip)
    {
        try
        {
            return await WhoHasAsync(ip);
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>The node that answers for an address, asked a second time when nobody answered: a busy machine holds up the one who asks, and the one who answers.</summary>
    public async Task<string?> AnswererAsync(string ip) => await WhoHasAsync(ip) ?? await WhoHasAsync(ip);

    /// <summary>Waits until one node alone answers for an address, and returns its name.</summary>
    public Task<string> WaitForOneOwnerAsync(string ip) => Wait.ForAsync(() => OwnerOrNobodyAsync(ip), Patience, () => $"one owner of {ip}\n{Logs()}", Cancelled);

    /// <summary>Waits until a node alone answers for an address, as after a change of hands.</summary>
    public Task WaitForOwnerToBeAsync(string ip, string node) =>
        Wait.UntilAsync(async () => await OwnerOrNobodyAsync(ip) == node, Patience, () => $"{node} to have {ip}\n{Logs()}", Cancelled);

    /// <summary>The node whose turn it is when all can serve an address: MetalLB's order.</summary>
    public string ElectedFor(string ip) =>
        _speakers.Keys.MinBy(node => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes($"{node}#{ip}"))), StringComparer.Ordinal)!;

    /// <summary>Waits until the node answers for an address whose turn it is when all nodes can serve it; its name. Others may do so until they know that it can.</summary>
    public async Task<string> WaitForElectedOwnerAsync(string ip)
    {
        string elected = ElectedFor(ip);
        await WaitForOwnerToBeAsync(ip, elected);
        return elected;
    }

    /// <summary>Waits until a node answers for an address, and returns its name. Two answers are a fault.</summary>
    public Task<string> WaitForOwnerAsync(string ip, int seconds = 60) =>
        Wait.ForAsync(async () => await WhoHasAsync(ip), TimeSpan.FromSeconds(seconds), () => $"an answer for {ip}\n{Logs()}", Cancelled);

    /// <summary>Starts recording ARP at the client.</summary>
    public async Task<ArpCapture> CaptureAsync(string device = "eth0")
    {
        string log = $"arp{Guid.NewGuid():N}";
        Network.Start(Client, log, "tcpdump", "-ni", device, "-e", "-tt", "-l", "--immediate-mode", "arp");
        var file = Path.Combine(Network.Folder, $"{log}.log");
        await Wait.UntilAsync(
            () => Task.FromResult(File.Exists(file) && File.ReadAllText(file).Contains("listening on", StringComparison.Ordinal)), Patience, "tcpdump",
            Cancelled);
        return new ArpCapture(file, _macs);
    }

    /// <summary>Speakers started from now on exchange heartbeats.</summary>
    public void UseHeartbeats() => _heartbeats = true;

    /// <summary>Starts a node's speaker, whose configuration is in a file of the lab's folder.</summary>
    public void StartSpeaker(string node, string config = "config.yaml") =>
        _speakers[node] = Network.StartOurs(
            Network[node], $"speaker-{node}", "Speaker",
            [
                "--config", Path.Combine(Network.Folder, config), "--kubeconfig", Path.Combine(Network.Folder, "kubeconfig"), "--namespace", "default",
                "--node-name", node, "--listen", "http://127.0.0.1:17473", "--exclude-interfaces", "^(lo|mgmt.*)$",
                .. (string[])(_heartbeats ? ["--heartbeat-key-file", Path.Combine(Network.Folder, "heartbeat-key")] : []),
                .. _arguments,
            ]);

    /// <summary>Starts the controller beside the Kubernetes API: it gives addresses to Services that wait for them.</summary>
    public void StartController() => Network.StartOurs(
        Network["api"], "controller", "Controller", "--config", Path.Combine(Network.Folder, "config.yaml"), "--kubeconfig", Path.Combine(Network.Folder, "kubeconfig"),
        "--namespace", "default");

    /// <summary>Changes the configuration.</summary>
    public async Task ConfigureAsync(string yaml)
    {
        string file = Path.Combine(Network.Folder, "config.yaml");
        await File.WriteAllTextAsync($"{file}.new", yaml, Cancelled);
        // In one go: nobody reads a half of it.
        File.Move($"{file}.new", file, overwrite: true);
    }

    /// <summary>Waits until a node's speaker is ready.</summary>
    public async Task WaitForReadyAsync(string node)
    {
        using var http = Network[node].CreateHttpClient(new Uri("http://127.0.0.1:17473"));
        await Wait.UntilAsync(
            async () =>
            {
                try
                {
                    using var answer = await http.GetAsync("readyz", Cancelled);
                    return answer.IsSuccessStatusCode;
                }
                catch (HttpRequestException)
                {
                    return false;
                }
            },
            Patience, () => $"the speaker of {node}\n{Logs()}", Cancelled);
    }

    /// <summary>A metric of a node's speaker: the sum of the lines that begin so.</summary>
    public async Task<double> MetricAsync(string node, string start)
    {
        using var http = Network[node].CreateHttpClient(new Uri("http://127.0.0.1:17473"));
        string text = await http.GetStringAsync("metrics", Cancelled);
        return text.Split('\n').Where(line => line.StartsWith(start, StringComparison.Ordinal)).Sum(static line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
    }

    /// <summary>As <see cref="MetricAsync"/>; null while the speaker does not answer yet.</summary>
    public async Task<double?> MetricOrNothingAsync(string node, string start)
    {
        try
        {
            return await MetricAsync(node, start);
        }
        catch (HttpRequestException)
        {
            // It is just starting.
            return null;
        }
    }

    /// <summary>Events about a Service with a reason.</summary>
    public async Task<int> EventCountAsync(string service, string reason)
    {
        string text = await _http.GetStringAsync("api/v1/namespaces/default/events", Cancelled);
        using var document = System.Text.Json.JsonDocument.Parse(text);
        return document.RootElement.GetProperty("items").EnumerateArray().Count(item =>
            item.GetProperty("reason").GetString() == reason && item.GetProperty("involvedObject").GetProperty("name").GetString() == service);
    }

    /// <summary>Reads from the Kubernetes API.</summary>
    public Task<string> GetAsync(string path) => _http.GetStringAsync(path, Cancelled);

    /// <summary>The ends of the speakers' logs, for those who look for what went wrong.</summary>
    public string Logs() => Logs(15);

    /// <summary>All that the speakers logged so far. Lines may come a moment after what they tell of.</summary>
    public string WholeLogs() => Logs(int.MaxValue);

    private string Logs(int lines) => string.Join('\n', _speakers.Select(entry => $"--- {entry.Key}\n{entry.Value.LogTail(lines)}"));

    public async ValueTask DisposeAsync()
    {
        // A process that stands still cannot be waited for otherwise.
        _http?.Dispose();
        await Network.DisposeAsync();
    }

    private async Task StartCoreAsync(int nodes)
    {
        var api = await Network.AddHostAsync("api", 2, Cancelled);
        await Network.AddHostAsync("client", 3, Cancelled);
        for (int i = 1; i <= nodes; i++)
        {
            var host = await Network.AddHostAsync($"node{i}", 10 + i, Cancelled);
            _macs[await host.MacAsync(Cancelled)] = host.Name;
        }
        await File.WriteAllTextAsync(Path.Combine(Network.Folder, "heartbeat-key"), "0123456789abcdef0123456789abcdef\n", Cancelled);
        await ConfigureAsync("""
            address-pools:
            - name: lab
              protocol: layer2
              addresses: [10.20.0.100-10.20.0.200, 10.30.0.100-10.30.0.200, "fd20::100-fd20::1ff"]
            """);
        ApiServer = Network.StartOurs(api, "kube-api", "KubeApi", "--listen", Api, "--kubeconfig-out", Path.Combine(Network.Folder, "kubeconfig"));
        _http = api.CreateHttpClient(new Uri(Api));
        await Wait.UntilAsync(
            async () =>
            {
                try
                {
                    using var answer = await _http.GetAsync("api/v1/nodes", Cancelled);
                    return answer.IsSuccessStatusCode && File.Exists(Path.Combine(Network.Folder, "kubeconfig"));
                }
                catch (HttpRequestException)
                {
                    return false;
                }
            },
            Patience, "the Kubernetes API", Cancelled);
        for (int i = 1; i <= nodes; i++)
            await SendAsync(HttpMethod.Post, "api/v1/nodes", $$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"node{{{i}}}"}}""");
        for (int i = 1; i <= nodes; i++)
            StartSpeaker($"node{i}");
        for (int i = 1; i <= nodes; i++)
            await WaitForReadyAsync($"node{i}");
        await WaitForAllKnownAsync();
    }

    /// <summary>Creates or replaces a Secret with the password of a peer.</summary>
    public async Task SetPasswordAsync(string name, string password)
    {
        string data = Convert.ToBase64String(Encoding.UTF8.GetBytes(password));
        if (_passwords.Add(name))
        {
            await SendAsync(HttpMethod.Post, "api/v1/namespaces/default/secrets", $$$"""
                {"apiVersion":"v1","kind":"Secret","metadata":{"name":"{{{name}}}"},"type":"kubernetes.io/basic-auth","data":{"password":"{{{data}}}"} }
                """);
        }
        else
        {
            await SendAsync(HttpMethod.Patch, $"api/v1/namespaces/default/secrets/{name}", $$$"""{"data":{"password":"{{{data}}}"} }""");
        }
    }

    private async Task SendAsync(HttpMethod method, string path, string? json)
    {
        using var request = new HttpRequestMessage(method, path);
        if (json is not null)
            request.Content = new StringContent(json, Encoding.UTF8, method == HttpMethod.Patch ? "application/merge-patch+json" : "application/json");
        using var answer = await _http.SendAsync(request, Cancelled);
        Assert.True(answer.IsSuccessStatusCode, $"{method} {path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(Cancelled)}");
    }
}
