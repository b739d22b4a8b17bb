using System.Net;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Membership;

/// <summary>
/// Tells the other speakers that we are alive, and knows who of them is: one Lease for each node, renewed every second. What the API server has to carry grows with the
/// nodes, never with the Services.
/// </summary>
internal sealed partial class NodeMembership
{
    /// <summary>How often our Lease is renewed.</summary>
    public static readonly TimeSpan RenewEvery = TimeSpan.FromSeconds(1);

    /// <summary>How long a node counts as alive after its last renewal.</summary>
    public static readonly TimeSpan Duration = TimeSpan.FromSeconds(3);

    private const string Prefix = "speaker-";

    private readonly IKubernetesClient _client;
    private readonly string _namespace;
    private readonly string _me;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly long _start;
    private readonly Lock _lock = new();
    private readonly MemberTable _table;
    private volatile IReadOnlySet<string> _members;

    public NodeMembership(
        IKubernetesClient client, SpeakerOptions options, string @namespace, TimeProvider time, Random random, ILogger<NodeMembership> logger)
    {
        _client = client;
        _namespace = @namespace;
        _me = options.NodeName;
        _time = time;
        _logger = logger;
        _start = time.GetTimestamp();
        _table = new MemberTable(_me, Duration);
        _members = _table.Members;
        Leases = new Informer<Lease>(client, ResourceTypes.Leases, @namespace, time, random, logger);
        Leases.Subscribe(Observe);
    }

    /// <summary>The speakers' Leases.</summary>
    public Informer<Lease> Leases { get; }

    /// <summary>Nodes whose speakers are alive, ours included. Thread-safe.</summary>
    public IReadOnlySet<string> Members => _members;

    /// <summary>Called when the members changed.</summary>
    public Action? Changed { get; set; }

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>Renews until cancelled, then gives the Lease up, so that others take over at once.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(RenewEvery, _time);
        // Looks more often than it renews, so that a silent node is missed soon after its time.
        using var look = _time.CreateTimer(_ => Evaluate(), null, TimeSpan.FromMilliseconds(250), TimeSpan.FromMilliseconds(250));
        do
        {
            await TryWriteAsync(_me, cancellationToken);
        }
        while (await NextAsync(timer, cancellationToken));

        using var brief = new CancellationTokenSource(TimeSpan.FromSeconds(1), _time);
        await TryWriteAsync("", brief.Token);
    }

    private static async ValueTask<bool> NextAsync(PeriodicTimer timer, CancellationToken cancellationToken)
    {
        try
        {
            return await timer.WaitForNextTickAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>The Lease is ours alone, so it is written over without looking: one request, and no conflict to solve.</summary>
    private async Task TryWriteAsync(string holder, CancellationToken cancellationToken)
    {
        var lease = new Lease
        {
            Metadata = new ObjectMeta { Name = Prefix + _me, Namespace = _namespace },
            Spec = new LeaseSpec
            {
                HolderIdentity = holder,
                LeaseDurationSeconds = (int)Duration.TotalSeconds,
                RenewTime = KubernetesTime.FormatMicro(_time.GetUtcNow()),
            },
        };
        try
        {
            using var bounded = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            bounded.CancelAfter(Duration);
            byte[] patch = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(
                lease with { Metadata = new ObjectMeta() }, KubernetesJsonContext.Default.Lease);
            try
            {
                await _client.PatchAsync(
                    ResourceTypes.Leases, _namespace, Prefix + _me, PatchType.Merge, patch, null, bounded.Token);
            }
            catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound && holder.Length > 0)
            {
                await _client.CreateAsync(ResourceTypes.Leases, lease, bounded.Token);
            }
            lock (_lock)
                _table.Renewed(Now);
            Evaluate();
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException or OperationCanceledException)
        {
            if (!cancellationToken.IsCancellationRequested)
                LogNotRenewed(_logger, e.Message);
        }
    }

    private void Observe(Lease? old, Lease? lease)
    {
        string name = (lease ?? old)!.Metadata.Name ?? "";
        if (!name.StartsWith(Prefix, StringComparison.Ordinal) || name == Prefix + _me)
            return;
        lock (_lock)
            _table.Observe(name[Prefix.Length..], lease, Now);
        Evaluate();
    }

    private void Evaluate()
    {
        lock (_lock)
        {
            bool connected = _table.IsConnected;
            bool changed = _table.Evaluate(Now);
            if (connected && !_table.IsConnected)
                LogDisconnected(_logger);
            if (!changed)
                return;
            _members = _table.Members;
        }
        LogMembers(_logger, string.Join(", ", _members.Order()));
        Changed?.Invoke();
    }

    [LoggerMessage(1, LogLevel.Information, "Speakers alive: {Members}")]
    private static partial void LogMembers(ILogger logger, string members);

    [LoggerMessage(2, LogLevel.Warning, "Our Lease could not be renewed: {Cause}")]
    private static partial void LogNotRenewed(ILogger logger, string cause);

    [LoggerMessage(3, LogLevel.Warning, "The API server is out of reach: announcing goes on as it is")]
    private static partial void LogDisconnected(ILogger logger);
}
