using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DynamicLb.Tests.KubeApi;

/// <summary>Maps requests to the store.</summary>
internal sealed class ApiHandler(ObjectStore store, FaultInjector faults, TokenOwners owners, string? token, CancellationToken stopping)
{
    private static readonly TimeSpan BookmarkEvery = TimeSpan.FromSeconds(5);

    public async Task HandleAsync(HttpContext context)
    {
        try
        {
            if (faults.Status is not 0 and var status)
                throw new ApiFault(status, status == 429 ? "TooManyRequests" : "InternalError", "told to fail");
            if (faults.Judge(context.Request.Method, context.Request.Path) is { } code)
                throw new ApiFault((int)code, code.ToString(), "told to refuse");
            if (token is not null && context.Request.Path != "/" && context.Request.Headers.Authorization != $"Bearer {token}")
                throw new ApiFault(401, "Unauthorized", "Unauthorized");
            await RouteAsync(context);
        }
        catch (ApiFault fault)
        {
            await FailAsync(context, fault);
        }
        catch (Exception e) when (e is JsonException or InvalidCastException or FormatException or InvalidOperationException)
        {
            await FailAsync(context, new ApiFault(400, "BadRequest", e.Message));
        }
        catch (OperationCanceledException)
        {
            // The client went away, or the server stops.
        }
    }

