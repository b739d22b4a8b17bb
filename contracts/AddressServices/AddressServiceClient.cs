using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;

namespace DynamicLb.Contracts.AddressServices;

/// <summary>
/// Calls one address service over HTTP. A service that keeps failing is left alone for <see cref="BreakDuration"/> before the next call goes out, so that waiting for it costs
/// nothing. Calls are not repeated here: the caller has its own back-off.
/// </summary>
public sealed partial class AddressServiceClient : IAddressServiceClient
{
    /// <summary>How long a failing service is left alone.</summary>
    public static readonly TimeSpan BreakDuration = TimeSpan.FromSeconds(5);

    private const int MaxAnswer = 64 << 20;
    private static readonly AddressServiceJsonContext Json = AddressServiceJsonContext.Default;

    private readonly HttpClient _http;
    private readonly Func<CancellationToken, ValueTask<string?>> _token;
    private readonly ResiliencePipeline _pipeline;
    private readonly TimeProvider _time;

    /// <summary>Creates a client.</summary>
    /// <param name="http">Its base address is the service's; to be disposed by the caller.</param>
    /// <param name="token">The token to send, asked for at every call; null for none.</param>
    /// <param name="timeout">How long a call may take; it must exceed the service's own wait for DHCP.</param>
    /// <param name="time">The clock.</param>
    public AddressServiceClient(HttpClient http, Func<CancellationToken, ValueTask<string?>> token, TimeSpan timeout, TimeProvider time)
    {
        http.MaxResponseContentBufferSize = MaxAnswer;
        http.Timeout = Timeout.InfiniteTimeSpan;
        _http = http;
        _token = token;
        _time = time;
        _pipeline = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.9,
                MinimumThroughput = 5,
                SamplingDuration = TimeSpan.FromSeconds(30),
                BreakDuration = BreakDuration,
                ShouldHandle = new PredicateBuilder().Handle<HttpRequestException>().Handle<TimeoutRejectedException>(),
            })
            .AddTimeout(timeout)
            .Build();
    }

    /// <inheritdoc/>
    public Task<ConfigAnswer> GetConfigAsync(CancellationToken cancellationToken) =>
        CallAsync(HttpMethod.Get, "v1/config", null, Json.ConfigAnswer, cancellationToken);

    /// <inheritdoc/>
    public Task<StatusAnswer> GetStatusAsync(CancellationToken cancellationToken) =>
        CallAsync(HttpMethod.Get, "v1/status", null, Json.StatusAnswer, cancellationToken);

    /// <inheritdoc/>
    public Task<AcquireAddressAnswer> AcquireAsync(AcquireAddressRequest request, CancellationToken cancellationToken) =>
        CallAsync(
            HttpMethod.Post, "v1/ip", JsonSerializer.SerializeToUtf8Bytes(request, Json.AcquireAddressRequest), Json.AcquireAddressAnswer, cancellationToken);

    /// <inheritdoc/>
    public Task<ReleaseAddressAnswer> ReleaseAsync(ReleaseAddressRequest request, CancellationToken cancellationToken) =>
        CallAsync(
            HttpMethod.Delete, "v1/ip", JsonSerializer.SerializeToUtf8Bytes(request, Json.ReleaseAddressRequest), Json.ReleaseAddressAnswer, cancellationToken,
            static (answer, code) => answer with { NotFound = code == HttpStatusCode.NotFound });

    /// <inheritdoc/>
    public Task<OrphansAnswer> ReportOrphansAsync(OrphansRequest request, CancellationToken cancellationToken) =>
        CallAsync(
            HttpMethod.Post, "v1/ip/orphans", JsonSerializer.SerializeToUtf8Bytes(request, Json.OrphansRequest), Json.OrphansAnswer, cancellationToken);

    /// <inheritdoc/>
    public Task<SelfTestAnswer> TestAsync(SelfTestRequest request, CancellationToken cancellationToken) =>
        CallAsync(HttpMethod.Post, "v1/selftest", JsonSerializer.SerializeToUtf8Bytes(request, Json.SelfTestRequest), Json.SelfTestAnswer, cancellationToken);

    private async Task<TAnswer> CallAsync<TAnswer>(
        HttpMethod method, string path, byte[]? body, JsonTypeInfo<TAnswer> typeInfo, CancellationToken cancellationToken,
        Func<TAnswer, HttpStatusCode, TAnswer>? complete = null)
    {
        try
        {
            return await _pipeline.ExecuteAsync(async token => await SendAsync(method, path, body, typeInfo, token, complete), cancellationToken);
        }
        catch (HttpRequestException e)
        {
            throw new AddressServiceUnavailableException($"{_http.BaseAddress}{path}: {e.Message}", e);
        }
        catch (TimeoutRejectedException e)
        {
            throw new AddressServiceUnavailableException($"{_http.BaseAddress}{path}: no answer within {e.Timeout.TotalSeconds:0} s", e) { Fault = AddressServiceFault.Timeout };
        }
        catch (BrokenCircuitException e)
        {
            throw new AddressServiceUnavailableException($"{_http.BaseAddress} failed repeatedly and is left alone for {BreakDuration.TotalSeconds:0} s", e) { Fault = AddressServiceFault.CircuitOpen };
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            throw new AddressServiceUnavailableException($"{_http.BaseAddress}{path}: the answer is not of the API: {e.Message}", e);
        }
    }

    private async Task<TAnswer> SendAsync<TAnswer>(
        HttpMethod method, string path, byte[]? body, JsonTypeInfo<TAnswer> typeInfo, CancellationToken cancellationToken,
        Func<TAnswer, HttpStatusCode, TAnswer>? complete = null)
    {
        using var request = new HttpRequestMessage(method, path);
        if (await _token(cancellationToken) is { Length: > 0 } token)
            request.Headers.Add("X-Auth-Token", token);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        }
        using var response = await _http.SendAsync(request, cancellationToken);
        // The body says what happened, whatever the code; one without a body of ours is a fault of the way there.
        byte[] answer = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        if (response.Content.Headers.ContentType?.MediaType != "application/json")
            throw new HttpRequestException($"answered {(int)response.StatusCode} without a body of the API", null, response.StatusCode);
        var read = JsonSerializer.Deserialize(answer, typeInfo) ?? throw new JsonException("null");
        return complete is null ? read : complete(read, response.StatusCode);
    }
}
