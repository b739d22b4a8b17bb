using System.Buffers;
using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using DynamicLb.AddressService.Configuration;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.AddressService.Store;

/// <summary>Whether this replica may write, and what to do when another turns out to lead.</summary>
internal interface IStoreFence
{
    /// <summary>Why nothing may be written now; null when we lead for sure.</summary>
    string? Refusal { get; }

    /// <summary>Another replica leads: this one is to end.</summary>
    void Fenced(string cause);
}

/// <summary>
/// Leases as AddressLease objects, one each, the MAC list in a ConfigMap and the MAC key in a Secret. A write carries the version that we know
/// (<c>resourceVersion</c>) and is refused when somebody wrote meanwhile: if that was a later leader we end, else (a label put on by hand, an answer
/// of ours that got lost) ours goes on top of it.
/// </summary>
internal sealed class KubernetesLeaseStore : ILeaseBackend
{
    internal const string MacListName = "address-service-macs";
    internal const string MacKeyName = "address-service-mac-key";
    private const string MacListKey = "macs";
    private const string MacKeyKey = "mac-key";
    private const int WritersAtOnce = 16;
    private static readonly TimeSpan WriteTimeout = TimeSpan.FromSeconds(10);

    private readonly IKubernetesClient _client;
    private readonly string _namespace;
    private readonly IStoreFence _fence;
    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<Guid, string> _versions = new();
    private StoreContents? _contents;
    private byte[]? _macKey;

    private KubernetesLeaseStore(IKubernetesClient client, string @namespace, IStoreFence fence, TimeProvider time)
    {
        _client = client;
        _namespace = @namespace;
        _fence = fence;
        _time = time;
    }

    /// <summary>Who writes: the leader and its epoch.</summary>
    public AddressLeaseWriter Writer { get; private set; } = new("", 0);

    /// <summary>Reads everything.</summary>
    /// <param name="client">Kubernetes.</param>
    /// <param name="namespace">Where the objects are.</param>
    /// <param name="leader">Our name, unique among replicas and over time.</param>
    /// <param name="term">At least how often the lead has passed on.</param>
    /// <param name="needsMacKey">Whether the MAC key is kept here, too.</param>
    /// <param name="fence">Guards the writes.</param>
    /// <param name="time">Clock.</param>
    /// <param name="import">Leases of a data folder to be taken over first; null for none.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="UnusableException">The objects cannot be read, or the leases not be taken over.</exception>
    public static async Task<KubernetesLeaseStore> OpenAsync(
        IKubernetesClient client, string @namespace, string leader, int term, bool needsMacKey, IStoreFence fence, TimeProvider time,
        LeaseImport? import, CancellationToken cancellationToken)
    {
        var store = new KubernetesLeaseStore(client, @namespace, fence, time);
        try
        {
            await store.ReadAsync(leader, term, cancellationToken);
            if (import is not null)
                await store.ImportAsync(import, needsMacKey, cancellationToken);
            if (needsMacKey)
                store._macKey = await store.ReadMacKeyAsync(cancellationToken);
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
        {
            throw new UnusableException($"The leases in namespace {@namespace} cannot be read: {e.Message} Is manifests/crds applied?", e);
        }
        return store;
    }

    public StoreContents Load()
    {
        var contents = _contents ?? throw new InvalidOperationException("The store is loaded once.");
        _contents = null;
        return contents;
    }

    public byte[] MacKey() => _macKey ?? throw new InvalidOperationException("The MAC key was not asked for.");

    public async Task<IReadOnlyList<string?>> CommitAsync(IReadOnlyList<StoreWrite> writes, CancellationToken cancellationToken)
    {
        string?[] faults = new string?[writes.Count];
        await Parallel.ForAsync(
            0, writes.Count, new ParallelOptions { MaxDegreeOfParallelism = WritersAtOnce },
            async (i, _) => faults[i] = await TryPutAsync(writes[i], cancellationToken));
        return faults;
    }

    public void Dispose()
    {
        // The client belongs to the program.
    }

    private async Task ReadAsync(string leader, int term, CancellationToken cancellationToken)
    {
        var list = await _client.ListAsync(AddressLease.Type, _namespace, cancellationToken);
        var records = new List<LeaseRecord>();
        var faults = new List<string>();
        long epoch = term;
        foreach (var item in list.Items)
        {
            epoch = Math.Max(epoch, (item.Writer?.Epoch ?? 0) + 1);
            if (item.Metadata.DeletionTimestamp is not null)
                continue;
            string? fault;
            LeaseRecord? record = null;
            try
            {
                record = item.Spec.Deserialize(StoreJsonContext.Default.LeaseRecord);
                fault = record is null ? "it is empty" : LeaseRecordRules.Fault(record);
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                fault = e.Message;
            }
            if (fault is not null)
            {
                faults.Add($"AddressLease {_namespace}/{item.Metadata.Name} is damaged ({fault}) and is left alone");
                continue;
            }
            _versions[record!.Id] = item.Metadata.ResourceVersion ?? "";
            records.Add(record);
        }
        var macs = await TryGetAsync(ResourceTypes.ConfigMaps, MacListName, cancellationToken);
        string[]? lines = macs?.Data is { } data && data.TryGetValue(MacListKey, out string? text)
            ? text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) : null;
        Writer = new AddressLeaseWriter(leader, epoch);
        _contents = new StoreContents(records, lines, faults);
    }

