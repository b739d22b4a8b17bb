using DynamicLb.Contracts.AddressServices;
using DynamicLb.Kubernetes;

namespace DynamicLb.Controller.AddressServices;

/// <summary>
/// Listens to the address service, so that a lost or changed address is known at that moment and not at the next poll. The poll goes on: it finds what
/// no event tells, and all there is with an address service that has no events.
/// </summary>
internal sealed partial class LeaseBroker
{
    private static readonly TimeSpan WatchAgainAfter = TimeSpan.FromSeconds(30);

    private async Task WatchAsync(CancellationToken cancellationToken)
    {
        var missed = new Dictionary<(string, string?), LeaseEvent>();
        while (true)
        {
            try
            {
                await foreach (var told in _client.WatchLeasesAsync(null, cancellationToken))
                {
                    if (told is { IsLive: true, Event: { } happened })
                        Take(happened);
                    // What was missed counts by its end: a loss long made good must not withdraw an address.
                    else if (told.Event is { } earlier)
                        missed[(earlier.Service, earlier.Family)] = earlier;
                    if (told.Type != LeaseEventType.Synced)
                        continue;
                    foreach (var last in missed.Values)
                        Take(last);
                    missed.Clear();
                }
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // Refused, or without a token yet: the poll tells of it, too.
                LogNotWatched(_logger, Source.Name, e.Message);
            }
            try
            {
                await Task.Delay(WatchAgainAfter, _time, cancellationToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private void Take(LeaseEvent happened)
    {
        if (!NamespacedName.TryParse(happened.Service, out var name))
            return;
        var lease = new LeaseId(name, FamilyOf(happened.Family));
        lock (_lock)
        {
            if (!_entries.TryGetValue(lease, out var entry) || entry.View.Phase != LeasePhase.Leased)
                return;
            var view = happened.Type switch
            {
                LeaseEventType.Lost or LeaseEventType.Releasing or LeaseEventType.Released => LeaseView.Lost($"the lease was lost: {happened.Detail ?? happened.Type}"),
                LeaseEventType.Bound or LeaseEventType.Renewed or LeaseEventType.Changed or LeaseEventType.Recovered => ViewOf(happened.Ip, happened.ValidUntil, happened.Type, entry.View.Mac),
                _ => entry.View,
            };
            if (!Set_NeedsLock(lease, entry, view))
                return;
        }
        _changed(name);
    }

    [LoggerMessage(5, LogLevel.Debug, "{AddressService} cannot be listened to, it is only polled: {Cause}")]
    private static partial void LogNotWatched(ILogger logger, string addressService, string cause);
}