    private async Task RouteAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!.Split('/', StringSplitOptions.RemoveEmptyEntries);
        switch (path)
        {
            case []:
                context.Response.ContentType = "text/html; charset=utf-8";
                await context.Response.WriteAsync(StatusPage.Render(store));
                return;
            case ["healthz" or "readyz" or "livez", ..]:
                await context.Response.WriteAsync("ok");
                return;
            case ["version"]:
                await WriteAsync(context, new JsonObject { ["major"] = "1", ["minor"] = "32", ["gitVersion"] = "v1.32.0-dynamiclb", ["platform"] = "linux/amd64" });
                return;
            case ["api"] or ["apis"] or ["api", _] or ["apis", _] or ["apis", _, _]:
                await WriteAsync(context, Discovery.Describe(path));
                return;
            case ["apis", "authentication.k8s.io", "v1", "tokenreviews"] when context.Request.Method == "POST":
                context.Response.StatusCode = 201;
                await WriteAsync(context, owners.Review(await ReadAsync(context)));
                return;
            case ["api", var version, .. var rest]:
                await ResourceAsync(context, "", version, rest);
                return;
            case ["apis", var group, var version, .. var rest]:
                await ResourceAsync(context, group, version, rest);
                return;
            default:
                throw new ApiFault(404, "NotFound", "the server could not find the requested resource");
        }
    }

    private async Task ResourceAsync(HttpContext context, string group, string version, string[] path)
    {
        string? space = null;
        if (path is ["namespaces", var named, _, ..])
        {
            space = named;
            path = path[2..];
        }
        var resource = ApiResource.Find(group, version, path[0])
            ?? throw new ApiFault(404, "NotFound", "the server could not find the requested resource");
        string? name = path.Length > 1 ? path[1] : null;
        string? subresource = path.Length > 2 ? path[2] : null;
        if (subresource is not (null or "status"))
            throw new ApiFault(404, "NotFound", $"no subresource {subresource}");

        switch (context.Request.Method)
        {
            case "GET" when name is null && context.Request.Query["watch"] is ["true" or "1"]:
                await WatchAsync(context, resource, space);
                break;
            case "GET" when name is null:
                await ListAsync(context, resource, space);
                break;
            case "GET":
                await WriteObjectAsync(context, resource, store.Get(resource, space ?? "", name!));
                break;
            case "POST" when name is null:
                var created = store.Create(resource, space ?? "", await ReadAsync(context));
                context.Response.StatusCode = 201;
                await WriteObjectAsync(context, resource, created);
                break;
            case "PUT" when name is not null:
                var replacement = await ReadAsync(context);
                await WriteObjectAsync(context, resource, store.Update(resource, space ?? "", name, subresource is not null, _ => replacement));
                break;
            case "PATCH" when name is not null:
                string media = context.Request.ContentType?.Split(';')[0] ?? "";
                var patch = await JsonNode.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted)
                    ?? throw new ApiFault(400, "BadRequest", "an empty patch");
                var patched = store.Update(
                    resource, space ?? "", name, subresource is not null, current => Patches.Apply(WithoutVersion(current), patch, media));
                await WriteObjectAsync(context, resource, patched);
                break;
            case "DELETE" when name is not null:
                await WriteObjectAsync(context, resource, store.Delete(resource, space ?? "", name, await PreconditionAsync(context)));
                break;
            default:
                throw new ApiFault(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
        }
    }

    /// <summary>The version that a DELETE is meant for, if it says so.</summary>
    private static async Task<string?> PreconditionAsync(HttpContext context)
    {
        if (context.Request.ContentLength is null or 0)
            return null;
        var options = await JsonNode.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted);
        return options?["preconditions"]?["resourceVersion"]?.GetValue<string>();
    }

    private async Task ListAsync(HttpContext context, ApiResource resource, string? space)
    {
        var query = context.Request.Query;
        int limit = int.TryParse(query["limit"], out int asked) ? asked : 0;
        string? after = null;
        long? begun = null;
        if (query["continue"] is [{ Length: > 0 } text])
        {
            var parts = Encoding.UTF8.GetString(Convert.FromBase64String(text)).Split(' ', 2);
            (begun, after) = (long.Parse(parts[0]), parts[1]);
            // Throws 410 where the watch from the list's revision would.
            store.Since(resource, space, begun.Value);
        }
        var (items, next, now) = store.List(resource, space, limit, after, Selectors.Parse(query));
        // All pages carry the revision of the first, so that a watch from there tells what changed between them.
        long revision = begun ?? now;
        string? position = next is null ? null : Convert.ToBase64String(Encoding.UTF8.GetBytes($"{revision} {next}"));
        if (Tables.AreWanted(context.Request.Headers.Accept.ToString()))
        {
            await WriteAsync(context, Tables.Make(resource, items, revision.ToString(), position, TimeProvider.System.GetUtcNow(), true));
            return;
        }
        var list = new JsonObject
        {
            ["apiVersion"] = resource.ApiVersion,
            ["kind"] = resource.Kind + "List",
            ["metadata"] = new JsonObject { ["resourceVersion"] = revision.ToString(), ["continue"] = position },
            ["items"] = new JsonArray([.. items.Select(static item => item.DeepClone())]),
        };
        await WriteAsync(context, list);
    }

    private async Task WatchAsync(HttpContext context, ApiResource resource, string? space)
    {
        var query = context.Request.Query;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        int seconds = int.TryParse(query["timeoutSeconds"], out int asked) && asked > 0 ? asked : 1800;
        ended.CancelAfter(TimeSpan.FromSeconds(seconds));
        bool table = Tables.AreWanted(context.Request.Headers.Accept.ToString()), bookmarks = query["allowWatchBookmarks"] is ["true" or "1"];
        var matches = Selectors.Parse(query);
        if (!long.TryParse(query["resourceVersion"], out long revision) || revision == 0)
            revision = store.Revision;
        var dropped = faults.Dropped;
        context.Response.ContentType = "application/json";
        bool headers = true;

        async Task SendAsync(string type, JsonObject item)
        {
            var body = table && type is not ("BOOKMARK" or "ERROR")
                ? Tables.Make(resource, [item], ObjectStore.Text(ObjectStore.Metadata(item), "resourceVersion")!, null, TimeProvider.System.GetUtcNow(), headers)
                : item;
            headers = false;
            await context.Response.WriteAsync($"{{\"type\":\"{type}\",\"object\":{body.ToJsonString()}}}\n", ended.Token);
        }

        try
        {
            // Headers at once: a client waits for them before it believes in the watch.
            await context.Response.Body.FlushAsync(ended.Token);
            while (true)
            {
                var (changes, upTo, next) = store.Since(resource, space, revision);
                foreach (var change in changes.Where(change => matches(change.Object)))
                    await SendAsync(change.Type, change.Object);
                revision = upTo;
                await context.Response.Body.FlushAsync(ended.Token);
                await Task.WhenAny(next, dropped, Task.Delay(BookmarkEvery, TimeProvider.System, ended.Token));
                if (dropped.IsCompleted)
                {
                    context.Abort();
                    return;
                }
                ended.Token.ThrowIfCancellationRequested();
                if (!next.IsCompleted && bookmarks)
                    await SendAsync("BOOKMARK", Bookmark(resource, revision));
            }
        }
        catch (ApiFault fault)
        {
            await SendAsync("ERROR", StatusOf(fault));
        }
        catch (OperationCanceledException)
        {
            // The time is up: a clean end.
        }
    }

    private static JsonObject Bookmark(ApiResource resource, long revision) => new()
    {
        ["apiVersion"] = resource.ApiVersion,
        ["kind"] = resource.Kind,
        ["metadata"] = new JsonObject { ["resourceVersion"] = revision.ToString() },
    };

    private static JsonObject WithoutVersion(JsonObject current)
    {
        ObjectStore.Metadata(current).Remove("resourceVersion");
        return current;
    }

    private static async Task<JsonObject> ReadAsync(HttpContext context)
    {
        if (context.Request.ContentType?.Contains("protobuf", StringComparison.Ordinal) == true)
            throw new ApiFault(415, "UnsupportedMediaType", "only JSON here: write the object to a file and use kubectl apply --validate=false -f");
        return await JsonNode.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted) as JsonObject
            ?? throw new ApiFault(400, "BadRequest", "the body is not an object");
    }

    private static Task WriteObjectAsync(HttpContext context, ApiResource resource, JsonObject item) =>
        WriteAsync(
            context,
            context.Request.Method == "GET" && Tables.AreWanted(context.Request.Headers.Accept.ToString())
                ? Tables.Make(resource, [item], "", null, TimeProvider.System.GetUtcNow(), true)
                : item);

    private static Task FailAsync(HttpContext context, ApiFault fault)
    {
        if (context.Response.HasStarted)
            return Task.CompletedTask;
        context.Response.StatusCode = fault.Code;
        if (fault.Code == 429)
            context.Response.Headers.RetryAfter = "1";
        return WriteAsync(context, StatusOf(fault));
    }

    private static JsonObject StatusOf(ApiFault fault) => new()
    {
        ["apiVersion"] = "v1",
        ["kind"] = "Status",
        ["status"] = "Failure",
        ["code"] = fault.Code,
        ["reason"] = fault.Reason,
        ["message"] = fault.Message,
    };

    private static Task WriteAsync(HttpContext context, JsonObject body)
    {
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(body.ToJsonString(), context.RequestAborted);
    }
}
