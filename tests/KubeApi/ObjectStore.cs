using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace DynamicLb.Tests.KubeApi;

/// <summary>What the server holds: the objects, and the changes of the recent past for watches. Thread-safe; nothing here waits.</summary>
internal sealed class ObjectStore(TimeProvider time)
{
    private const int MaxHistory = 20_000;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<(string Resource, string Namespace, string Name), JsonObject> _objects = new(KeyOrder.Instance);
    private readonly List<Change> _history = [];
    private long _revision = 1;
    private long _compacted;
    private uint _nextClusterAddress = 0x0a60_000a; // 10.96.0.10
    private TaskCompletionSource _changed = NewSignal();

    public sealed record Change(long Revision, string Type, string Resource, string Namespace, JsonObject Object);

    public long Revision
    {
        get { lock (_lock) return _revision; }
    }

    /// <summary>Forgets the changes so far: watches from before get a 410.</summary>
    public void Compact()
    {
        lock (_lock)
        {
            _history.Clear();
            _compacted = _revision;
        }
    }

    public JsonObject Get(ApiResource resource, string space, string name)
    {
        lock (_lock)
            return Find_NeedsLock(resource, space, name);
    }

    /// <summary>Objects after <paramref name="after"/> in the order of their names, at most <paramref name="limit"/> (0: all), and whether there are more.</summary>
    public (List<JsonObject> Items, string? Next, long Revision) List(
        ApiResource resource, string? space, int limit, string? after, Func<JsonObject, bool> matches)
    {
        lock (_lock)
        {
            var items = new List<JsonObject>();
            string? next = null, last = null;
            foreach (var (key, item) in _objects)
            {
                if (key.Resource != Key(resource) || (space is not null && key.Namespace != space) || !matches(item))
                    continue;
                string position = $"{key.Namespace}/{key.Name}";
                if (after is not null && string.CompareOrdinal(position, after) <= 0)
                    continue;
                if (limit > 0 && items.Count == limit)
                {
                    next = last;
                    break;
                }
                items.Add(item);
                last = position;
            }
            return (items, next, _revision);
        }
    }