    /// <summary>Takes over what is not here yet. Cut short it goes on where it was, at the next start: the folder is marked at the end.</summary>
    private async Task ImportAsync(LeaseImport import, bool needsMacKey, CancellationToken cancellationToken)
    {
        var here = _contents!;
        var added = import.Contents.Leases.Where(record => !_versions.ContainsKey(record.Id)).ToList();
        foreach (var record in added)
            await SaveAsync(record, cancellationToken);
        if (here.Macs is null && import.Contents.Macs is { } macs)
            await SaveMacsAsync(macs, cancellationToken);
        if (needsMacKey && import.MacKey is { } key && await TryGetAsync(ResourceTypes.Secrets, MacKeyName, cancellationToken) is null)
            await _client.CreateAsync(ResourceTypes.Secrets, Describe(key), cancellationToken);
        _contents = new StoreContents([.. here.Leases, .. added], here.Macs ?? import.Contents.Macs, [.. here.Faults, .. import.Contents.Faults]);
        import.Done(added.Count, _namespace);
    }

    private Secret Describe(byte[] key) => new()
    {
        Metadata = new ObjectMeta { Namespace = _namespace, Name = MacKeyName },
        Type = "Opaque",
        Data = new Dictionary<string, string>(StringComparer.Ordinal) { [MacKeyKey] = Convert.ToBase64String(key) },
    };

    private async Task<byte[]> ReadMacKeyAsync(CancellationToken cancellationToken)
    {
        var secret = await TryGetAsync(ResourceTypes.Secrets, MacKeyName, cancellationToken);
        try
        {
            secret ??= await _client.CreateAsync(ResourceTypes.Secrets, Describe(RandomNumberGenerator.GetBytes(32)), cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Conflict)
        {
            secret = await _client.GetAsync(ResourceTypes.Secrets, _namespace, MacKeyName, cancellationToken);
        }
        const int Shortest = 16;
        byte[] key = new byte[256];
        return secret.Data is { } data && data.TryGetValue(MacKeyKey, out string? text) && Convert.TryFromBase64String(text, key, out int length)
            && length >= Shortest
            ? key[..length]
            : throw new UnusableException($"Secret {_namespace}/{MacKeyName} has no {MacKeyKey} of at least {Shortest} bytes. Restore it, or delete it to have a new one made.");
    }

    private async Task<string?> TryPutAsync(StoreWrite write, CancellationToken cancellationToken)
    {
        if (_fence.Refusal is { } refusal)
            return refusal;
        using var timeout = new CancellationTokenSource(WriteTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await (write.Kind switch
            {
                StoreWriteKind.Save => SaveAsync(write.Record!, either.Token),
                StoreWriteKind.Delete => DeleteAsync(write.Record!, either.Token),
                _ => SaveMacsAsync(write.Macs!, either.Token),
            });
            return null;
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
        {
            return e.Message;
        }
        catch (OperationCanceledException)
        {
            return "the API server did not answer in time";
        }
    }

    private async Task SaveAsync(LeaseRecord record, CancellationToken cancellationToken)
    {
        // Once more after each kind of surprise; more than two in a row are not ours to settle here.
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                var written = _versions.TryGetValue(record.Id, out string? version)
                    ? await _client.PatchAsync(
                        AddressLease.Type, _namespace, NameOf(record), PatchType.Json, Patch(record, version), null, cancellationToken)
                    : await _client.CreateAsync(AddressLease.Type, Describe(record), cancellationToken);
                _versions[record.Id] = written.Metadata.ResourceVersion ?? "";
                return;
            }
            catch (KubernetesApiException e) when (e.StatusCode is HttpStatusCode.Conflict or HttpStatusCode.NotFound && attempt < 2)
            {
                await CatchUpAsync(record, cancellationToken);
            }
        }
    }

