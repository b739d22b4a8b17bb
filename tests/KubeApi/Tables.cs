using System.Text.Json.Nodes;

namespace DynamicLb.Tests.KubeApi;

/// <summary>Lists as kubectl prints them (meta.k8s.io/v1 Table).</summary>
internal static class Tables
{
    public static bool AreWanted(string accept) => accept.Contains("as=Table", StringComparison.Ordinal);

    public static JsonObject Make(ApiResource resource, IEnumerable<JsonObject> items, string revision, string? next, DateTimeOffset now, bool headers)
    {
        var rows = new JsonArray();
        foreach (var item in items)
        {
            rows.Add(new JsonObject
            {
                ["cells"] = Cells(resource, item, now),
                ["object"] = new JsonObject
                {
                    ["apiVersion"] = "meta.k8s.io/v1",
                    ["kind"] = "PartialObjectMetadata",
                    ["metadata"] = ObjectStore.Metadata(item).DeepClone(),
                },
            });
        }
        var table = new JsonObject
        {
            ["apiVersion"] = "meta.k8s.io/v1",
            ["kind"] = "Table",
            ["metadata"] = new JsonObject { ["resourceVersion"] = revision, ["continue"] = next },
            ["rows"] = rows,
        };
        table["columnDefinitions"] = headers ? Columns(resource) : new JsonArray();
        return table;
    }

    private static JsonArray Columns(ApiResource resource) => new([.. Names(resource).Select(static name => (JsonNode)new JsonObject
    {
        ["name"] = name,
        ["type"] = "string",
        ["format"] = name == "Name" ? "name" : "",
        ["description"] = "",
        ["priority"] = 0,
    })]);

    private static string[] Names(ApiResource resource) => resource.Kind switch
    {
        "Service" => ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"],
        "Event" => ["Last Seen", "Type", "Reason", "Object", "Message"],
        "Lease" => ["Name", "Holder", "Age"],
        _ => ["Name", "Age"],
    };

    private static JsonArray Cells(ApiResource resource, JsonObject item, DateTimeOffset now)
    {
        var metadata = ObjectStore.Metadata(item);
        string name = ObjectStore.Text(metadata, "name") ?? "";
        string age = Age(ObjectStore.Text(metadata, "creationTimestamp"), now);
        var spec = item["spec"];
        return resource.Kind switch
        {
            "Service" => [name, ObjectStore.Text(spec, "type"), ObjectStore.Text(spec, "clusterIP"), External(item), Ports(spec), age],
            "Event" =>
            [
                Age(ObjectStore.Text(item, "lastTimestamp"), now), ObjectStore.Text(item, "type"), ObjectStore.Text(item, "reason"),
                $"{ObjectStore.Text(item["involvedObject"], "kind")?.ToLowerInvariant()}/{ObjectStore.Text(item["involvedObject"], "name")}",
                ObjectStore.Text(item, "message"),
            ],
            "Lease" => [name, ObjectStore.Text(spec, "holderIdentity"), age],
            _ => [name, age],
        };
    }

    private static string External(JsonObject service)
    {
        var ingress = service["status"]?["loadBalancer"]?["ingress"] as JsonArray;
        if (ingress is { Count: > 0 })
            return string.Join(',', ingress.Select(static entry => ObjectStore.Text(entry, "ip") ?? ObjectStore.Text(entry, "hostname")));
        return ObjectStore.Text(service["spec"], "type") == "LoadBalancer" ? "<pending>" : "<none>";
    }

    private static string Ports(JsonNode? spec) =>
        spec?["ports"] is JsonArray ports
            ? string.Join(',', ports.Select(static port => $"{port?["port"]}/{ObjectStore.Text(port, "protocol") ?? "TCP"}"))
            : "<none>";

    private static string Age(string? timestamp, DateTimeOffset now)
    {
        if (!DateTimeOffset.TryParse(timestamp, out var then))
            return "<unknown>";
        var age = now - then;
        return age.TotalMinutes < 2 ? $"{(int)age.TotalSeconds}s" : age.TotalHours < 2 ? $"{(int)age.TotalMinutes}m" : $"{(int)age.TotalHours}h";
    }
}
