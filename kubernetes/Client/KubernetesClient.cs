using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Kubernetes.Client;

/// <summary>The Kubernetes API over HTTP.</summary>
public sealed class KubernetesClient : IKubernetesClient, IDisposable
{
    private const int PageSize = 500;
    private const int MaxListRestarts = 3;
    private const int MaxAttempts = 4;
    private const long MaxWatchLine = 16 << 20;
    private static readonly TimeSpan MaxRetryAfter = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(30);

    private readonly HttpClient _http;
    private readonly TimeProvider _time;
    private readonly Func<string?>? _refusal;

    /// <summary>Creates a client; connections are made when needed.</summary>
    public KubernetesClient(KubernetesClientConfiguration configuration, TimeProvider time)
    {
        _time = time;
        var root = configuration.Server.AbsoluteUri;
        _http = new HttpClient(KubernetesHttpHandler.Create(configuration, time))
        {
            BaseAddress = new Uri(root.EndsWith('/') ? root : root + "/"),
            Timeout = Timeout.InfiniteTimeSpan,
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionOrLower,
        };
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("dynamiclb", "0.1"));
        _http.DefaultRequestHeaders.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
    }

    private KubernetesClient(HttpClient http, TimeProvider time, Func<string?> refusal)
    {
        _http = http;
        _time = time;
        _refusal = refusal;
    }

    /// <summary>
    /// The same client, whose writes are refused with an <see cref="IOException"/> while <paramref name="refusal"/> has a reason. It is asked when a write is about to leave, also for each
    /// repetition: what was decided before the process was paused does not leave after it.
    /// </summary>
    public IKubernetesClient Fenced(Func<string?> refusal) => new KubernetesClient(_http, _time, refusal);

    /// <inheritdoc/>
    public Task<T> GetAsync<T>(ResourceType<T> type, string? @namespace, string name, CancellationToken cancellationToken)
        where T : KubernetesObject =>
        SendAsync(HttpMethod.Get, type.Path(@namespace, name), null, type.TypeInfo, cancellationToken);

    /// <inheritdoc/>
    public async Task<ResourceList<T>> ListAsync<T>(ResourceType<T> type, string? @namespace, CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        var items = new List<T>();
        string? version = null;
        await foreach (var page in ListPagesAsync(type, @namespace, cancellationToken))
        {
            if (page.IsFirst)
                items.Clear();
            items.AddRange(page.Items);
            version = page.ResourceVersion;
        }
        return new ResourceList<T> { Metadata = new ListMeta { ResourceVersion = version }, Items = items };
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<ListPage<T>> ListPagesAsync<T>(ResourceType<T> type, string? @namespace, [EnumeratorCancellation] CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        // A list that takes long may outlive its continue token (410): start over, at last without pages.
        for (int restarts = 0; ; restarts++)
        {
            bool isFirst = true;
            for (var coming = ListPageAsync(type, @namespace, restarts < MaxListRestarts ? PageSize : 0, null, cancellationToken); ; isFirst = false)
            {
                ResourceList<T> page;
                try
                {
                    page = await coming;
                }
                catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Gone && restarts < MaxListRestarts)
                {
                    break;
                }
                bool isLast = string.IsNullOrEmpty(page.Metadata.ContinueToken);
                // The server works on the next page while this one is used.
                if (!isLast)
                    coming = ListPageAsync(type, @namespace, PageSize, page.Metadata.ContinueToken, cancellationToken);
                // Go writes an empty list as null here and there.
                yield return new ListPage<T>(page.Items ?? [], page.Metadata.ResourceVersion, isFirst);
                if (isLast)
                    yield break;
            }
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<WatchEvent<T>> WatchAsync<T>(
        ResourceType<T> type, string? @namespace, string resourceVersion, TimeSpan timeout, [EnumeratorCancellation] CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        string path = $"{type.Path(@namespace)}?watch=true&allowWatchBookmarks=true&timeoutSeconds={(int)timeout.TotalSeconds}"
            + $"&resourceVersion={Uri.EscapeDataString(resourceVersion)}";
        // A connection that died without a word would keep the watch waiting for ever: the server ends it in time, or we do.
        using var silence = new CancellationTokenSource(RequestTimeout + ((MaxAttempts - 1) * MaxRetryAfter), _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, silence.Token);
        using var response = await InTimeAsync(SendAsync(HttpMethod.Get, path, null, HttpCompletionOption.ResponseHeadersRead, linked.Token), HttpMethod.Get, path, cancellationToken);
        silence.CancelAfter(timeout + RequestTimeout);
        var reader = PipeReader.Create(await response.Content.ReadAsStreamAsync(linked.Token));
        try
        {
            while (true)
            {
                var result = await InTimeAsync(reader.ReadAsync(linked.Token).AsTask(), HttpMethod.Get, path, cancellationToken);
                var buffer = result.Buffer;
                while (TryReadLine(ref buffer, out var line))
                {
                    if (!line.IsEmpty)
                        yield return ParseEvent(type, line);
                }
                if (result.IsCompleted)
                    break;
                if (buffer.Length > MaxWatchLine)
                    throw new IOException($"A watch of {type.Plural} sent a line of more than {MaxWatchLine} bytes.");
                reader.AdvanceTo(buffer.Start, buffer.End);
            }
        }
        finally
        {
            await reader.CompleteAsync();
        }
    }

    /// <inheritdoc/>
    public Task<T> CreateAsync<T>(ResourceType<T> type, T resource, CancellationToken cancellationToken)
        where T : KubernetesObject =>
        SendAsync(HttpMethod.Post, type.Path(resource.Metadata.Namespace), Body(type, resource), type.TypeInfo, cancellationToken);

    /// <inheritdoc/>
    public Task<T> ReplaceAsync<T>(ResourceType<T> type, T resource, CancellationToken cancellationToken)
        where T : KubernetesObject =>
        SendAsync(
            HttpMethod.Put, type.Path(resource.Metadata.Namespace, resource.Metadata.Name), Body(type, resource), type.TypeInfo, cancellationToken);

    /// <inheritdoc/>
    public Task<T> PatchAsync<T>(
        ResourceType<T> type, string? @namespace, string name, PatchType patchType, ReadOnlyMemory<byte> patch, string? subresource,
        CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        string media = patchType switch
        {
            PatchType.Json => "application/json-patch+json",
            PatchType.Strategic => "application/strategic-merge-patch+json",
            _ => "application/merge-patch+json",
        };
        return SendAsync(HttpMethod.Patch, type.Path(@namespace, name, subresource), new Payload(patch, media), type.TypeInfo, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<T> ApplyAsync<T>(
        ResourceType<T> type, string? @namespace, string name, ReadOnlyMemory<byte> fields, string? subresource, string fieldManager,
        CancellationToken cancellationToken)
        where T : KubernetesObject =>
        SendAsync(
            HttpMethod.Patch, $"{type.Path(@namespace, name, subresource)}?fieldManager={Uri.EscapeDataString(fieldManager)}&force=true",
            new Payload(fields, "application/apply-patch+yaml"), type.TypeInfo, cancellationToken);

    /// <inheritdoc/>
    public Task DeleteAsync<T>(ResourceType<T> type, string? @namespace, string name, CancellationToken cancellationToken)
        where T : KubernetesObject =>
        SendAsync(HttpMethod.Delete, type.Path(@namespace, name), null, cancellationToken);

    /// <inheritdoc/>
    public Task DeleteAsync<T>(ResourceType<T> type, string? @namespace, string name, string resourceVersion, CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        var options = new ArrayBufferWriter<byte>(128);
        using (var json = new Utf8JsonWriter(options))
        {
            json.WriteStartObject();
            json.WriteString("apiVersion", "v1");
            json.WriteString("kind", "DeleteOptions");
            json.WriteStartObject("preconditions");
            json.WriteString("resourceVersion", resourceVersion);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return SendAsync(HttpMethod.Delete, type.Path(@namespace, name), new Payload(options.WrittenMemory, "application/json"), cancellationToken);
    }

    /// <inheritdoc/>
    public async Task<bool> ServesAsync(string groupVersion, CancellationToken cancellationToken)
    {
        try
        {
            await SendAsync(HttpMethod.Get, groupVersion.Contains('/') ? $"apis/{groupVersion}" : $"api/{groupVersion}", null, cancellationToken);
            return true;
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private Task<ResourceList<T>> ListPageAsync<T>(ResourceType<T> type, string? @namespace, int size, string? token, CancellationToken cancellationToken)
        where T : KubernetesObject =>
        SendAsync(
            HttpMethod.Get, $"{type.Path(@namespace)}?{(size > 0 ? $"limit={size}" : "")}{(token is null ? "" : $"&continue={Uri.EscapeDataString(token)}")}", null, type.ListTypeInfo,
            cancellationToken);

    private Task<TResult> SendAsync<TResult>(
        HttpMethod method, string path, Payload? payload, JsonTypeInfo<TResult> typeInfo, CancellationToken cancellationToken) =>
        BoundedAsync(
            method, path,
            async bound =>
            {
                try
                {
                    using var response = await SendAsync(method, path, payload, HttpCompletionOption.ResponseHeadersRead, bound);
                    await using var stream = await response.Content.ReadAsStreamAsync(bound);
                    return await JsonSerializer.DeserializeAsync(stream, typeInfo, bound) ?? throw new IOException($"The API server answered {method} {path} with nothing.");
                }
                catch (JsonException e)
                {
                    throw new IOException($"The API server answered {method} {path} with something that is not of the API: {e.Message}", e);
                }
            },
            cancellationToken);

    /// <summary>Sends what is answered by success alone.</summary>
    private async Task SendAsync(HttpMethod method, string path, Payload? payload, CancellationToken cancellationToken) =>
        await BoundedAsync(
            method, path,
            async bound =>
            {
                using var response = await SendAsync(method, path, payload, HttpCompletionOption.ResponseContentRead, bound);
                return response.StatusCode;
            },
            cancellationToken);

    private async Task<TResult> BoundedAsync<TResult>(HttpMethod method, string path, Func<CancellationToken, Task<TResult>> ask, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(RequestTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        return await InTimeAsync(ask(either.Token), method, path, cancellationToken);
    }

    /// <summary>A time limit of ours, or of the connection, is a fault of the server's, and no wish of the caller to stop.</summary>
    private static async Task<TResult> InTimeAsync<TResult>(Task<TResult> answer, HttpMethod method, string path, CancellationToken cancellationToken)
    {
        try
        {
            return await answer;
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"The API server did not answer {method} {path} in time.", e);
        }
    }

    /// <summary>Sends, and sends again where the server asks for patience; anything but success becomes an exception.</summary>
    private async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string path, Payload? payload, HttpCompletionOption completion, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            using var request = new HttpRequestMessage(method, path);
            if (method != HttpMethod.Get)
                ThrowIfRefused();
            if (payload is { } body)
            {
                request.Content = _refusal is null ? new ReadOnlyMemoryContent(body.Bytes) : new FencedContent(body.Bytes, ThrowIfRefused);
                request.Content.Headers.ContentType = new MediaTypeHeaderValue(body.MediaType);
            }
            var response = await _http.SendAsync(request, completion, cancellationToken);
            if (response.IsSuccessStatusCode)
                return response;
            using (response)
            {
                if (attempt < MaxAttempts && RetryAfter(response) is { } pause)
                    await Task.Delay(pause, _time, cancellationToken);
                else
                    throw await FailureAsync(method, path, response, cancellationToken);
            }
        }
    }

    private void ThrowIfRefused()
    {
        if (_refusal?.Invoke() is { } reason)
            throw new IOException($"Not written: {reason}.");
    }

    private static TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        if (response.StatusCode is not (HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable))
            return null;
        return response.Headers.RetryAfter?.Delta is { } asked ? (asked < MaxRetryAfter ? asked : MaxRetryAfter) : null;
    }

    private static async Task<KubernetesApiException> FailureAsync(
        HttpMethod method, string path, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        string text = await response.Content.ReadAsStringAsync(cancellationToken);
        Status? status = null;
        try
        {
            status = JsonSerializer.Deserialize(text, KubernetesJsonContext.Default.Status);
        }
        catch (JsonException)
        {
            // A proxy in between, or a server that is starting: the code has to do.
        }
        string cause = status?.Message ?? (text.Length is > 0 and < 300 ? text.Trim() : response.ReasonPhrase ?? "");
        return new KubernetesApiException(response.StatusCode, status?.Reason, $"{method} {path}: {(int)response.StatusCode} {cause}");
    }

    private static WatchEvent<T> ParseEvent<T>(ResourceType<T> type, in ReadOnlySequence<byte> line)
        where T : KubernetesObject
    {
        try
        {
            // The type comes first as a rule; the object is read where it stands.
            var reader = new Utf8JsonReader(line);
            Utf8JsonReader body = default;
            string? kind = null;
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool isType = reader.ValueTextEquals("type"u8), isBody = reader.ValueTextEquals("object"u8);
                reader.Read();
                if (isType)
                    kind = reader.GetString();
                if (isBody)
                    body = reader;
                if (isBody && kind is not null)
                    break;
                reader.Skip();
            }
            if (kind == "ERROR")
            {
                var status = JsonSerializer.Deserialize(ref body, KubernetesJsonContext.Default.Status);
                throw new KubernetesApiException(
                    (HttpStatusCode)(status?.Code ?? 500), status?.Reason, $"watch of {type.Plural}: {status?.Code} {status?.Message}");
            }
            var eventType = kind switch
            {
                "ADDED" => WatchEventType.Added,
                "MODIFIED" => WatchEventType.Modified,
                "DELETED" => WatchEventType.Deleted,
                "BOOKMARK" => WatchEventType.Bookmark,
                _ => throw new IOException($"A watch of {type.Plural} sent an event of type '{kind}'."),
            };
            return new WatchEvent<T>(eventType, JsonSerializer.Deserialize(ref body, type.TypeInfo) ?? throw new IOException($"A watch of {type.Plural} sent null."));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new IOException($"A watch of {type.Plural} sent a line that is not of the API: {e.Message}", e);
        }
    }

    private static bool TryReadLine(ref ReadOnlySequence<byte> buffer, out ReadOnlySequence<byte> line)
    {
        line = default;
        if (buffer.PositionOf((byte)'\n') is not { } end)
            return false;
        line = buffer.Slice(0, end);
        buffer = buffer.Slice(buffer.GetPosition(1, end));
        return true;
    }

    private static Payload Body<T>(ResourceType<T> type, T resource)
        where T : KubernetesObject =>
        new(JsonSerializer.SerializeToUtf8Bytes(resource with { ApiVersion = type.ApiVersion, Kind = type.Kind }, type.TypeInfo), "application/json");

    /// <summary>A body that is held back at the last moment: the server does nothing before it has it.</summary>
    private sealed class FencedContent(ReadOnlyMemory<byte> bytes, Action check) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            check();
            await stream.WriteAsync(bytes);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = bytes.Length;
            return true;
        }
    }

    private readonly record struct Payload(ReadOnlyMemory<byte> Bytes, string MediaType);
}
