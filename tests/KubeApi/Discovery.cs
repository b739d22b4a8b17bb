using System.Text.Json.Nodes;

namespace DynamicLb.Tests.KubeApi;

/// <summary>What the server says of itself, as kubectl reads it.</summary>
internal static class Discovery
{
    private static readonly string[] Verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];

    public static JsonObject Describe(string[] path) => path switch
    {
        ["api"] => new JsonObject { ["kind"] = "APIVersions", ["versions"] = new JsonArray("v1") },
        ["apis"] => new JsonObject { ["kind"] = "APIGroupList", ["apiVersion"] = "v1", ["groups"] = new JsonArray([.. Groups().Select(Group)]) },
        ["apis", var group] when Groups().Contains(group) => Group(group),
        ["api", var version] when ApiResource.All.Any(r => r.Group.Length == 0 && r.Version == version) => Resources("", version),
        ["apis", var group, var version] when ApiResource.All.Any(r => r.Group == group && r.Version == version) => Resources(group, version),
        _ => throw new ApiFault(404, "NotFound", "the server could not find the requested resource"),
    };

    private static IEnumerable<string> Groups() => ApiResource.All.Select(static r => r.Group).Where(static g => g.Length > 0).Distinct();

    private static JsonObject Group(string group) => new()
    {
        ["kind"] = "APIGroup",
        ["apiVersion"] = "v1",
        ["name"] = group,
        ["versions"] = new JsonArray(Version(group)),
        ["preferredVersion"] = Version(group),
    };

    private static JsonObject Version(string group)
    {
        string version = ApiResource.All.First(r => r.Group == group).Version;
        return new JsonObject { ["groupVersion"] = $"{group}/{version}", ["version"] = version };
    }

    private static JsonObject Resources(string group, string version)
    {
        var resources = new JsonArray();
        foreach (var resource in ApiResource.All.Where(r => r.Group == group && r.Version == version))
        {
            resources.Add(Describe(resource, resource.Plural, resource.ShortNames));
            if (resource.HasStatus)
                resources.Add(Describe(resource, resource.Plural + "/status", []));
        }
        return new JsonObject
        {
            ["kind"] = "APIResourceList",
            ["apiVersion"] = "v1",
            ["groupVersion"] = group.Length == 0 ? version : $"{group}/{version}",
            ["resources"] = resources,
        };
    }

    private static JsonObject Describe(ApiResource resource, string name, string[] shortNames) => new()
    {
        ["name"] = name,
        ["singularName"] = resource.Kind.ToLowerInvariant(),
        ["namespaced"] = resource.Namespaced,
        ["kind"] = resource.Kind,
        ["verbs"] = new JsonArray([.. Verbs.Select(static verb => (JsonNode)verb)]),
        ["shortNames"] = new JsonArray([.. shortNames.Select(static shortName => (JsonNode)shortName)]),
    };
}
