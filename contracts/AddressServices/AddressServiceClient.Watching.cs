using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;

namespace DynamicLb.Contracts.AddressServices;

/// <summary>Reads the leases, and the stream of what happens to them.</summary>
public sealed partial class AddressServiceClient
{
    private const string WatchPath = "v1/leases/watch";

    /// <summary>The service sends something at least every 15 seconds.</summary>
    private static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(40);
    private static readonly TimeSpan ShortestPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    /// <inheritdoc/>
    public Task<LeasesAnswer> GetLeasesAsync(LeaseQuery query, CancellationToken cancellationToken)
    {
        var path = new StringBuilder("v1/leases");
        Add("service", query.Service);
        Add("state", query.State);
        Add("limit", query.Limit?.ToString(CultureInfo.InvariantCulture));
        Add("continue", query.Continue);
        return CallAsync(HttpMethod.Get, path.ToString(), null, Json.LeasesAnswer, cancellationToken);

        void Add(string name, string? value)
        {
            if (value is not null)
                path.Append(path.ToString().Contains('?', StringComparison.Ordinal) ? '&' : '?').Append(name).Append('=').Append(Uri.EscapeDataString(value));
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<LeaseWatchEvent> WatchLeasesAsync(string? lastEventId, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var pause = ShortestPause;
        while (true)
        {
            using (var response = await OpenWatchAsync(lastEventId, cancellationToken))
            {
                if (response is { IsSuccessStatusCode: true })
                {
                    using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellationToken), Encoding.UTF8);
                    bool isLive = false;
                    while (await ReadEventAsync(reader, lastEventId, cancellationToken) is var (happened, id))
                    {
                        lastEventId = id;
                        pause = ShortestPause;
                        isLive |= happened?.Type == LeaseEventType.Synced;
                        if (happened is not null)
                            yield return happened with { IsLive = isLive };
                    }
                }
                else if (response?.Headers.RetryAfter?.Delta is { } wanted && wanted > pause)
                {
                    pause = wanted < LongestPause ? wanted : LongestPause;
                }
            }
            await Task.Delay(pause, _time, cancellationToken);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }
    }

    /// <returns>Null when the service cannot be reached.</returns>
    private async Task<HttpResponseMessage?> OpenWatchAsync(string? lastEventId, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, WatchPath);
        if (await _token(cancellationToken) is { Length: > 0 } token)
            request.Headers.Add("X-Auth-Token", token);
        if (lastEventId is not null)
            request.Headers.TryAddWithoutValidation("Last-Event-ID", lastEventId);
        using var limit = new CancellationTokenSource(LongestSilence, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        HttpResponseMessage response;
        try
        {
            response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either.Token);
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return null;
        }
        if (response.IsSuccessStatusCode || response.StatusCode is HttpStatusCode.TooManyRequests or >= HttpStatusCode.InternalServerError)
            return response;
        response.Dispose();
        throw new AddressServiceUnavailableException($"{_http.BaseAddress}{WatchPath} was refused with {(int)response.StatusCode}");
    }

    /// <summary>Reads one event (WHATWG HTML §9.2.6).</summary>
    /// <returns>The event, or null for one we do not know, and the id after it; null when the connection ends or falls silent.</returns>
    private async Task<(LeaseWatchEvent? Event, string? Id)?> ReadEventAsync(StreamReader reader, string? id, CancellationToken cancellationToken)
    {
        string type = "";
        var data = new StringBuilder();
        try
        {
            while (true)
            {
                string? line = await reader.ReadLineAsync(cancellationToken).AsTask().WaitAsync(LongestSilence, _time, cancellationToken);
                if (line is null)
                    return null;
                if (line.Length == 0)
                {
                    if (data.Length == 0)
                        continue;
                    return (Read(type, data.ToString(), id), id);
                }
                int colon = line.IndexOf(':', StringComparison.Ordinal);
                string field = colon < 0 ? line : line[..colon];
                string value = colon < 0 ? "" : line[(colon + 1)..];
                value = value.StartsWith(' ') ? value[1..] : value;
                if (field == "event")
                    type = value;
                else if (field == "id")
                    id = value.Length == 0 ? null : value;
                else if (field == "data")
                    data.Append(value);
            }
        }
        catch (Exception e) when (e is IOException or HttpRequestException or TimeoutException or JsonException)
        {
            return null;
        }
    }

    private static LeaseWatchEvent? Read(string type, string data, string? id) => type switch
    {
        LeaseEventType.Reset or LeaseEventType.Synced => new LeaseWatchEvent(type, id),
        LeaseEventType.Snapshot => new LeaseWatchEvent(type, id, Lease: JsonSerializer.Deserialize(data, Json.LeaseAnswer)),
        LeaseEventType.Overview => null,
        _ => new LeaseWatchEvent(type, id, JsonSerializer.Deserialize(data, Json.LeaseEvent)),
    };
}
