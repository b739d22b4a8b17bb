using System.IO.Pipelines;
using System.Threading.Channels;
using DynamicLb.AddressService.Journal;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Security;
using DynamicLb.Contracts.AddressServices;
using Microsoft.AspNetCore.Mvc;

namespace DynamicLb.AddressService.Endpoints;

/// <summary><c>GET /v1/leases/watch</c>: the journal as server-sent events.</summary>
internal static class LeaseWatch
{
    private const string RetryAfterSeconds = "5";
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan OverviewEvery = TimeSpan.FromSeconds(5);

    public static async Task RunAsync(
        [FromHeader(Name = "Last-Event-ID")] string? lastEventId, [FromQuery] string? overview, HttpContext context, LeaseLoop loop, Authenticator authenticator,
        TimeProvider time, IHostApplicationLifetime lifetime)
    {
        var watcher = new LeaseWatcher(context.Caller().Covers);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.ApplicationStopping);
        try
        {
            var start = await loop.InvokeAsync(keeper => keeper.Watch(watcher, lastEventId), either.Token);
            if (start is null)
            {
                context.Response.Headers.RetryAfter = RetryAfterSeconds;
                await Errors.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "too many readers watch already");
                return;
            }
            context.Response.ContentType = "text/event-stream";
            context.Response.Headers.CacheControl = "no-store";
            context.Response.Headers["X-Accel-Buffering"] = "no";
            var pumping = PumpAsync(context.Response.BodyWriter, start, lastEventId, overview == "true" ? loop : null, watcher, time, either.Token);
            var revoked = authenticator.WaitUntilRevokedAsync(context, either.Token);
            var first = await Task.WhenAny(pumping, watcher.Cut, revoked);
            // A write to a reader that has stopped reading hangs: only ending the connection ends it.
            if (first == watcher.Cut)
                context.Abort();
            else if (first == revoked)
                await either.CancelAsync();
            await pumping;
        }
        catch (Exception e) when (e is OperationCanceledException or ChannelClosedException or IOException)
        {
            // The reader or we ourselves end; it comes back with the id of the last event it saw.
        }
        finally
        {
            await either.CancelAsync();
            await UnwatchAsync(loop, watcher, lifetime.ApplicationStopping);
        }
    }

    private static async Task PumpAsync(
        PipeWriter output, WatchStart start, string? lastEventId, LeaseLoop? loop, LeaseWatcher watcher, TimeProvider time, CancellationToken cancellationToken)
    {
        const int FlushEvery = 64 * 1024;
        Write(output, ServerSentEvent.Retry);
        foreach (byte[] message in Beginning(start, lastEventId))
        {
            Write(output, message);
            if (output.UnflushedBytes > FlushEvery && (await output.FlushAsync(cancellationToken)).IsCompleted)
                return;
        }
        using var timer = new PeriodicTimer(loop is null ? Heartbeat : OverviewEvery, time);
        var ticking = timer.WaitForNextTickAsync(cancellationToken).AsTask();
        var reading = watcher.Events.WaitToReadAsync(cancellationToken).AsTask();
        bool isDue = loop is not null;
        while (true)
        {
            while (watcher.Events.TryRead(out byte[]? message))
                Write(output, message);
            if (reading.IsCompleted)
                reading = watcher.Events.WaitToReadAsync(cancellationToken).AsTask();
            if (isDue)
                Write(output, loop is null ? ServerSentEvent.Heartbeat : await OverviewAsync(loop, cancellationToken));
            if ((await output.FlushAsync(cancellationToken)).IsCompleted)
                return;
            await Task.WhenAny(ticking, reading);
            isDue = ticking.IsCompleted;
            if (isDue)
            {
                await ticking;
                ticking = timer.WaitForNextTickAsync(cancellationToken).AsTask();
            }
            if (reading.IsCompleted && !await reading)
                return;
        }
    }

    private static IEnumerable<byte[]> Beginning(WatchStart start, string? lastEventId)
    {
        var json = AddressServiceJsonContext.Default;
        if (start.Missed is not null)
        {
            foreach (var happened in start.Missed)
                yield return ServerSentEvent.Encode(happened);
        }
        else
        {
            string reason = string.IsNullOrEmpty(lastEventId) ? "no Last-Event-ID" : "the events after Last-Event-ID are not known any more";
            // The empty id makes a reader whom we lose during the snapshot begin anew.
            yield return ServerSentEvent.Encode(LeaseEventType.Reset, new LeaseReset(reason, start.Snapshot.Count), json.LeaseReset, "");
            foreach (var lease in start.Snapshot)
                yield return ServerSentEvent.Encode(LeaseEventType.Snapshot, lease, json.LeaseAnswer);
        }
        yield return ServerSentEvent.Encode(LeaseEventType.Synced, new LeaseSynced(start.Position), json.LeaseSynced, start.Position);
    }

    private static async Task<byte[]> OverviewAsync(LeaseLoop loop, CancellationToken cancellationToken)
    {
        try
        {
            var overview = await loop.InvokeAsync(keeper => keeper.Overview(), cancellationToken);
            return ServerSentEvent.Encode(LeaseEventType.Overview, overview, AddressServiceJsonContext.Default.OverviewAnswer);
        }
        catch (LoopBusyException)
        {
            // The next one tells as much.
            return ServerSentEvent.Heartbeat;
        }
    }

    private static async Task UnwatchAsync(LeaseLoop loop, LeaseWatcher watcher, CancellationToken stopping)
    {
        try
        {
            await loop.InvokePatientlyAsync(
                keeper =>
                {
                    keeper.Journal.Unwatch(watcher);
                    return true;
                },
                stopping);
        }
        catch (Exception e) when (e is OperationCanceledException or ChannelClosedException)
        {
            // The loop ends, and the watcher with it.
        }
    }

    private static void Write(PipeWriter output, byte[] message)
    {
        message.CopyTo(output.GetSpan(message.Length));
        output.Advance(message.Length);
    }
}
