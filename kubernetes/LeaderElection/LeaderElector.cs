using System.Net;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Kubernetes.LeaderElection;

/// <summary>Timings and names of a leader election.</summary>
/// <param name="Namespace">Namespace of the Lease.</param>
/// <param name="Name">Name of the Lease.</param>
/// <param name="Identity">Who we are: unique among the candidates.</param>
public sealed record LeaderElectionOptions(string Namespace, string Name, string Identity)
{
    /// <summary>How long a claim holds without renewal.</summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long the leader goes on without a successful renewal; shorter than <see cref="LeaseDuration"/>, so that it ends before another begins.</summary>
    public TimeSpan RenewDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Pause between renewals, and between looks at another's claim.</summary>
    public TimeSpan RetryPeriod { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Go on leading, unconfirmed, while the server cannot be reached, until it says that another leads or we were paused. For work that two may do at
    /// once without harm, and that must not end with the server.
    /// </summary>
    public bool HoldWhileUnreachable { get; init; }
}

/// <summary>What a candidate may count on at one moment.</summary>
public enum LeaderClaim
{
    /// <summary>Does not lead.</summary>
    None = 0,

    /// <summary>Led when the server was last heard, and was awake since; another may have taken over.</summary>
    Unconfirmed,

    /// <summary>Leads: nobody else can.</summary>
    Confirmed,
}

/// <summary>
/// Lets one of several candidates lead at a time, by a Lease (coordination.k8s.io/v1). Another's claim is timed from when we saw it change, by our own
/// monotonic clock, so differing wall clocks do no harm.
/// </summary>
public sealed partial class LeaderElector
{
    private readonly IKubernetesClient _client;
    private readonly LeaderElectionOptions _options;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly ILogger _logger;
    private string? _observedVersion;
    private long _observedAt;
    private volatile bool _isLeader;
    private volatile bool _claims;
    private volatile string? _holder;
    private volatile int _term;
    private volatile bool _hasTakenOver;
    private readonly TaskCompletionSource _attempted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _leadsSince;
    private long _renewedAt;
    private long _triedAt;

    /// <summary>Creates a candidate.</summary>
    public LeaderElector(IKubernetesClient client, LeaderElectionOptions options, TimeProvider time, Random random, ILogger logger)
    {
        _client = client;
        _options = options;
        _time = time;
        _random = random;
        _logger = logger;
    }

    /// <summary>Whether we lead now.</summary>
    public bool IsLeader => _isLeader;

    /// <summary>
    /// How good our claim is at this moment, by the time provider's timestamps: after a pause of the process it is <see cref="LeaderClaim.None"/> at once,
    /// before anything else has run. Holds until the work has ended. Thread-safe.
    /// </summary>
    public LeaderClaim Claimed => ClaimedAt(_time.GetTimestamp());

    /// <summary>Who leads as far as we saw; null or empty when nobody does.</summary>
    public string? Holder => _holder;

    /// <summary>Timestamp of the moment from which nobody else leads; 0 before.</summary>
    public long LeadsSince => Volatile.Read(ref _leadsSince);

    /// <summary>Whether the claim of a leader who had not given it up ran out for ours: it may be paused, and not know yet.</summary>
    public bool HasTakenOver => _hasTakenOver;

    /// <summary>Completes when it was tried for the first time to lead.</summary>
    public Task FirstAttempt => _attempted.Task;

    /// <summary>Rises whenever the Lease passes to another candidate.</summary>
    public int Term => _term;