    public JsonObject Create(ApiResource resource, string space, JsonObject item)
    {
        lock (_lock)
        {
            var metadata = Metadata(item);
            string? name = Text(metadata, "name");
            if (string.IsNullOrEmpty(name))
            {
                name = Text(metadata, "generateName") is { Length: > 0 } prefix
                    ? prefix + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(3))
                    : throw new ApiFault(422, "Invalid", $"{resource.Kind}: metadata.name: Required value: name or generateName is required");
                metadata["name"] = name;
            }
            if (resource.Namespaced)
            {
                if (!_objects.ContainsKey(("/namespaces", "", space)))
                    throw new ApiFault(404, "NotFound", $"namespaces \"{space}\" not found");
                metadata["namespace"] = space;
            }
            if (_objects.ContainsKey((Key(resource), space, name)))
                throw new ApiFault(409, "AlreadyExists", $"{resource.Plural} \"{name}\" already exists");
            metadata["uid"] = Guid.NewGuid().ToString();
            metadata["creationTimestamp"] = time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ");
            if (resource.HasGeneration)
                metadata["generation"] = 1L;
            item["apiVersion"] = resource.ApiVersion;
            item["kind"] = resource.Kind;
            if (resource.Kind == "Service")
                Default_NeedsLock(item);
            return Write_NeedsLock(resource, space, name, item, "ADDED");
        }
    }

    /// <summary>Changes an object by a function of a copy of it. The outcome's resourceVersion, if it has one, must be the current one.</summary>
    /// <param name="resource">Its kind.</param>
    /// <param name="space">Its namespace.</param>
    /// <param name="name">Its name.</param>
    /// <param name="statusOnly">Whether all but status and metadata stay as they are; otherwise the status stays, for kinds that have one.</param>
    /// <param name="change">The change.</param>
    public JsonObject Update(ApiResource resource, string space, string name, bool statusOnly, Func<JsonObject, JsonObject> change)
    {
        lock (_lock)
        {
            var current = Find_NeedsLock(resource, space, name);
            var changed = change((JsonObject)current.DeepClone());
            string? expected = Text(Metadata(changed), "resourceVersion");
            if (!string.IsNullOrEmpty(expected) && expected != Text(Metadata(current), "resourceVersion"))
            {
                throw new ApiFault(
                    409, "Conflict",
                    $"Operation cannot be fulfilled on {resource.Plural} \"{name}\": the object has been modified; please apply your changes to the latest version and try again");
            }
            foreach (string fixedField in new[] { "uid", "creationTimestamp", "name", "namespace" })
                Metadata(changed)[fixedField] = Metadata(current)[fixedField]?.DeepClone();
            if (resource.HasStatus)
            {
                var result = statusOnly ? (JsonObject)current.DeepClone() : changed;
                if (statusOnly)
                {
                    result["status"] = changed["status"]?.DeepClone();
                    result["metadata"] = Metadata(changed).DeepClone();
                }
                else
                {
                    result["status"] = current["status"]?.DeepClone();
                }
                changed = result;
            }
            changed["apiVersion"] = resource.ApiVersion;
            changed["kind"] = resource.Kind;
            if (resource.HasGeneration)
            {
                long generation = Metadata(current)["generation"]!.GetValue<long>();
                Metadata(changed)["generation"] = JsonNode.DeepEquals(changed["spec"], current["spec"]) ? generation : generation + 1;
            }
            Metadata(changed)["resourceVersion"] = Metadata(current)["resourceVersion"]?.DeepClone();
            return JsonNode.DeepEquals(changed, current) ? current : Write_NeedsLock(resource, space, name, changed, "MODIFIED");
        }
    }

    public JsonObject Delete(ApiResource resource, string space, string name, string? version = null)
    {
        lock (_lock)
        {
            var item = (JsonObject)Find_NeedsLock(resource, space, name).DeepClone();
            if (version is not null && Metadata(item)["resourceVersion"]?.GetValue<string>() != version)
                throw new ApiFault(409, "Conflict", $"the object is not of version {version} any more");
            _objects.Remove((Key(resource), space, name));
            Metadata(item)["resourceVersion"] = Next_NeedsLock();
            Tell_NeedsLock(new Change(_revision, "DELETED", Key(resource), space, item));
            return item;
        }
    }

    /// <summary>The changes after a revision, the revision up to which they are whole, and what completes at the next one. A revision that is forgotten is a 410.</summary>
    public (List<Change> Changes, long UpTo, Task Next) Since(ApiResource resource, string? space, long revision)
    {
        lock (_lock)
        {
            if (revision < _compacted)
                throw new ApiFault(410, "Expired", $"too old resource version: {revision} ({_compacted})");
            int first = _history.FindIndex(change => change.Revision > revision);
            var changes = first < 0
                ? []
                : _history.Skip(first).Where(change => change.Resource == Key(resource) && (space is null || change.Namespace == space)).ToList();
            return (changes, _revision, _changed.Task);
        }
    }

    private JsonObject Write_NeedsLock(ApiResource resource, string space, string name, JsonObject item, string type)
    {
        Metadata(item)["resourceVersion"] = Next_NeedsLock();
        _objects[(Key(resource), space, name)] = item;
        Tell_NeedsLock(new Change(_revision, type, Key(resource), space, item));
        return item;
    }

    private void Tell_NeedsLock(Change change)
    {
        _history.Add(change);
        if (_history.Count > MaxHistory)
        {
            _compacted = _history[MaxHistory / 2].Revision;
            _history.RemoveRange(0, (MaxHistory / 2) + 1);
        }
        var signal = _changed;
        _changed = NewSignal();
        signal.SetResult();
    }

    private string Next_NeedsLock() => (++_revision).ToString();

    private JsonObject Find_NeedsLock(ApiResource resource, string space, string name) =>
        _objects.TryGetValue((Key(resource), space, name), out var item) ? item : throw ApiFault.NotFound(resource, name);

    private void Default_NeedsLock(JsonObject service)
    {
        var spec = service["spec"] as JsonObject ?? (JsonObject)(service["spec"] = new JsonObject());
        spec["type"] ??= "ClusterIP";
        if (string.IsNullOrEmpty(Text(spec, "clusterIP")))
        {
            uint address = _nextClusterAddress++;
            spec["clusterIP"] = $"{address >> 24}.{(address >> 16) & 255}.{(address >> 8) & 255}.{address & 255}";
        }
        spec["clusterIPs"] ??= new JsonArray(Text(spec, "clusterIP"));
        service["status"] ??= new JsonObject { ["loadBalancer"] = new JsonObject() };
    }

    public static JsonObject Metadata(JsonObject item) => item["metadata"] as JsonObject ?? (JsonObject)(item["metadata"] = new JsonObject());

    public static string? Text(JsonNode? node, string key) =>
        node is JsonObject item && item[key] is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    private static string Key(ApiResource resource) => $"{resource.Group}/{resource.Plural}";

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed class KeyOrder : IComparer<(string Resource, string Namespace, string Name)>
    {
        public static readonly KeyOrder Instance = new();

        public int Compare((string Resource, string Namespace, string Name) x, (string Resource, string Namespace, string Name) y)
        {
            int order = string.CompareOrdinal(x.Resource, y.Resource);
            return order != 0 ? order : string.CompareOrdinal($"{x.Namespace}/{x.Name}", $"{y.Namespace}/{y.Name}");
        }
    }
}
