using System.Net;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Membership;

/// <summary>
/// Shows that this speaker lives, by renewing a Lease named after its node, and follows those of the others. Gives its Lease up when it stops
/// in good order, so that another node takes over at once.
/// </summary>
internal sealed partial class NodeLeaseKeeper : BackgroundService
{
    private const string NamePrefix = "speaker-";
    private static readonly TimeSpan LookPeriod = TimeSpan.FromSeconds(1);

    private readonly SpeakerOptions _options;
    private readonly IKubernetesClient _client;
    private readonly TimeProvider _time;
    private readonly ILogger<NodeLeaseKeeper> _logger;
    private readonly MembershipView _view;
    private readonly Lock _viewLock = new();
    private readonly long _start;
    private volatile IReadOnlySet<string> _living;
    private Lease? _own;

    public NodeLeaseKeeper(
        SpeakerOptions options, IKubernetesClient client, IInformer<Lease> leases, TimeProvider time, ILogger<NodeLeaseKeeper> logger)
    {
        _options = options;
        _client = client;
        _time = time;
        _logger = logger;
        _start = time.GetTimestamp();
        _view = new MembershipView(options.NodeName, options.LeaseDuration);
        _living = new HashSet<string>(StringComparer.Ordinal) { options.NodeName };
        leases.Subscribe(OnLease);
    }

    /// <summary>The living nodes, or whether we are cut off, have changed.</summary>
    public event Action? Changed;

    /// <summary>Nodes whose speakers live; always this one.</summary>
    public IReadOnlySet<string> Living => _living;

    /// <summary>Our own renewals fail: the others may have elected somebody else.</summary>
    public bool IsCutOff { get; private set; }

    /// <summary>Gives the Lease up.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        if (_own is not { } own)
            return;
        try
        {
            using var quickly = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            quickly.CancelAfter(TimeSpan.FromSeconds(2));
            await _client.ReplaceAsync(ResourceTypes.Leases, own with { Spec = own.Spec with { HolderIdentity = "" } }, quickly.Token);
        }
        catch (Exception e) when (IsExpected(e))
        {
            LogNotGivenUp(_logger, e.Message);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var renewing = RenewAsync(stoppingToken);
        using var timer = new PeriodicTimer(LookPeriod, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                Look();
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
        await renewing;
    }

    private TimeSpan Now => _time.GetElapsedTime(_start);

    private void OnLease(Lease? old, Lease? lease)
    {
        var name = (lease ?? old)?.Metadata.Name;
        if (name is null || !name.StartsWith(NamePrefix, StringComparison.Ordinal))
            return;
        var node = name[NamePrefix.Length..];
        lock (_viewLock)
        {
            if (lease is null)
                _view.Remove(node);
            else
                _view.Observe(node, lease.Spec.HolderIdentity, lease.Metadata.ResourceVersion, Now);
        }
        // Who came or left in good order is seen at once; who just stops, by the clock.
        if (_living.Contains(node) != (lease?.Spec.HolderIdentity is { Length: > 0 }))
            Look();
    }

    private void Look()
    {
        IReadOnlySet<string> living;
        bool cutOff;
        lock (_viewLock)
        {
            living = _view.Living(Now);
            cutOff = _view.IsCutOff;
        }
        if (living.SetEquals(_living) && cutOff == IsCutOff)
            return;
        LogLiving(_logger, string.Join(' ', living.Order(StringComparer.Ordinal)), cutOff);
        _living = living;
        IsCutOff = cutOff;
        Changed?.Invoke();
    }

    private async Task RenewAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(_options.LeaseDuration / 3, _time);
        try
        {
            do
            {
                await TryRenewAsync(cancellationToken);
            }
            while (await timer.WaitForNextTickAsync(cancellationToken));
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
    }

    private async Task TryRenewAsync(CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.LeaseDuration / 3, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            _own = _own is null ? await TakeAsync(linked.Token) : await _client.ReplaceAsync(ResourceTypes.Leases, Renewed(_own), linked.Token);
            lock (_viewLock)
                _view.Renewed(Now);
            Look();
        }
        catch (Exception e) when (IsExpected(e) && !cancellationToken.IsCancellationRequested)
        {
            // Somebody changed it (409), or took it away (404): read it again next time.
            if (e is KubernetesApiException)
                _own = null;
            LogNotRenewed(_logger, e.Message);
        }
    }

    private async Task<Lease> TakeAsync(CancellationToken cancellationToken)
    {
        try
        {
            var lease = await _client.GetAsync(ResourceTypes.Leases, _options.Namespace, NamePrefix + _options.NodeName, cancellationToken);
            return await _client.ReplaceAsync(ResourceTypes.Leases, Renewed(lease), cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            var lease = new Lease { Metadata = new ObjectMeta { Namespace = _options.Namespace, Name = NamePrefix + _options.NodeName } };
            return await _client.CreateAsync(ResourceTypes.Leases, Renewed(lease), cancellationToken);
        }
    }

    private Lease Renewed(Lease lease) => lease with
    {
        Spec = lease.Spec with
        {
            HolderIdentity = _options.NodeName,
            LeaseDurationSeconds = (int)_options.LeaseDuration.TotalSeconds,
            RenewTime = KubernetesTime.FormatMicro(_time.GetUtcNow()),
        },
    };

    private static bool IsExpected(Exception e) => e is KubernetesApiException or HttpRequestException or IOException or OperationCanceledException;

    [LoggerMessage(1, LogLevel.Information, "Living speakers: {Nodes} (cut off: {CutOff})")]
    private static partial void LogLiving(ILogger logger, string nodes, bool cutOff);

    [LoggerMessage(2, LogLevel.Warning, "The Lease of this node was not renewed: {Cause}")]
    private static partial void LogNotRenewed(ILogger logger, string cause);

    [LoggerMessage(3, LogLevel.Warning, "The Lease of this node was not given up, the others will notice later: {Cause}")]
    private static partial void LogNotGivenUp(ILogger logger, string cause);
}