    /// <summary>Somebody else wrote: a later leader, which ends us, or a person, whose version we take up.</summary>
    private async Task CatchUpAsync(LeaseRecord record, CancellationToken cancellationToken)
    {
        var current = await TryGetAsync(AddressLease.Type, NameOf(record), cancellationToken);
        if (current is null)
        {
            _versions.TryRemove(record.Id, out _);
            return;
        }
        if (current.Writer?.Supersedes(Writer) == true)
        {
            _fence.Fenced($"{current.Writer.Leader} wrote the lease of {record.Service}");
            throw new IOException($"{current.Writer.Leader} leads");
        }
        _versions[record.Id] = current.Metadata.ResourceVersion ?? "";
    }

    private async Task DeleteAsync(LeaseRecord record, CancellationToken cancellationToken)
    {
        for (int attempt = 0; ; attempt++)
        {
            // Only what we know is deleted: what a later leader wrote is not ours to take away.
            if (!_versions.ContainsKey(record.Id))
                await CatchUpAsync(record, cancellationToken);
            if (!_versions.TryGetValue(record.Id, out string? version))
                return;
            try
            {
                await _client.DeleteAsync(AddressLease.Type, _namespace, NameOf(record), version, cancellationToken);
                _versions.TryRemove(record.Id, out _);
                return;
            }
            catch (KubernetesApiException e) when (e.StatusCode is HttpStatusCode.Conflict or HttpStatusCode.NotFound && attempt < 2)
            {
                await CatchUpAsync(record, cancellationToken);
            }
        }
    }

    private async Task SaveMacsAsync(IReadOnlyList<string> macs, CancellationToken cancellationToken)
    {
        var current = await TryGetAsync(ResourceTypes.ConfigMaps, MacListName, cancellationToken);
        var wanted = (current ?? new ConfigMap { Metadata = new ObjectMeta { Namespace = _namespace, Name = MacListName } }) with
        {
            Data = new Dictionary<string, string>(StringComparer.Ordinal) { [MacListKey] = string.Concat(macs.Select(mac => mac + "\n")) },
        };
        _ = current is null
            ? await _client.CreateAsync(ResourceTypes.ConfigMaps, wanted, cancellationToken)
            : await _client.ReplaceAsync(ResourceTypes.ConfigMaps, wanted, cancellationToken);
    }

    private async Task<T?> TryGetAsync<T>(ResourceType<T> type, string name, CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        try
        {
            return await _client.GetAsync(type, _namespace, name, cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    private AddressLease Describe(LeaseRecord record)
    {
        string[] parts = record.Service.Split('/');
        return new AddressLease
        {
            Metadata = new ObjectMeta
            {
                Namespace = _namespace,
                Name = NameOf(record),
                Labels = new Dictionary<string, string>(StringComparer.Ordinal)
                {
                    ["app.kubernetes.io/managed-by"] = "dynamiclb",
                    ["dynamiclb.io/service-namespace"] = parts[0],
                    ["dynamiclb.io/service-name"] = parts[^1],
                },
            },
            Spec = JsonSerializer.SerializeToElement(record, StoreJsonContext.Default.LeaseRecord),
            Writer = Writer,
        };
    }

    /// <summary>RFC 6902. The version is part of it, which makes the server refuse it (409) when the object has changed; labels put on by others stay.</summary>
    private ReadOnlyMemory<byte> Patch(LeaseRecord record, string version)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using var json = new Utf8JsonWriter(buffer);
        json.WriteStartArray();
        Operation(json, "replace", "/metadata/resourceVersion");
        json.WriteString("value", version);
        json.WriteEndObject();
        Operation(json, "add", "/spec");
        json.WritePropertyName("value");
        JsonSerializer.Serialize(json, record, StoreJsonContext.Default.LeaseRecord);
        json.WriteEndObject();
        Operation(json, "add", "/writer");
        json.WritePropertyName("value");
        JsonSerializer.Serialize(json, Writer, AddressLeaseJsonContext.Default.AddressLeaseWriter);
        json.WriteEndObject();
        json.WriteEndArray();
        json.Flush();
        return buffer.WrittenMemory;
    }

    private static void Operation(Utf8JsonWriter json, string operation, string path)
    {
        json.WriteStartObject();
        json.WriteString("op", operation);
        json.WriteString("path", path);
    }

    /// <summary>Readable, and unique by the end of it: two records of one service may live side by side while one is released.</summary>
    private static string NameOf(LeaseRecord record) => $"{record.Service.Replace('/', '.')}.{record.Id.ToString("N")[..8]}";
}
