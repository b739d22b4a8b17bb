using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;

namespace DynamicLb.Controller.AddressServices;

/// <summary>
/// Deals with one address service, so that nobody else waits for it: a wish is noted, calls run beside each other up to <see cref="AddressServiceSource.Concurrency"/>, and whoever is
/// concerned by an answer is told the lease's name. Whatever is no longer wished for is given back, and asked again until it is. Thread-safe.
/// </summary>
internal sealed partial class LeaseBroker : IAsyncDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ConfigEvery = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    private readonly IAddressServiceClient _client;
    private readonly Action<NamespacedName> _changed;
    private readonly Func<bool> _mayAct;
    private readonly ILogger _logger;
    private readonly AddressServiceMetrics? _metrics;
    private readonly Lock _lock = new();
    private readonly Dictionary<LeaseId, Entry> _entries = [];
    private readonly HashSet<LeaseId> _releasing = [];
    private readonly Kubernetes.Queues.WorkQueue<LeaseId> _queue;
    private readonly CancellationTokenSource _stop = new();
    private readonly TimeProvider _time;
    private readonly Task _working;
    private long _configRead;
    private long _answers;

    public LeaseBroker(
        AddressServiceSource source, IAddressServiceClient client, Action<NamespacedName> changed, TimeProvider time, Random random, ILogger logger,
        Func<bool>? mayAct = null, AddressServiceMetrics? metrics = null)
    {
        Source = source;
        _client = metrics is null ? client : new MeteredClient(client, source.Name, metrics, time);
        _metrics = metrics;
        _changed = changed;
        _mayAct = mayAct ?? (static () => true);
        _logger = logger;
        _queue = new Kubernetes.Queues.WorkQueue<LeaseId>(time, random, FirstPause, LongestPause);
        _time = time;
        _working = Task.WhenAll(Enumerable.Range(0, source.Concurrency).Select(_ => Task.Run(() => WorkAsync(_stop.Token))).Append(Task.Run(() => WatchAsync(_stop.Token))));
    }

    /// <summary>The address service as configured. What concerns the way there does not change.</summary>
    public AddressServiceSource Source { get => Volatile.Read(ref field); set => Volatile.Write(ref field, value); }

    /// <summary>What the address service said of itself last; null before its first answer, or refusal.</summary>
    public AddressServiceView? LastSeen { get; private set; }

    /// <summary>Whether the last call reached the address service.</summary>
    public bool IsReachable { get; private set; } = true;

    /// <summary>How many wishes were answered. Thread-safe.</summary>
    public long Answers
    {
        get { lock (_lock) return _answers; }
    }

    /// <summary>How many leases stand where.</summary>
    public IReadOnlyList<(LeasePhase Phase, int Count)> CountPhases()
    {
        lock (_lock)
            return [.. Enum.GetValues<LeasePhase>().Select(phase => (phase, _entries.Values.Count(entry => entry.View.Phase == phase)))];
    }

    /// <summary>Notes that a lease is wanted, and says where it stands. The same wish again asks nothing new.</summary>
    /// <param name="lease">The lease.</param>
    /// <param name="uid">UID of what it is for. Another one than before is another wish.</param>
    /// <param name="asked">The address to ask for; null for any, or for what was asked before.</param>
    /// <param name="held">The address it is as far as its Services know, to be asked for where none is; not part of the wish.</param>
    public LeaseView Want(LeaseId lease, string? uid, IPAddress? asked, IPAddress? held = null)
    {
        lock (_lock)
        {
            _releasing.Remove(lease);
            if (_entries.TryGetValue(lease, out var entry) && entry.Uid == uid && (asked is null || asked.Equals(entry.Asked)))
                return entry.View;
            entry = new Entry(uid, asked, held, LeaseView.Pending);
            _entries[lease] = entry;
            _queue.Forget(lease);
            _queue.Add(lease);
            return entry.View;
        }
    }

    /// <summary>Notes that a lease is not wanted any more: it is given back.</summary>
    public void Release(LeaseId lease)
    {
        lock (_lock)
        {
            if (!_entries.Remove(lease))
                return;
            _releasing.Add(lease);
            _queue.Forget(lease);
            _queue.Add(lease);
        }
    }

    /// <summary>Notes that the leases of a name are not wanted any more.</summary>
    public void Release(NamespacedName name)
    {
        Release(new LeaseId(name, AddressFamily.InterNetwork));
        Release(new LeaseId(name, AddressFamily.InterNetworkV6));
    }

    /// <summary>Asks for a lease again, whose end has passed without a word.</summary>
    public void AskAgain(LeaseId lease)
    {
        lock (_lock)
        {
            if (_entries.ContainsKey(lease))
                _queue.Add(lease);
        }
    }

    /// <summary>Gives back a lease that nobody owns.</summary>
    public void ReleaseOrphan(LeaseId lease)
    {
        lock (_lock)
        {
            if (_entries.ContainsKey(lease) || !_releasing.Add(lease))
                return;
            _queue.Add(lease);
        }
    }

    /// <summary>Takes up what the address service says of its leases: renewed, changed or lost since we asked. The leases that nobody here asked for.</summary>
    /// <param name="status">What it says.</param>
    /// <param name="asOf"><see cref="Answers"/> before it was asked: of a lease that was answered for since then, it may know less than we do.</param>
    public IReadOnlyList<LeaseId> Observe(StatusAnswer status, long asOf)
    {
        var orphans = new List<LeaseId>();
        var seen = new HashSet<LeaseId>();
        var changed = new HashSet<NamespacedName>();
        lock (_lock)
        {
            foreach (var lease in status.Allocations)
            {
                // One that is being given back already is nobody's, and not for us to give back.
                if (lease.State is "releasing" or "retained" || !NamespacedName.TryParse(lease.Service, out var name))
                    continue;
                var id = new LeaseId(name, FamilyOf(lease.Family));
                seen.Add(id);
                if (!_entries.TryGetValue(id, out var entry))
                {
                    // We always give a UID: a lease without one was asked for by somebody else, such as a person.
                    if (lease.Uid is not null && !_releasing.Contains(id))
                        orphans.Add(id);
                    continue;
                }
                if (entry.AnsweredAs > asOf)
                    continue;
                // It looks ownerless from there: asking for it again says that it is not.
                if (lease.OrphanedSince is not null)
                    _queue.Add(id);
                if (entry.View.Phase == LeasePhase.Leased && Set_NeedsLock(id, entry, ViewOf(lease.Ip, lease.ValidUntil, lease.LastError ?? lease.State, OwnMac(lease.Mac, lease.SharesMac))))
                    changed.Add(name);
            }
            // A lease of ours that the address service does not know (its store was lost): ask again.
            foreach (var (id, entry) in _entries)
            {
                if (entry.View.Phase == LeasePhase.Leased && entry.AnsweredAs <= asOf && !seen.Contains(id))
                    _queue.Add(id);
            }
        }
        foreach (var name in changed)
            _changed(name);
        return orphans;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _working;
        _queue.Dispose();
        _stop.Dispose();
    }

    private async Task WorkAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            LeaseId lease;
            try
            {
                lease = await _queue.GetAsync(cancellationToken);
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
                    entry = _entries.GetValueOrDefault(lease);
                    releasing = _releasing.Contains(lease);
                }
                if (!_mayAct())
                    _queue.AddRateLimited(lease);
                else if (entry is not null)
                    await AcquireAsync(lease, entry, cancellationToken);
                else if (releasing)
                    await ReleaseAsync(lease, cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // Whatever it is, it must not end the work on the others.
                LogFaulted(_logger, Source.Name, lease.ToString(), e);
                _queue.AddRateLimited(lease);
            }
            finally
            {
                _queue.Done(lease);
            }
        }
    }

    private static AddressFamily FamilyOf(string? family) => family == AddressFamilies.IPv6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork;

    /// <summary>What the address service says of a lease that was one; when it is none any more, it is lost.</summary>
    private LeaseView ViewOf(string? ip, DateTimeOffset? validUntil, string cause, string? mac) =>
        !IPAddress.TryParse(ip, out var address) ? LeaseView.Lost($"the lease was lost: {cause}")
        : RefusalOf(address) is { } refusal ? LeaseView.Lost(refusal)
        : LeaseView.Leased(address, validUntil, mac);

    private static string? OwnMac(string? mac, bool? isShared) => isShared == true || string.IsNullOrEmpty(mac) ? null : mac;

    /// <summary>Whether it is news.</summary>
    private bool Set_NeedsLock(LeaseId lease, Entry entry, LeaseView view)
    {
        if (view == entry.View)
            return false;
        _entries[lease] = entry with { View = view };
        if (view.Phase == LeasePhase.Lost)
            _queue.Add(lease);
        return true;
    }

    private string? RefusalOf(IPAddress address) =>
        Source.MayContain(address) ? null : $"leased {address}, which is outside the configured cidrs of \"{Source.Name}\"";

    private sealed record Entry(string? Uid, IPAddress? Asked, IPAddress? Held, LeaseView View)
    {
        /// <summary>The number of the answer that it stands by; 0 before the first.</summary>
        public long AnsweredAs { get; init; }
    }

    [LoggerMessage(4, LogLevel.Error, "{AddressService}: the call for {Service} failed, next try follows")]
    private static partial void LogFaulted(ILogger logger, string addressService, string service, Exception exception);
}
