namespace DynamicLb.Tests.Network.Support;

/// <content>Services and their endpoints, at the Kubernetes API.</content>
internal sealed partial class SpeakerLab
{
    /// <summary>Adds a Service with an address from the pool, and endpoints.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="ip">Its address, or several, separated by commas.</param>
    /// <param name="validUntil">When the address ends; null for never.</param>
    /// <param name="localTo">The nodes that have endpoints, which alone may announce it; none for a Service that every node can serve.</param>
    public async Task AddServiceAsync(string name, string ip, DateTimeOffset? validUntil = null, params IReadOnlyList<string> localTo)
    {
        string end = validUntil is { } moment ? $",\"dynamiclb.io/valid-until\":\"{moment.UtcDateTime:yyyy-MM-ddTHH:mm:ss.fffZ}\"" : "";
        string ingress = string.Join(',', ip.Split(',').Select(static one => $"{{\"ip\":\"{one}\"}}"));
        string policy = localTo.Count > 0 ? "Local" : "Cluster";
        await SendAsync(HttpMethod.Post, "apis/discovery.k8s.io/v1/namespaces/default/endpointslices", $$"""
            {"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"{{name}}-1","labels":{"kubernetes.io/service-name":"{{name}}"} },
             "addressType":"IPv4","ports":[],"endpoints":{{Endpoints(localTo.Count > 0 ? localTo : ["node1"])}}}
            """);
        await SendAsync(HttpMethod.Post, "api/v1/namespaces/default/services", $$$"""
            {"apiVersion":"v1","kind":"Service","metadata":{"name":"{{{name}}}","annotations":{"metallb.io/ip-allocated-from-pool":"lab"{{{end}}} } },
             "spec":{"type":"LoadBalancer","externalTrafficPolicy":"{{{policy}}}","ports":[{"port":80}]},"status":{"loadBalancer":{"ingress":[{{{ingress}}}] } } }
            """);
        await SendAsync(HttpMethod.Patch, $"api/v1/namespaces/default/services/{name}/status", $$$"""
            {"status":{"loadBalancer":{"ingress":[{{{ingress}}}] } } }
            """);
    }

    /// <summary>Adds a Service that waits for its address.</summary>
    public async Task AddPendingServiceAsync(string name)
    {
        await SendAsync(HttpMethod.Post, "apis/discovery.k8s.io/v1/namespaces/default/endpointslices", $$"""
            {"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"{{name}}-1","labels":{"kubernetes.io/service-name":"{{name}}"} },
             "addressType":"IPv4","ports":[],"endpoints":{{Endpoints(["node1"])}}}
            """);
        await SendAsync(HttpMethod.Post, "api/v1/namespaces/default/services", $$"""
            {"apiVersion":"v1","kind":"Service","metadata":{"name":"{{name}}"},
             "spec":{"type":"LoadBalancer","clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],"ports":[{"port":80}]} }
            """);
    }

    /// <summary>Moves the endpoints of a Service, as when a node is drained.</summary>
    public Task MoveEndpointsAsync(string name, IReadOnlyList<string> nodes) =>
        SendAsync(HttpMethod.Patch, $"apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{name}-1", $$"""{"endpoints":{{Endpoints(nodes)}}}""");

    public Task DeleteServiceAsync(string name) => SendAsync(HttpMethod.Delete, $"api/v1/namespaces/default/services/{name}", null);

    private static string Endpoints(IReadOnlyList<string> nodes) =>
        $"[{string.Join(',', nodes.Select(static node => $$"""{"addresses":["10.88.0.{{node[^1..]}}"],"conditions":{"ready":true},"nodeName":"{{node}}"}"""))}]";
}
