using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using DynamicLb.Lab.Kubernetes;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Demo;

/// <summary>The Kubernetes API of the lab, as an administrator uses it, and the objects that a cluster would hold.</summary>
internal sealed class DemoCluster : IAsyncDisposable
{
    public const int Port = 6443;
    private const string WebService = "api/v1/namespaces/demo/services/web";
    private readonly HttpClient _http;
    private readonly Socket _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<string> _created = [];

    private readonly RealControlPlane? _real;
    private readonly ExistingCluster? _existing;

    private DemoCluster(
        HttpClient http, Socket listener, string kubeconfig, string hostKubeconfig, RealControlPlane? real = null, ExistingCluster? existing = null) =>
        (_http, _listener, Kubeconfig, HostKubeconfig, _real, _existing) = (http, listener, kubeconfig, hostKubeconfig, real, existing);

    // A real server of the version that we build knows only v1beta1.
    private string SliceVersion => _real is null && _existing?.ServesSlicesV1 != false ? "v1" : "v1beta1";

    private string EndpointSlices => $"apis/discovery.k8s.io/{SliceVersion}/namespaces/demo/endpointslices";

    /// <summary>What serves the API.</summary>
    public string Software => _real is not null ? "kube-apiserver 1.20.2 and etcd" : _existing is not null ? "your cluster, through kubectl proxy" : "in-process API server";

    /// <summary>Path of a real kube-proxy; null where an nftables rule has to stand in.</summary>
    public string? KubeProxy => _real?.KubeProxy;

    /// <summary>kubeconfig for programs in the lab.</summary>
    public string Kubeconfig { get; }

    /// <summary>kubeconfig for people outside of it.</summary>
    public string HostKubeconfig { get; }

    /// <summary>URL on loopback.</summary>
    public Uri HostUrl => _existing?.ProxyUrl ?? LoopbackUrl(_listener, _real is not null);

    public static async Task<DemoCluster> StartAsync(LabNetwork network, LabHost host, DemoKube kind, CancellationToken cancellationToken)
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        if (kind == DemoKube.Existing)
        {
            var existing = await ExistingCluster.ConnectAsync(network, host, Port, cancellationToken);
            return new DemoCluster(existing.CreateHttpClient(), listener, existing.LabKubeconfig, existing.UserKubeconfig, existing: existing);
        }