    /// <summary>
    /// Waits for leadership, runs <paramref name="lead"/>, and starts over when leadership is lost. The token given to <paramref name="lead"/> is cancelled
    /// before the claim can have expired. On cancellation the claim is given up, so that another need not wait.
    /// </summary>
    public async Task RunAsync(Func<CancellationToken, Task> lead, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            if (await AcquireAsync(cancellationToken) is not { } claim)
                return;
            LogLeading(_logger, _options.Identity);
            using var leading = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            Confirm(claim.Lease, claim.SentAt);
            Volatile.Write(ref _triedAt, claim.SentAt);
            _claims = _isLeader = true;
            Volatile.Write(ref _leadsSince, _time.GetTimestamp());
            _attempted.TrySetResult();
            var work = lead(leading.Token);
            var lease = await RenewUntilLostAsync(claim, work, cancellationToken);
            _isLeader = false;
            _claims = lease is not null;
            await leading.CancelAsync();
            LogStopped(_logger, _options.Identity);
            try
            {
                await work;
            }
            catch (OperationCanceledException) when (leading.IsCancellationRequested)
            {
            }
            finally
            {
                _claims = false;
                if (lease is not null)
                    await GiveUpAsync(lease);
            }
        }
    }

    /// <summary>The claim, and when it was sent: others count its duration from some moment after that, never before.</summary>
    private async Task<Held?> AcquireAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                // A claim whose answer comes late is worth nothing: it may have run out by then.
                using var deadline = new CancellationTokenSource(_options.RenewDeadline, _time);
                using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
                if (await TryTakeAsync(linked.Token) is { } held)
                    return held;
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e) when (IsTransient(e) || e is OperationCanceledException)
            {
                LogFailed(_logger, _options.Name, e.Message);
            }
            _attempted.TrySetResult();
            await PauseAsync(cancellationToken);
        }
        return null;
    }

    private async Task<Held?> TryTakeAsync(CancellationToken cancellationToken)
    {
        Lease current;
        long sentAt;
        try
        {
            current = await _client.GetAsync(ResourceTypes.Leases, _options.Namespace, _options.Name, cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            sentAt = _time.GetTimestamp();
            _hasTakenOver = false;
            return new Held(await _client.CreateAsync(ResourceTypes.Leases, Claim(null), cancellationToken), sentAt);
        }
        _holder = current.Spec.HolderIdentity;
        if (current.Metadata.ResourceVersion != _observedVersion)
        {
            _observedVersion = current.Metadata.ResourceVersion;
            _observedAt = _time.GetTimestamp();
        }
        var holds = TimeSpan.FromSeconds(current.Spec.LeaseDurationSeconds ?? (int)_options.LeaseDuration.TotalSeconds);
        bool free = string.IsNullOrEmpty(current.Spec.HolderIdentity)
            || current.Spec.HolderIdentity == _options.Identity
            || _time.GetElapsedTime(_observedAt) >= holds;
        if (!free)
            return null;
        _hasTakenOver = !string.IsNullOrEmpty(current.Spec.HolderIdentity) && current.Spec.HolderIdentity != _options.Identity;
        sentAt = _time.GetTimestamp();
        return new Held(await _client.ReplaceAsync(ResourceTypes.Leases, Claim(current), cancellationToken), sentAt);
    }

    /// <summary>Renews until the deadline passes, the work ends or we are stopped. The lease if it is still ours to give up, else null.</summary>
    private async Task<Lease?> RenewUntilLostAsync(Held claim, Task work, CancellationToken cancellationToken)
    {
        var lease = claim.Lease;
        while (!cancellationToken.IsCancellationRequested && !work.IsCompleted)
        {
            await PauseAsync(cancellationToken);
            if (cancellationToken.IsCancellationRequested || work.IsCompleted)
                break;
            long sentAt = _time.GetTimestamp();
            if (ClaimedAt(sentAt) == LeaderClaim.None)
                return null;
            Volatile.Write(ref _triedAt, sentAt);
            var left = _options.RenewDeadline - _time.GetElapsedTime(Volatile.Read(ref _renewedAt), sentAt);
            if (_options.HoldWhileUnreachable)
            {
                // An attempt that hangs must not look like a pause.
                left = left <= TimeSpan.Zero || left > _options.RenewDeadline / 2 ? _options.RenewDeadline / 2 : left;
            }
            using var deadline = new CancellationTokenSource(left, _time);
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
            try
            {
                lease = await _client.ReplaceAsync(ResourceTypes.Leases, Claim(lease), linked.Token);
                Confirm(lease, sentAt);
            }
            catch (KubernetesApiException e) when (e.StatusCode is HttpStatusCode.Conflict or HttpStatusCode.NotFound)
            {
                // Somebody else wrote it: theirs now, or ours after a write whose answer was lost. Look once before giving up.
                if (await TryReadOwnAsync(linked.Token) is not { } own)
                    return null;
                lease = own;
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e) when (IsTransient(e) || e is OperationCanceledException)
            {
                LogFailed(_logger, _options.Name, e.Message);
            }
        }
        return lease;
    }

    private void Confirm(Lease lease, long sentAt)
    {
        _holder = _options.Identity;
        _term = lease.Spec.LeaseTransitions ?? 0;
        Volatile.Write(ref _renewedAt, sentAt);
    }

    private LeaderClaim ClaimedAt(long timestamp)
    {
        if (!_claims)
            return LeaderClaim.None;
        if (_time.GetElapsedTime(Volatile.Read(ref _renewedAt), timestamp) < _options.RenewDeadline)
            return LeaderClaim.Confirmed;
        return _options.HoldWhileUnreachable && _time.GetElapsedTime(Volatile.Read(ref _triedAt), timestamp) < _options.RenewDeadline
            ? LeaderClaim.Unconfirmed : LeaderClaim.None;
    }

    private async Task<Lease?> TryReadOwnAsync(CancellationToken cancellationToken)
    {
        try
        {
            var current = await _client.GetAsync(ResourceTypes.Leases, _options.Namespace, _options.Name, cancellationToken);
            _holder = current.Spec.HolderIdentity;
            return current.Spec.HolderIdentity == _options.Identity ? current : null;
        }
        catch (Exception e) when (IsTransient(e) || e is OperationCanceledException)
        {
            return null;
        }
    }

    private async Task GiveUpAsync(Lease lease)
    {
        try
        {
            using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(2), _time);
            await _client.ReplaceAsync(
                ResourceTypes.Leases, lease with { Spec = lease.Spec with { HolderIdentity = "", LeaseDurationSeconds = 1 } }, timeout.Token);
        }
        catch (Exception e) when (IsTransient(e) || e is OperationCanceledException)
        {
            LogFailed(_logger, _options.Name, e.Message);
        }
    }

    private Lease Claim(Lease? current)
    {
        string now = KubernetesTime.FormatMicro(_time.GetUtcNow());
        bool ours = current?.Spec.HolderIdentity == _options.Identity;
        return (current ?? new Lease { Metadata = new ObjectMeta { Namespace = _options.Namespace, Name = _options.Name } }) with
        {
            Spec = new LeaseSpec
            {
                HolderIdentity = _options.Identity,
                LeaseDurationSeconds = (int)_options.LeaseDuration.TotalSeconds,
                AcquireTime = ours ? current!.Spec.AcquireTime : now,
                RenewTime = now,
                LeaseTransitions = (current?.Spec.LeaseTransitions ?? 0) + (ours || current is null ? 0 : 1),
            },
        };
    }

    private Task PauseAsync(CancellationToken cancellationToken) => Task
        .Delay(_options.RetryPeriod * (0.8 + (_random.NextDouble() * 0.4)), _time, cancellationToken)
        .ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    private readonly record struct Held(Lease Lease, long SentAt);

    private static bool IsTransient(Exception e) => e is KubernetesApiException or HttpRequestException or IOException;

    [LoggerMessage(1, LogLevel.Information, "{Identity} leads")]
    private static partial void LogLeading(ILogger logger, string identity);

    [LoggerMessage(2, LogLevel.Information, "{Identity} no longer leads")]
    private static partial void LogStopped(ILogger logger, string identity);

    [LoggerMessage(3, LogLevel.Warning, "Lease {Lease} could not be read or renewed: {Cause}")]
    private static partial void LogFailed(ILogger logger, string lease, string cause);
}
