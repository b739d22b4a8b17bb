using System.Net;
using System.Threading.Channels;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;

namespace DynamicLb.Controller.AddressServices;

/// <summary>What a Service has from an address service.</summary>
internal enum LeasePhase
{
    /// <summary>Asked for; no answer yet.</summary>
    Pending = 0,

    /// <summary>Leased.</summary>
    Leased,

    /// <summary>The last try failed; another follows.</summary>
    Failed,
}

/// <summary>Where a Service's lease stands. Immutable.</summary>
/// <param name="Phase">The phase.</param>
/// <param name="Address">The leased address, in <see cref="LeasePhase.Leased"/>.</param>
/// <param name="ValidUntil">When it ends unless renewed; null for never.</param>
/// <param name="Cause">Why the last try failed, in <see cref="LeasePhase.Failed"/>.</param>
internal sealed record LeaseView(LeasePhase Phase, IPAddress? Address, DateTimeOffset? ValidUntil, string? Cause);

/// <summary>What an address service says of itself. Immutable.</summary>
/// <param name="Cidrs">Networks that it leases from; null when it has not said.</param>
/// <param name="Leased">Leases that it holds.</param>
/// <param name="FreeMacs">MACs of its list that are free.</param>
/// <param name="Error">What went wrong last; null when nothing did.</param>
internal sealed record AddressServiceView(IReadOnlyList<string>? Cidrs, long? Leased, long? FreeMacs, string? Error);

/// <summary>
/// Deals with one address service, so that nobody else waits for it: a Service's wish is noted, calls run beside each other up to <see cref="Concurrency"/>, and whoever is
/// concerned by an answer is told its key. Whatever is no longer wished for is given back, and asked again until it is. Thread-safe.
/// </summary>
internal sealed partial class LeaseBroker : IAsyncDisposable
{
    /// <summary>Calls to one address service at a time.</summary>
    public const int Concurrency = 32;

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ConfigEvery = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    private readonly AddressServiceSource _source;
    private readonly IAddressServiceClient _client;
    private readonly Action<NamespacedName> _changed;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Dictionary<NamespacedName, Entry> _entries = [];
    private readonly HashSet<NamespacedName> _releasing = [];
    private readonly Kubernetes.Queues.WorkQueue<NamespacedName> _queue;
    private readonly CancellationTokenSource _stop = new();
    private readonly TimeProvider _time;
    private readonly Task _working;
    private long _configRead;

    public LeaseBroker(
        AddressServiceSource source, IAddressServiceClient client, Action<NamespacedName> changed, TimeProvider time, Random random, ILogger logger)
    {
        _source = source;
        _client = client;
        _changed = changed;
        _logger = logger;
        _queue = new Kubernetes.Queues.WorkQueue<NamespacedName>(time, random, FirstPause, LongestPause);
        _time = time;
        _working = Task.WhenAll(Enumerable.Range(0, Concurrency).Select(_ => Task.Run(() => WorkAsync(_stop.Token))).Append(Task.Run(() => WatchAsync(_stop.Token))));
    }

    /// <summary>The address service as configured.</summary>
    public AddressServiceSource Source => _source;

    /// <summary>What the address service said of itself last; null before its first answer, or refusal.</summary>
    public AddressServiceView? LastSeen { get; private set; }

    /// <summary>Whether the last call reached the address service.</summary>
    public bool IsReachable { get; private set; } = true;

    /// <summary>Notes that a Service wants a lease, and says where it stands. The same wish again asks nothing new.</summary>
    /// <param name="service">The Service.</param>
    /// <param name="uid">Its UID.</param>
    /// <param name="asked">The address it asks for, or null.</param>
    /// <param name="held">The address it has, to be asked for where it asks for none; not part of the wish.</param>
    public LeaseView Want(NamespacedName service, string? uid, IPAddress? asked, IPAddress? held = null)
    {
        lock (_lock)
        {
            _releasing.Remove(service);
            if (_entries.TryGetValue(service, out var entry) && entry.Uid == uid && Equals(entry.Asked, asked))
                return entry.View;
            entry = new Entry(uid, asked, held, new LeaseView(LeasePhase.Pending, null, null, null));
            _entries[service] = entry;
            _queue.Forget(service);
            _queue.Add(service);
            return entry.View;
        }
    }

    /// <summary>Notes that a Service wants nothing any more: what it has is given back.</summary>
    public void Release(NamespacedName service)
    {
        lock (_lock)
        {
            if (!_entries.Remove(service))
                return;
            _releasing.Add(service);
            _queue.Forget(service);
            _queue.Add(service);
        }
    }

    /// <summary>Whether a Service has, or asks for, a lease here.</summary>
    public bool Serves(NamespacedName service)
    {
        lock (_lock)
            return _entries.ContainsKey(service);
    }

