using System.Text.Json.Nodes;

namespace DynamicLb.Tests.KubeApi;

/// <summary>Applies patches. Strategic ones, and what is applied, are treated as merge patches whose lists are replaced: enough for what kubectl and the programs send here.</summary>
internal static class Patches
{
    public static JsonObject Apply(JsonObject target, JsonNode patch, string mediaType) => mediaType switch
    {
        "application/json-patch+json" => Operations(target, patch as JsonArray ?? throw Bad("a JSON patch is an array")),
        "application/merge-patch+json" or "application/strategic-merge-patch+json" or "application/apply-patch+yaml" =>
            Merge(target, patch as JsonObject ?? throw Bad("a merge patch is an object")),
        _ => throw new ApiFault(415, "UnsupportedMediaType", $"the body of the request was in an unknown format: {mediaType}"),
    };

    /// <summary>RFC 7386.</summary>
    private static JsonObject Merge(JsonObject target, JsonObject patch)
    {
        foreach (var (key, value) in patch)
        {
            if (key.StartsWith('$'))
                continue;
            if (value is null)
                target.Remove(key);
            else if (value is JsonObject inner)
                target[key] = Merge(target[key]?.DeepClone() as JsonObject ?? [], inner);
            else
                target[key] = value.DeepClone();
        }
        return target;
    }

    /// <summary>RFC 6902: add, replace, remove and test.</summary>
    private static JsonObject Operations(JsonObject target, JsonArray operations)
    {
        foreach (var operation in operations)
        {
            string path = ObjectStore.Text(operation, "path") ?? throw Bad("an operation has no path");
            var steps = path.Split('/').Skip(1).Select(static step => step.Replace("~1", "/").Replace("~0", "~")).ToArray();
            JsonNode parent = target;
            foreach (string step in steps[..^1])
                parent = Step(parent, step) ?? throw new ApiFault(422, "Invalid", $"path {path} does not exist");
            var value = operation!["value"]?.DeepClone();
            switch (ObjectStore.Text(operation, "op"))
            {
                case "add" or "replace" when parent is JsonArray list && steps[^1] == "-":
                    list.Add(value);
                    break;
                case "add" when parent is JsonArray list:
                    list.Insert(int.Parse(steps[^1]), value);
                    break;
                case "add" or "replace" when parent is JsonArray list:
                    list[int.Parse(steps[^1])] = value;
                    break;
                case "add" or "replace":
                    parent[steps[^1]] = value;
                    break;
                case "remove" when parent is JsonArray list:
                    list.RemoveAt(int.Parse(steps[^1]));
                    break;
                case "remove":
                    ((JsonObject)parent).Remove(steps[^1]);
                    break;
                case "test" when JsonNode.DeepEquals(Step(parent, steps[^1]), value):
                    break;
                default:
                    throw new ApiFault(422, "Invalid", $"operation on {path} failed");
            }
        }
        return target;
    }

    private static JsonNode? Step(JsonNode node, string step) => node is JsonArray list ? list[int.Parse(step)] : node[step];

    private static ApiFault Bad(string message) => new(400, "BadRequest", message);
}
