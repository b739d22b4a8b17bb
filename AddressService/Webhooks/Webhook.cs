using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.AddressService.Journal;
using DynamicLb.AddressService.Metrics;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Webhooks;

/// <summary>
/// Sends events to one receiver, one after the other, so that it sees them in order. Whoever does not take them in time loses them: they are counted,
/// and nobody else waits.
/// </summary>
internal sealed partial class Webhook(WebhookOptions options, HttpMessageInvoker http, TimeProvider time, LeaseMetrics metrics, ILogger logger) : ILeaseEventSink
{
    /// <summary>Events that wait; more are dropped.</summary>
    public const int QueueLength = 1024;

    /// <summary>Tries for one event: about two minutes.</summary>
    public const int Attempts = 8;

    /// <summary>How long it goes on sending what waits when the program stops.</summary>
    public static readonly TimeSpan LastCalls = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan LastPause = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan LongestCall = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(60);

    private readonly Channel<LeaseEvent> _queue = Channel.CreateBounded<LeaseEvent>(new BoundedChannelOptions(QueueLength) { SingleReader = true });

    public void Offer(LeaseEvent happened)
    {
        if (options.Events.Contains(happened.Type) && !_queue.Writer.TryWrite(happened))
            metrics.Webhook("dropped");
    }

    /// <summary>Sends until it is stopped, and for a moment more what waits then; the rest is lost, and counted.</summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        using var end = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        await using var stop = stopping.UnsafeRegister(
            _ =>
            {
                _queue.Writer.TryComplete();
                end.CancelAfter(LastCalls);
            },
            null);
        int lost = 0;
        // What is in the queue at the end is taken out one by one and counted.
        await foreach (var happened in _queue.Reader.ReadAllAsync(CancellationToken.None))
        {
            string outcome = end.IsCancellationRequested ? "dropped" : await DeliverAsync(happened, stopping, end.Token);
            lost += outcome == "dropped" ? 1 : 0;
            metrics.Webhook(outcome);
        }
        if (lost > 0)
            Log.Lost(logger, lost, options.Name);
    }

    private async Task<string> DeliverAsync(LeaseEvent happened, CancellationToken stopping, CancellationToken end)
    {
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(happened, AddressServiceJsonContext.Default.LeaseEvent);
        var pause = TimeSpan.FromSeconds(1);
        for (int attempt = 1; ; attempt++)
        {
            var (code, fault) = await SendAsync(body, happened, end);
            if (end.IsCancellationRequested && code is null)
                return "dropped";
            if (code is >= HttpStatusCode.OK and < HttpStatusCode.MultipleChoices)
                return "delivered";
            // What it refuses now it refuses again, unless it says that it is busy.
            bool isFinal = code is >= HttpStatusCode.MultipleChoices and < HttpStatusCode.InternalServerError
                and not (HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests);
            if (isFinal || attempt == Attempts)
            {
                Log.NotDelivered(logger, happened.Id, options.Name, fault, attempt);
                return isFinal ? "refused" : "failed";
            }
            if (!await PauseAsync(pause, stopping, end))
                return "dropped";
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }
    }

    /// <returns>Whether there is time for another try.</returns>
    private async Task<bool> PauseAsync(TimeSpan pause, CancellationToken stopping, CancellationToken end)
    {
        bool wasStopping = stopping.IsCancellationRequested;
        await Task.Delay(wasStopping ? LastPause : pause, time, wasStopping ? end : stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return !end.IsCancellationRequested;
    }

    private async Task<(HttpStatusCode? Code, string Fault)> SendAsync(byte[] body, LeaseEvent happened, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(LongestCall, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, options.Url) { Content = new ByteArrayContent(body) };
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            request.Headers.Add("X-DynamicLb-Event", happened.Type);
            request.Headers.Add("X-DynamicLb-Event-Id", happened.Id);
            // Read each time: a rotated secret takes effect with the next event.
            byte[] signature = HMACSHA256.HashData(WebhookSecret.Read(options.SecretFile), body);
            request.Headers.Add("X-DynamicLb-Signature", $"sha256={Convert.ToHexStringLower(signature)}");
            using var response = await http.SendAsync(request, either.Token);
            return (response.StatusCode, $"it answered {(int)response.StatusCode}");
        }
        catch (OperationCanceledException)
        {
            return (null, $"no answer within {LongestCall.TotalSeconds:0} s");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or UnauthorizedAccessException)
        {
            return (null, e.Message);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} events for {Webhook} were lost: it did not take them before the end")]
        public static partial void Lost(ILogger logger, int count, string webhook);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Event {Id} was not delivered to {Webhook}: {Reason} (try {Attempt})")]
        public static partial void NotDelivered(ILogger logger, string id, string webhook, string reason, int attempt);
    }
}