    /// <summary>Gives back a lease that nobody owns.</summary>
    public void ReleaseOrphan(NamespacedName service)
    {
        lock (_lock)
        {
            if (_entries.ContainsKey(service) || !_releasing.Add(service))
                return;
            _queue.Add(service);
        }
    }

    /// <summary>Takes up what the address service says of its leases: renewed, changed or lost since we asked. The leases that no Service here asked for.</summary>
    public IReadOnlyList<NamespacedName> Observe(StatusAnswer status)
    {
        var orphans = new List<NamespacedName>();
        var seen = new HashSet<NamespacedName>();
        foreach (var lease in status.Allocations)
        {
            // One that is being given back already is nobody's, and not for us to give back.
            if (lease.State is "releasing" or "retained" || !NamespacedName.TryParse(lease.Service, out var service))
                continue;
            // Only IPv4 is asked for; one of the other family that somebody else asked for is not the Service's address.
            if (lease.Family == AddressFamilies.IPv6 && Serves(service))
                continue;
            seen.Add(service);
            lock (_lock)
            {
                if (!_entries.TryGetValue(service, out var entry))
                {
                    // We always give a UID: a lease without one was asked for by somebody else, such as a person.
                    if (lease.Uid is not null && !_releasing.Contains(service))
                        orphans.Add(service);
                    continue;
                }
                // It looks ownerless from there: asking for it again says that it is not.
                if (lease.OrphanedSince is not null)
                    _queue.Add(service);
                if (entry.View.Phase != LeasePhase.Leased)
                    continue;
                var view = IPAddress.TryParse(lease.Ip, out var address) && RefusalOf(address) is null
                    ? new LeaseView(LeasePhase.Leased, address, lease.ValidUntil, null)
                    : new LeaseView(LeasePhase.Failed, null, null, $"the lease was lost: {lease.LastError ?? lease.State}");
                if (view == entry.View)
                    continue;
                _entries[service] = entry with { View = view };
                if (view.Phase == LeasePhase.Failed)
                    _queue.Add(service);
            }
            _changed(service);
        }
        lock (_lock)
        {
            // A lease of ours that the address service does not know (its store was lost): ask again.
            foreach (var (service, entry) in _entries)
            {
                if (entry.View.Phase == LeasePhase.Leased && !seen.Contains(service))
                    _queue.Add(service);
            }
        }
        return orphans;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _working;
        _queue.Dispose();
        _stop.Dispose();
    }

    /// <summary>Reads the status once; null when the service cannot be reached.</summary>
    public async Task<StatusAnswer?> ReadStatusAsync(CancellationToken cancellationToken)
    {
        try
        {
            var status = await _client.GetStatusAsync(cancellationToken);
            IsReachable = true;
            LastSeen = new AddressServiceView(
                await ReadCidrsAsync(cancellationToken) ?? LastSeen?.Cidrs, status.Allocations.Count, status.AvailableMacs.Count,
                status.Allocations.Select(static lease => lease.LastError).FirstOrDefault(static error => error is not null));
            return status.Status == AnswerStatus.Success ? status : null;
        }
        catch (AddressServiceUnavailableException e)
        {
            IsReachable = false;
            LastSeen = new AddressServiceView(LastSeen?.Cidrs, LastSeen?.Leased, LastSeen?.FreeMacs, e.Message);
            LogUnreachable(_logger, _source.Name, e.Message);
            return null;
        }
    }

    /// <summary>The networks it says it leases from; null when it is not time to ask, or it does not say.</summary>
    private async Task<IReadOnlyList<string>?> ReadCidrsAsync(CancellationToken cancellationToken)
    {
        if (LastSeen is not null && _time.GetElapsedTime(_configRead) < ConfigEvery)
            return null;
        _configRead = _time.GetTimestamp();
        try
        {
            return (await _client.GetConfigAsync(cancellationToken)).Cidrs;
        }
        catch (AddressServiceUnavailableException)
        {
            return null;
        }
    }

    /// <summary>Has leases listed as ownerless, for an operator to decide on.</summary>
    public async Task ReportOrphansAsync(IReadOnlyCollection<NamespacedName> services, CancellationToken cancellationToken)
    {
        try
        {
            var answer = await _client.ReportOrphansAsync(new OrphansRequest([.. services.Select(static s => s.ToString())]), cancellationToken);
            if (answer.Status != AnswerStatus.Success)
                LogNotReported(_logger, _source.Name, answer.Detail ?? answer.Status);
        }
        catch (AddressServiceUnavailableException e)
        {
            LogNotReported(_logger, _source.Name, e.Message);
        }
    }

