using System.Collections.Concurrent;
using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Status;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Queues;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <summary>
/// Works off Services that changed: decides, then writes. Several Services are written side by side, one Service never twice at a time. Nothing is given out before
/// everything that Services have already is taken up.
/// </summary>
internal sealed partial class ServiceReconciler : IDisposable
{
    private const int Workers = 8;

    // Ends are written in whole seconds.
    private static readonly TimeSpan Rounding = TimeSpan.FromMilliseconds(50);

    private readonly ControllerOptions _options;
    private readonly IInformer<Service> _services;
    private readonly AddressDecider _decider;
    private readonly LeaseBrokers _brokers;
    private readonly ServiceStatusWriter _writer;
    private readonly ControllerMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly WorkQueue<NamespacedName> _queue;
    private readonly ConcurrentDictionary<NamespacedName, bool> _waiting = new();
    private readonly ConcurrentDictionary<NamespacedName, bool> _firstPass = new();

    // The version that a Service was of when it was last written: our copy is an old one while it is still that.
    private readonly ConcurrentDictionary<NamespacedName, string> _outdated = new();
    private long _freed;
    private long _reconciled;
    private volatile bool _ready;

    public ServiceReconciler(
        ControllerOptions options, IInformer<Service> services, IInformer<Namespace> namespaces, AddressDecider decider, LeaseBrokers brokers, ServiceStatusWriter writer, ControllerMetrics metrics,
        TimeProvider time, Random random, ILogger<ServiceReconciler> logger)
    {
        _options = options;
        _services = services;
        _decider = decider;
        _brokers = brokers;
        _writer = writer;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _queue = new WorkQueue<NamespacedName>(time, random);
        services.Subscribe((old, service) =>
        {
            if (_ready)
                _queue.Add(NamespacedName.Of((service ?? old)!));
        });
        // A pool may be pinned to namespaces by their labels.
        namespaces.Subscribe((old, space) =>
        {
            if (_ready && !SameLabels(old?.Metadata.Labels, space?.Metadata.Labels))
            {
                foreach (var service in services.Items.Where(service => service.Metadata.Namespace == (space ?? old)!.Metadata.Name))
                    _queue.Add(NamespacedName.Of(service));
            }
        });
        // Before that, a lease whose Service nobody has looked at yet would pass for ownerless.
        brokers.KnowsAllServices = () => HasPassed;
        brokers.Changed = (source, lease) =>
        {
            foreach (var name in decider.HoldersOf(source, lease))
                _queue.Add(name);
        };
    }

    /// <summary>How often a Service was looked at.</summary>
    public long Reconciled => Volatile.Read(ref _reconciled);

    /// <summary>Whether more Services wait to be looked at than are being looked at. Thread-safe.</summary>
    public bool IsBusy => _queue.Count > 0;

    /// <summary>Whether every Service that was there at the beginning has been looked at.</summary>
    public bool HasPassed => _ready && _firstPass.IsEmpty;

    /// <summary>Begins as at a start, and keeps what a leader of before may still have on its way from being taken for ours.</summary>
    /// <param name="term">Names our leadership; null when nobody led before who may still be about.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task BeginAsync(string? term, CancellationToken cancellationToken)
    {
        _ready = false;
        _waiting.Clear();
        _firstPass.Clear();
        _outdated.Clear();
        _decider.Reset();
        await _brokers.ResetAsync();
        if (term is null)
            return;
        await Parallel.ForEachAsync(
            _services.Items.Where(service => _options.Common.Serves(service) && service.Status.LoadBalancer.Ingress is null or []),
            new ParallelOptions { MaxDegreeOfParallelism = Workers, CancellationToken = cancellationToken },
            async (service, token) =>
            {
                try
                {
                    await _writer.FenceAsync(service, term, token);
                }
                catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
                {
                    // Gone: nobody writes to it any more.
                }
            });
    }

    /// <summary>Takes up a configuration; from the first one on, Services are worked on.</summary>
    public async Task ConfigureAsync(LoadBalancerConfig config)
    {
        await _brokers.ConfigureAsync(config);
        _decider.Configure(config, _services.Items.Where(service => _options.Common.Serves(service) && HasAnything(service)));
        bool isFirst = !_ready;
        foreach (var service in isFirst ? _services.Items : [])
            _firstPass[NamespacedName.Of(service)] = true;
        _ready = true;
        foreach (var service in _services.Items.OrderByDescending(static service => ServiceStatusWriter.AddressesOf(service).Count))
            _queue.Add(NamespacedName.Of(service));
        // One that went before we were ready told nobody.
        foreach (var name in _firstPass.Keys)
            _queue.Add(name);
    }

