using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>
/// Waits until the API server goes by what was written: it follows its own roles and definitions as any client does, a moment later, and on a busy machine that moment is long.
/// </summary>
internal static class TakenUp
{
    private const string Group = "probe.dynamiclb.io";
    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(2);
    private static int _probes;

    /// <summary>Completes when all roles and bindings written before are in force: each kind is followed in the order of the writes, so one written now tells of all earlier ones.</summary>
    public static async Task RightsAsync(RealControlPlane plane, CancellationToken cancellationToken)
    {
        string name = $"probe-{Interlocked.Increment(ref _probes)}";
        const string Rbac = "apis/rbac.authorization.k8s.io/v1";
        foreach (var (kind, folder) in new[] { ("Role", $"{Rbac}/namespaces/default/"), ("ClusterRole", $"{Rbac}/") })
        {
            string type = $"\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{{\"name\":\"{name}\"}}";
            string plural = kind.ToLowerInvariant();
            await PostAsync(plane, $"{folder}{plural}s", $$"""{{{type}},"kind":"{{kind}}","rules":[{"apiGroups":["{{Group}}"],"resources":["{{plural}}s"],"verbs":["get"]}]}""", cancellationToken);
            await PostAsync(
                plane, $"{folder}{plural}bindings",
                $$$"""{{{{type}}},"kind":"{{{kind}}}Binding","roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"{{{kind}}}","name":"{{{name}}}"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"{{{name}}}"}]}""",
                cancellationToken);
        }
        foreach (string plural in new[] { "roles", "clusterroles" })
        {
            string review = $$$"""
                {"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview",
                 "spec":{"user":"{{{name}}}","resourceAttributes":{"namespace":"default","verb":"get","group":"{{{Group}}}","resource":"{{{plural}}}"} } }
                """;
            await Wait.UntilAsync(
                async () => (await PostAsync(plane, "apis/authorization.k8s.io/v1/subjectaccessreviews", review, cancellationToken)).GetProperty("status").GetProperty("allowed").GetBoolean(),
                _limit, $"{plural} to be in force", cancellationToken);
        }
    }

    /// <summary>Completes when all definitions that there are, in all their versions, are served and told to clients such as kubectl.</summary>
    public static async Task DefinitionsAsync(RealControlPlane plane, CancellationToken cancellationToken)
    {
        using var definitions = await GetAsync(plane, "apis/apiextensions.k8s.io/v1/customresourcedefinitions", cancellationToken);
        foreach (var definition in definitions!.RootElement.GetProperty("items").EnumerateArray())
        {
            var spec = definition.GetProperty("spec");
            string group = spec.GetProperty("group").GetString()!, plural = spec.GetProperty("names").GetProperty("plural").GetString()!;
            foreach (string version in spec.GetProperty("versions").EnumerateArray().Select(static version => version.GetProperty("name").GetString()!))
                await Wait.UntilAsync(() => IsServedAsync(plane, group, version, plural, cancellationToken), _limit, $"{plural}.{version}.{group} to be served", cancellationToken);
        }
    }

    private static async Task<bool> IsServedAsync(RealControlPlane plane, string group, string version, string plural, CancellationToken cancellationToken)
    {
        using var groups = await GetAsync(plane, "apis", cancellationToken);
        using var resources = await GetAsync(plane, $"apis/{group}/{version}", cancellationToken);
        using var list = await GetAsync(plane, $"apis/{group}/{version}/{plural}?limit=1", cancellationToken);
        return groups is not null && resources is not null && list is not null
            && groups.RootElement.GetProperty("groups").EnumerateArray().Any(told => told.GetProperty("name").GetString() == group
                && told.GetProperty("versions").EnumerateArray().Any(known => known.GetProperty("version").GetString() == version))
            && resources.RootElement.GetProperty("resources").EnumerateArray().Any(told => told.GetProperty("name").GetString() == plural);
    }

    private static async Task<JsonDocument?> GetAsync(RealControlPlane plane, string path, CancellationToken cancellationToken)
    {
        using var answer = await plane.Http.GetAsync(path, cancellationToken);
        return answer.IsSuccessStatusCode ? JsonDocument.Parse(await answer.Content.ReadAsStringAsync(cancellationToken)) : null;
    }

    private static async Task<JsonElement> PostAsync(RealControlPlane plane, string path, string json, CancellationToken cancellationToken)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using var answer = await plane.Http.PostAsync(path, content, cancellationToken);
        if (!answer.IsSuccessStatusCode)
            throw new InvalidOperationException($"POST {path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(cancellationToken)}");
        return await answer.Content.ReadFromJsonAsync<JsonElement>(cancellationToken);
    }
}
