using System.Collections.Concurrent;
using System.Text.Json.Nodes;

namespace DynamicLb.Tests.KubeApi;

/// <summary>Tokens that a TokenReview answers with an owner. Thread-safe.</summary>
public sealed class TokenOwners
{
    private readonly ConcurrentDictionary<string, (string Username, string[] Audiences)> _owners = new(StringComparer.Ordinal);
    private int _reviews;

    /// <summary>How many TokenReviews were answered.</summary>
    public int Reviews => Volatile.Read(ref _reviews);

    /// <summary>Adds a token.</summary>
    /// <param name="token">The token.</param>
    /// <param name="username">Its owner, such as <c>system:serviceaccount:demo:ci</c>.</param>
    /// <param name="audiences">What it is for.</param>
    public void Add(string token, string username, params string[] audiences) => _owners[token] = (username, audiences);

    /// <summary>Makes a token bad.</summary>
    public void Remove(string token) => _owners.TryRemove(token, out _);

    internal JsonObject Review(JsonObject review)
    {
        Interlocked.Increment(ref _reviews);
        string? token = review["spec"]?["token"]?.GetValue<string>();
        string[] asked = [.. review["spec"]?["audiences"]?.AsArray().Select(static a => a!.GetValue<string>()) ?? []];
        // Looked up once: it may be removed at any moment.
        (string Username, string[] Audiences) owner = token is not null && _owners.TryGetValue(token, out var found) ? found : ("", []);
        string[] common = [.. asked.Intersect(owner.Audiences, StringComparer.Ordinal)];
        review["status"] = common.Length == 0
            ? new JsonObject { ["user"] = new JsonObject(), ["error"] = "invalid bearer token" }
            : new JsonObject
            {
                ["authenticated"] = true,
                ["user"] = new JsonObject { ["username"] = owner.Username, ["groups"] = new JsonArray("system:serviceaccounts") },
                ["audiences"] = new JsonArray([.. common.Select(static a => (JsonNode)a)]),
            };
        return review;
    }
}
