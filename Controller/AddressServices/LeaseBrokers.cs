using System.Collections.Concurrent;
using System.Text;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.AddressServices;

/// <summary>One broker for each address service of the configuration, and the regular look at what they hold.</summary>
internal sealed partial class LeaseBrokers(IKubernetesClient kubernetes, ControllerOptions options, TimeProvider time, Random random, ILogger<LeaseBrokers> logger, AddressServiceMetrics? metrics = null)
    : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, LeaseBroker> _brokers = new();
    private readonly ConcurrentDictionary<(string Source, LeaseId Lease), long> _orphanedSince = new();
    private readonly ConcurrentDictionary<string, int> _held = new();
    private readonly Dictionary<LeaseBroker, Task> _polls = [];
    private readonly List<HttpClient> _clients = [];

    /// <summary>Called with an address service and the name of a lease of it that changed.</summary>
    public Action<string, NamespacedName> Changed { get; set; } = static (_, _) => { };

    /// <summary>Whether calls may go out that change anything: who does not lead any more must not give back what another has asked for since.</summary>
    public Func<bool> MayAct { get; set; } = static () => true;

    /// <summary>Whether every Service has been looked at: until then, nothing is taken for ownerless.</summary>
    public Func<bool> KnowsAllServices { get; set; } = static () => true;

    /// <summary>The brokers now. Thread-safe.</summary>
    public IEnumerable<LeaseBroker> All => _brokers.Values;

    /// <summary>A broker by the name of its address service, or null.</summary>
    public LeaseBroker? Find(string? name) => name is not null && _brokers.TryGetValue(name, out var broker) ? broker : null;

    /// <summary>Follows the configuration. An address service that is unchanged keeps its broker.</summary>
    public async Task ConfigureAsync(LoadBalancerConfig config)
    {
        foreach (var (name, broker) in _brokers)
        {
            if (config.AddressServices.FirstOrDefault(source => IsSameWay(source, broker.Source)) is { } same)
            {
                broker.Source = same;
                continue;
            }
            _brokers.TryRemove(name, out _);
            await broker.DisposeAsync();
        }
        foreach (var source in config.AddressServices.Where(source => !_brokers.ContainsKey(source.Name)))
        {
            string root = source.Url.AbsoluteUri;
            var http = new HttpClient(AddressServiceTls.CreateHandler(source.Tls))
            {
                BaseAddress = new Uri(root.EndsWith('/') ? root : root + "/"),
            };
            _clients.Add(http);
            var client = new AddressServiceClient(http, token => TokenAsync(source, token), source.Timeout, time);
            _brokers[source.Name] = new LeaseBroker(source, client, lease => Changed(source.Name, lease), time, random, logger, () => MayAct(), metrics);
        }
    }

    /// <summary>
    /// Looks at every address service now and then: renewed ends, changed and lost leases are taken up; leases that no Service has owned for <see cref="ControllerOptions.OrphanGrace"/>
    /// are given back, unless there are suspiciously many: then none is.
    /// </summary>
    public async Task PollAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(options.PollInterval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                // None waits for another: one that does not answer is asked again when its call has ended.
                foreach (var broker in _brokers.Values)
                {
                    if (!_polls.TryGetValue(broker, out var poll) || poll.IsCompleted)
                        _polls[broker] = PollAsync(broker, cancellationToken);
                }
                foreach (var gone in _polls.Keys.Except(_brokers.Values).ToList())
                    _polls.Remove(gone);
            }
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
    }

    /// <summary>Forgets everything, as at a start.</summary>
    public async Task ResetAsync()
    {
        foreach (var broker in _brokers.Values)
            await broker.DisposeAsync();
        _brokers.Clear();
        _orphanedSince.Clear();
        _held.Clear();
    }

    public async ValueTask DisposeAsync()
    {
        await ResetAsync();
        _clients.ForEach(static client => client.Dispose());
    }

    private static bool IsSameWay(AddressServiceSource left, AddressServiceSource right) =>
        left.Name == right.Name && left.Url == right.Url && left.TokenFile == right.TokenFile && left.TokenSecret == right.TokenSecret && left.Timeout == right.Timeout
        && left.Concurrency == right.Concurrency && left.Tls == right.Tls;

    private async Task PollAsync(LeaseBroker broker, CancellationToken cancellationToken)
    {
        StatusAnswer? status;
        long answers = broker.Answers;
        // Asked first: who comes to be known while the answer is on its way does not make up for those who were not.
        bool knowsAll = KnowsAllServices();
        try
        {
            status = await broker.ReadStatusAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        if (status is null)
            return;
        var orphans = broker.Observe(status, answers).ToHashSet();
        if (!knowsAll)
            return;
        string name = broker.Source.Name;
        foreach (var key in _orphanedSince.Keys.Where(key => key.Source == name && !orphans.Contains(key.Lease)))
            _orphanedSince.TryRemove(key, out _);
        // One moment for all: those that were found together are due together.
        long now = time.GetTimestamp();
        var due = orphans.Where(lease => time.GetElapsedTime(_orphanedSince.GetOrAdd((name, lease), now), now) >= options.OrphanGrace).ToList();
        int limit = Math.Max(10, status.Allocations.Count / 5);
        bool isHeld = due.Count > limit;
        await TellHeldAsync(broker, isHeld ? due : [], status, limit, cancellationToken);
        if (isHeld)
            return;
        foreach (var lease in due)
        {
            LogOrphan(logger, name, lease.ToString());
            broker.ReleaseOrphan(lease);
        }
    }

    /// <summary>So many leases lost their owners at once that a fault is likelier, such as a cluster that was emptied by mistake: they are listed, and an operator decides.</summary>
    private async Task TellHeldAsync(LeaseBroker broker, List<LeaseId> held, StatusAnswer status, int limit, CancellationToken cancellationToken)
    {
        string name = broker.Source.Name;
        int before = _held.GetValueOrDefault(name);
        if (held.Count != before && held.Count > 0)
            LogManyOrphans(logger, name, held.Count, status.Allocations.Count, limit);
        _held[name] = held.Count;
        var listed = status.Allocations.Where(static lease => lease.OrphanedSince is not null).Select(static lease => lease.Service).ToHashSet(StringComparer.Ordinal);
        if ((held.Count == 0 && before == 0) || (held.Count == before && held.TrueForAll(lease => listed.Contains(lease.Name.ToString()))))
            return;
        try
        {
            await broker.ReportOrphansAsync(held, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
    }

    private async ValueTask<string?> TokenAsync(AddressServiceSource source, CancellationToken cancellationToken)
    {
        try
        {
            if (source.TokenFile is { } file)
                return (await File.ReadAllTextAsync(file, cancellationToken)).Trim();
            if (source.TokenSecret is not { } reference)
                return null;
            var secret = await kubernetes.GetAsync(ResourceTypes.Secrets, options.Namespace, reference.Name, cancellationToken);
            return secret.Data?.TryGetValue(reference.Key, out var value) == true
                ? Encoding.UTF8.GetString(Convert.FromBase64String(value)).Trim()
                : throw new HttpRequestException($"Secret {options.Namespace}/{reference.Name} has no key '{reference.Key}'");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or KubernetesApiException or FormatException)
        {
            throw new HttpRequestException($"the token cannot be read: {e.Message}", e);
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "{AddressService}: {Service} has a lease but no owner; giving it back")]
    private static partial void LogOrphan(ILogger logger, string addressService, string service);

    [LoggerMessage(2, LogLevel.Error, "{AddressService}: {Orphans} of {Leases} leases have no owner, more than {Limit}: none is given back; POST /v1/ip/orphans/release there gives them back")]
    private static partial void LogManyOrphans(ILogger logger, string addressService, int orphans, int leases, int limit);
}
