using System.Text.Json.Nodes;

namespace DynamicLb.Tests.KubeApi;

/// <summary>Field and label selectors of equality, as kubectl sends them.</summary>
internal static class Selectors
{
    public static Func<JsonObject, bool> Parse(IQueryCollection query)
    {
        var labels = Pairs(query["labelSelector"]);
        var fields = Pairs(query["fieldSelector"]);
        return item =>
            labels.All(pair => (ObjectStore.Text(ObjectStore.Metadata(item)["labels"], pair.Key) == pair.Value) != pair.Negated)
            && fields.All(pair => (Field(item, pair.Key) == pair.Value) != pair.Negated);
    }

    private static List<(string Key, string Value, bool Negated)> Pairs(string? text)
    {
        var pairs = new List<(string, string, bool)>();
        foreach (string term in (text ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            var parts = term.Split('=', 2);
            pairs.Add((parts[0].TrimEnd('!'), parts.Length > 1 ? parts[1].TrimStart('=') : "", parts[0].EndsWith('!')));
        }
        return pairs;
    }

    private static string? Field(JsonNode item, string path)
    {
        JsonNode? node = item;
        foreach (string step in path.Split('.'))
            node = node?[step];
        return node?.ToString() ?? "";
    }
}