    /// <summary>Works until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) =>
        Task.WhenAll(Enumerable.Range(0, Workers).Select(_ => Task.Run(() => WorkAsync(cancellationToken), CancellationToken.None)));

    public void Dispose() => _queue.Dispose();

    private async Task WorkAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            NamespacedName name;
            try
            {
                name = await _queue.GetAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            try
            {
                _metrics.Reconciled();
                Interlocked.Increment(ref _reconciled);
                await ReconcileAsync(name, cancellationToken);
                _queue.Forget(name);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (KubernetesApiException e) when (e.StatusCode is HttpStatusCode.Conflict or HttpStatusCode.NotFound)
            {
                // It changed, or went, under our hands: the informer brings the news soon.
                _queue.AddRateLimited(name);
            }
            catch (Exception e)
            {
                _metrics.Failed();
                LogFailed(_logger, name.ToString(), e.Message);
                _queue.AddRateLimited(name);
            }
            finally
            {
                _queue.Done(name);
                if (!_firstPass.IsEmpty)
                    _firstPass.TryRemove(name, out _);
            }
        }
    }

    private async Task ReconcileAsync(NamespacedName name, CancellationToken cancellationToken)
    {
        var service = _services.Get(name);
        // What we wrote is on its way back, and is looked at when it comes: by the copy of before, what was just given would look lost, be given again, and be told of twice.
        if (_outdated.TryGetValue(name, out string? outdated))
        {
            if (service?.Metadata.ResourceVersion == outdated)
                return;
            _outdated.TryRemove(name, out _);
        }
        if (service is null || service.Metadata.DeletionTimestamp is not null || !_options.Common.Serves(service))
        {
            _waiting.TryRemove(name, out _);
            _decider.Forget(name);
            RetryWaiting();
            // A Service that has become another type keeps nothing; one of another class is none of ours.
            if (service is { Metadata.DeletionTimestamp: null } && service.Spec.Type != "LoadBalancer" && service.Metadata.Annotation(Annotations.AllocatedFromPool) is not null
                && await WriteAsync(service, name, Outcome.Nothing(true), cancellationToken))
                LogCleared(_logger, name.ToString());
            return;
        }

        // It waits already while it is decided on: what becomes free in that moment is told to those who wait by then, and to nobody later.
        _waiting[name] = true;
        var outcome = _decider.Decide(service);
        RetryWaiting();
        if (outcome.Satisfied)
            _waiting.TryRemove(name, out _);
        else
            _queue.AddAfter(name, _options.RetryFailed);
        if (outcome.LookAgain is { } then)
            _queue.AddAfter(name, then - _time.GetUtcNow() + Rounding);
        if (await WriteAsync(service, name, outcome, cancellationToken))
            LogWritten(_logger, name.ToString(), string.Join(", ", outcome.Addresses), outcome.Pool ?? "none");
    }

    /// <summary>Writes. Whether there was something to write.</summary>
    private async Task<bool> WriteAsync(Service service, NamespacedName name, Outcome outcome, CancellationToken cancellationToken)
    {
        if (await _writer.WriteAsync(service, outcome, cancellationToken) is not { } version)
            return false;
        // A server that made nothing of it sends no news of it either.
        if (service.Metadata.ResourceVersion is { } before && version != before)
            _outdated[name] = before;
        return true;
    }

    /// <summary>When an address has become free, whoever waits for one may have it.</summary>
    private void RetryWaiting()
    {
        long freed = _decider.Freed;
        if (Interlocked.Exchange(ref _freed, freed) == freed)
            return;
        foreach (var name in _waiting.Keys)
            _queue.Add(name);
    }

    private static bool HasAnything(Service service) =>
        ServiceStatusWriter.AddressesOf(service).Count > 0 || service.Metadata.Annotation(Annotations.FailedLease) is not null;

    private static bool SameLabels(IReadOnlyDictionary<string, string>? left, IReadOnlyDictionary<string, string>? right) =>
        (left?.Count ?? 0) == (right?.Count ?? 0) && (left is null || left.All(label => right!.TryGetValue(label.Key, out var value) && value == label.Value));

    [LoggerMessage(1, LogLevel.Information, "{Service}: addresses {Addresses} from {Pool}")]
    private static partial void LogWritten(ILogger logger, string service, string addresses, string pool);

    [LoggerMessage(2, LogLevel.Information, "{Service}: no longer of type LoadBalancer, addresses cleared")]
    private static partial void LogCleared(ILogger logger, string service);

    [LoggerMessage(3, LogLevel.Warning, "{Service} could not be written, next try follows: {Cause}")]
    private static partial void LogFailed(ILogger logger, string service, string cause);
}