        var cluster = kind == DemoKube.Real
            ? await StartRealAsync(host, listener, cancellationToken)
            : await StartInProcessAsync(network, host, listener, cancellationToken);
        var relay = host.StartRelay(host.ManagementAddress.ToString(), Port);
        _ = Relay.RunAsync(listener, token => Relay.ConnectUnixAsync(relay, token), cluster._stop.Token);
        return cluster;
    }

    private static async Task<DemoCluster> StartInProcessAsync(LabNetwork network, LabHost host, Socket listener, CancellationToken cancellationToken)
    {
        var kubeconfig = Path.Combine(network.Folder, "kubeconfig");
        var hostKubeconfig = Path.Combine(network.Folder, "kubeconfig-host");
        var url = new Uri($"http://{host.ManagementAddress}:{Port}");
        network.StartOurs(host, "kube-api", "KubeApi", "--listen", url.ToString().TrimEnd('/'), "--kubeconfig-out", kubeconfig);
        var cluster = new DemoCluster(host.CreateHttpClient(url), listener, kubeconfig, hostKubeconfig);
        await Wait.UntilAsync(async () => await cluster.TryGetAsync("api/v1/nodes", cancellationToken) is not null && File.Exists(kubeconfig),
            TimeSpan.FromMinutes(1), "the Kubernetes API", cancellationToken);
        var text = await File.ReadAllTextAsync(kubeconfig, cancellationToken);
        await File.WriteAllTextAsync(hostKubeconfig, text.Replace(url.ToString().TrimEnd('/'), LoopbackUrl(listener, false).ToString().TrimEnd('/'), StringComparison.Ordinal), cancellationToken);
        return cluster;
    }

    private static async Task<DemoCluster> StartRealAsync(LabHost host, Socket listener, CancellationToken cancellationToken)
    {
        var real = await RealControlPlane.StartAsync(new RealControlPlaneOptions
        {
            Address = host.ManagementAddress,
            Port = Port,
            NetworkNamespace = host.Namespace.Name,
            Connect = host.Connector(host.ManagementAddress.ToString(), Port),
        }, cancellationToken);
        return new DemoCluster(real.Http, listener, real.AdminKubeconfig, real.WriteKubeconfig("host", real.AdminToken, LoopbackUrl(listener, true)), real);
    }

    private static Uri LoopbackUrl(Socket listener, bool tls) => new($"{(tls ? "https" : "http")}://127.0.0.1:{((IPEndPoint)listener.LocalEndPoint!).Port}/");

    /// <summary>An object, or null where there is none or no server yet.</summary>
    private async Task<JsonNode?> TryGetAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            using var answer = await _http.GetAsync(path, cancellationToken);
            return answer.IsSuccessStatusCode ? await answer.Content.ReadFromJsonAsync<JsonNode>(cancellationToken) : null;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private async Task CreateAsync(string path, string json, CancellationToken cancellationToken)
    {
        using var content = new StringContent(json, System.Text.Encoding.UTF8, "application/json");
        using var answer = await _http.PostAsync(path, content, cancellationToken);
        if (!answer.IsSuccessStatusCode)
        {
            throw new InvalidOperationException($"POST {path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(cancellationToken)}");
        }
    }

    private async Task DeleteAsync(string path, CancellationToken cancellationToken)
    {
        using var answer = await _http.DeleteAsync(path, cancellationToken);
        answer.EnsureSuccessStatusCode();
    }

    /// <summary>Creates the nodes and the namespaces of a demo; says what there is then.</summary>
    public async Task<string> PopulateAsync(IEnumerable<LabHost> nodes, CancellationToken cancellationToken)
    {
        foreach (var node in nodes)
            await CreateNodeAsync(node, cancellationToken);
        await CreateNamespaceAsync("dynamiclb-system", cancellationToken);
        await CreateNamespaceAsync("demo", cancellationToken);
        return $"The Kubernetes API answers at {HostUrl} ({Software}), with the namespaces demo and dynamiclb-system";
    }

    /// <summary>Registers a node as its kubelet would; not in somebody's own cluster, which has nodes of its own.</summary>
    private Task CreateNodeAsync(LabHost node, CancellationToken cancellationToken) => _existing is not null ? Task.CompletedTask : CreateAsync("api/v1/nodes", $$$"""
        {"apiVersion":"v1","kind":"Node","metadata":{"name":"{{{node.Name}}}","labels":{"kubernetes.io/hostname":"{{{node.Name}}}"}},
         "status":{"addresses":[{"type":"InternalIP","address":"{{{node.Address}}}"}],"conditions":[{"type":"Ready","status":"True"}]}}
        """, cancellationToken);

    private async Task CreateNamespaceAsync(string name, CancellationToken cancellationToken)
    {
        if (_existing is not null && await TryGetAsync($"api/v1/namespaces/{name}", cancellationToken) is not null)
            return;
        await CreateAsync("api/v1/namespaces", $$$"""
            {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"{{{name}}}"}}
            """, cancellationToken);
        _created.Add($"api/v1/namespaces/{name}");
    }

    /// <summary>Defines our resources, where the server does not know them from the start.</summary>
    public async Task DefineResourcesAsync(CancellationToken cancellationToken)
    {
        if (_real is null)
            return;
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "manifests", "crds"), "*.yaml"))
        {
            using var content = new StringContent(await File.ReadAllTextAsync(file, cancellationToken), System.Text.Encoding.UTF8, "application/yaml");
            using var answer = await _http.PostAsync("apis/apiextensions.k8s.io/v1/customresourcedefinitions", content, cancellationToken);
            if (!answer.IsSuccessStatusCode)
                throw new InvalidOperationException($"{Path.GetFileName(file)}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(cancellationToken)}");
        }

        // The paths appear a moment later.
        foreach (var path in new[] { "apis/metallb.io/v1beta1/l2advertisements", "apis/metallb.io/v1beta2/bgppeers", "apis/dynamiclb.io/v1beta1/addressservices" })
            await Wait.UntilAsync(async () => await TryGetAsync(path, cancellationToken) is not null, TimeSpan.FromMinutes(1), path, cancellationToken);
    }

    /// <summary>The configuration as resources: the address service dhcp, announced by ARP.</summary>
    public async Task CreateConfigurationAsync(Uri addressService, string token, CancellationToken cancellationToken)
    {
        await CreateAsync("api/v1/namespaces/dynamiclb-system/secrets", $$$"""
            {"apiVersion":"v1","kind":"Secret","metadata":{"name":"dynamiclb-token","namespace":"dynamiclb-system"},"data":{"token":"{{{Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(token))}}}"}}
            """, cancellationToken);
        await CreateAsync("apis/dynamiclb.io/v1beta1/namespaces/dynamiclb-system/addressservices", $$$"""
            {"apiVersion":"dynamiclb.io/v1beta1","kind":"AddressService","metadata":{"name":"dhcp","namespace":"dynamiclb-system"},
             "spec":{"url":"{{{addressService.ToString().TrimEnd('/')}}}","tokenSecretRef":{"name":"dynamiclb-token"} } }
            """, cancellationToken);
        await CreateAsync("apis/metallb.io/v1beta1/namespaces/dynamiclb-system/l2advertisements", """
            {"apiVersion":"metallb.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"lan","namespace":"dynamiclb-system"},"spec":{"ipAddressPools":["dhcp"]}}
            """, cancellationToken);
    }

    /// <summary>The configuration as resources: addresses of a range, announced to a router of AS 64512 by BGP, with BFD.</summary>
    public async Task CreateBgpConfigurationAsync(string range, string router, int interval, int multiplier, CancellationToken cancellationToken)
    {
        const string Space = "namespaces/dynamiclb-system";
        await CreateAsync($"apis/metallb.io/v1beta1/{Space}/ipaddresspools", $$$"""
            {"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"public","namespace":"dynamiclb-system"},"spec":{"addresses":["{{{range}}}"]}}
            """, cancellationToken);
        await CreateAsync($"apis/metallb.io/v1beta1/{Space}/bgpadvertisements", """
            {"apiVersion":"metallb.io/v1beta1","kind":"BGPAdvertisement","metadata":{"name":"routers","namespace":"dynamiclb-system"},"spec":{"ipAddressPools":["public"]}}
            """, cancellationToken);
        await CreateAsync($"apis/metallb.io/v1beta1/{Space}/bfdprofiles", $$$"""
            {"apiVersion":"metallb.io/v1beta1","kind":"BFDProfile","metadata":{"name":"fast","namespace":"dynamiclb-system"},
             "spec":{"transmitInterval":{{{interval}}},"receiveInterval":{{{interval}}},"detectMultiplier":{{{multiplier}}} } }
            """, cancellationToken);
        await CreateAsync($"apis/metallb.io/v1beta2/{Space}/bgppeers", $$$"""
            {"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"router","namespace":"dynamiclb-system"},
             "spec":{"myASN":64513,"peerASN":64512,"peerAddress":"{{{router}}}","bfdProfile":"fast"} }
            """, cancellationToken);
    }

    /// <summary>The Service demo/web with a Pod on each of these nodes and, as the endpoint controller would, its EndpointSlice. With several, traffic stays on the node it comes to.</summary>
    public async Task CreateWebAsync(IReadOnlyList<LabHost> nodes, CancellationToken cancellationToken)
    {
        // v1beta1 names the node in the topology.
        var endpoints = nodes.Select(node =>
        {
            var where = SliceVersion == "v1" ? $"\"nodeName\":\"{node.Name}\"" : $"\"topology\":{{\"kubernetes.io/hostname\":\"{node.Name}\"}}";
            return $$$"""{"addresses":["{{{node.ManagementAddress}}}"],"conditions":{"ready":true,"serving":true,"terminating":false},{{{where}}}}""";
        });
        await CreateAsync(EndpointSlices, $$$"""
            {"apiVersion":"discovery.k8s.io/{{{SliceVersion}}}","kind":"EndpointSlice","metadata":{"name":"web-1","namespace":"demo","labels":{"kubernetes.io/service-name":"web"}},
             "addressType":"IPv4","ports":[{"name":"http","port":8080,"protocol":"TCP"}],
             "endpoints":[{{{string.Join(',', endpoints)}}}]}
            """, cancellationToken);
        var policy = nodes.Count > 1 ? "\"externalTrafficPolicy\":\"Local\"," : "";
        await CreateAsync("api/v1/namespaces/demo/services", $$$"""
            {"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"demo"},
             "spec":{"type":"LoadBalancer",{{{policy}}}"selector":{"app":"web"},"ports":[{"name":"http","port":80,"targetPort":8080,"protocol":"TCP"}]}}
            """, cancellationToken);
    }

    /// <summary>Waits until demo/web has an address; the Service then, and the address.</summary>
    public async Task<(JsonNode Service, string Ip)> WaitForWebAddressAsync(CancellationToken cancellationToken)
    {
        var service = await Wait.ForAsync(
            async () => await TryGetAsync(WebService, cancellationToken) is { } found && IngressOf(found) is not null ? found : null,
            TimeSpan.FromMinutes(1), "an address in the status of demo/web", cancellationToken);
        return (service, IngressOf(service)!);
    }

    /// <summary>Deletes the Service demo/web and, as the endpoint controller would, its EndpointSlice.</summary>
    public async Task DeleteWebAsync(CancellationToken cancellationToken)
    {
        await DeleteAsync(WebService, cancellationToken);
        await DeleteAsync($"{EndpointSlices}/web-1", cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        if (_existing is not null)
            await CleanAsync();
        _listener.Dispose();
        _http.Dispose();
        if (_existing is not null)
            await _existing.DisposeAsync();
        if (_real is not null)
            await _real.DisposeAsync();
        _stop.Dispose();
    }

    private static string? IngressOf(JsonNode service) =>
        service["status"]?["loadBalancer"]?["ingress"] is JsonArray { Count: > 0 } ingress ? ingress[0]?["ip"]?.GetValue<string>() : null;

    /// <summary>Takes away what the demo made in somebody's own cluster.</summary>
    private async Task CleanAsync()
    {
        foreach (var path in _created.Prepend(WebService).Prepend($"{EndpointSlices}/web-1"))
        {
            try
            {
                using var answer = await _http.DeleteAsync(path);
            }
            catch (HttpRequestException)
            {
                // The cluster is out of reach: nothing more can be done about it.
                return;
            }
        }
    }
}