    private async Task WorkAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            NamespacedName service;
            try
            {
                service = await _queue.GetAsync(cancellationToken);
            }
            catch (Exception e) when (e is OperationCanceledException or ChannelClosedException)
            {
                return;
            }
            try
            {
                Entry? entry;
                bool releasing;
                lock (_lock)
                {
                    entry = _entries.GetValueOrDefault(service);
                    releasing = _releasing.Contains(service);
                }
                if (entry is not null)
                    await AcquireAsync(service, entry, cancellationToken);
                else if (releasing)
                    await ReleaseAsync(service, cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // Whatever it is, it must not end the work on the others.
                LogFaulted(_logger, _source.Name, service.ToString(), e);
                _queue.AddRateLimited(service);
            }
            finally
            {
                _queue.Done(service);
            }
        }
    }

    private async Task AcquireAsync(NamespacedName service, Entry entry, CancellationToken cancellationToken)
    {
        LeaseView view;
        try
        {
            var answer = await _client.AcquireAsync(
                new AcquireAddressRequest(service.ToString(), entry.Uid, (entry.Asked ?? entry.Held)?.ToString(), Held: entry.Held?.ToString()), cancellationToken);
            IsReachable = true;
            view = ViewOf(answer);
        }
        catch (AddressServiceUnavailableException e)
        {
            IsReachable = false;
            view = new LeaseView(LeasePhase.Failed, null, null, e.Message);
        }
        lock (_lock)
        {
            // The wish may have changed meanwhile; then it is in the queue again.
            if (!_entries.TryGetValue(service, out var current) || current.Uid != entry.Uid || !Equals(current.Asked, entry.Asked))
                return;
            if (view.Phase == LeasePhase.Leased)
            {
                _queue.Forget(service);
            }
            else
            {
                // A lease that we know of goes on while it cannot be confirmed.
                _queue.AddRateLimited(service);
                if (current.View.Phase == LeasePhase.Leased)
                    return;
            }
            if (current.View == view)
                return;
            _entries[service] = current with { View = view };
        }
        _changed(service);
    }

    private LeaseView ViewOf(AcquireAddressAnswer answer)
    {
        if (answer.Status != AnswerStatus.Success)
            return new LeaseView(LeasePhase.Failed, null, null, answer.Detail ?? answer.Status);
        if (!IPAddress.TryParse(answer.Ip, out var address))
            return new LeaseView(LeasePhase.Failed, null, null, $"answered with \"{answer.Ip}\", which is not an address");
        return RefusalOf(address) is { } refusal
            ? new LeaseView(LeasePhase.Failed, null, null, refusal)
            : new LeaseView(LeasePhase.Leased, address, answer.ValidUntil, null);
    }

    private string? RefusalOf(IPAddress address) =>
        _source.MayContain(address) ? null : $"leased {address}, which is outside the configured cidrs of \"{_source.Name}\"";

    private async Task ReleaseAsync(NamespacedName service, CancellationToken cancellationToken)
    {
        try
        {
            var answer = await _client.ReleaseAsync(new ReleaseAddressRequest(Service: service.ToString()), cancellationToken);
            IsReachable = true;
            if (answer.Status != AnswerStatus.Success && !answer.NotFound)
            {
                LogNotReleased(_logger, _source.Name, service.ToString(), answer.Detail ?? answer.Status);
                _queue.AddRateLimited(service);
                return;
            }
            LogReleased(_logger, _source.Name, service.ToString(), answer.Ip, answer.Detail ?? answer.Status);
            lock (_lock)
                _releasing.Remove(service);
            _queue.Forget(service);
        }
        catch (AddressServiceUnavailableException e)
        {
            IsReachable = false;
            LogNotReleased(_logger, _source.Name, service.ToString(), e.Message);
            _queue.AddRateLimited(service);
        }
    }

    private sealed record Entry(string? Uid, IPAddress? Asked, IPAddress? Held, LeaseView View);

    [LoggerMessage(1, LogLevel.Information, "{AddressService}: the lease of {Service} was given back: {Address} {Detail}")]
    private static partial void LogReleased(ILogger logger, string addressService, string service, string address, string detail);

    [LoggerMessage(2, LogLevel.Warning, "{AddressService}: the lease of {Service} could not be given back, next try follows: {Cause}")]
    private static partial void LogNotReleased(ILogger logger, string addressService, string service, string cause);

    [LoggerMessage(4, LogLevel.Error, "{AddressService}: the call for {Service} failed, next try follows")]
    private static partial void LogFaulted(ILogger logger, string addressService, string service, Exception exception);

    [LoggerMessage(5, LogLevel.Warning, "{AddressService}: the leases without an owner could not be reported: {Cause}")]
    private static partial void LogNotReported(ILogger logger, string addressService, string cause);

    [LoggerMessage(3, LogLevel.Warning, "{AddressService} cannot be reached: {Cause}")]
    private static partial void LogUnreachable(ILogger logger, string addressService, string cause);
}
