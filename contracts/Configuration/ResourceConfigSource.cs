using System.Threading.Channels;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Contracts.Configuration;

/// <summary>
/// Follows the resources that configure the programs, in one namespace. Changes that come together are judged together; those of a status, and the heartbeats of nodes, are none.
/// </summary>
public sealed partial class ResourceConfigSource : IConfigSource
{
    /// <summary>What <c>--config</c> names in place of a file.</summary>
    public const string ArgumentValue = "resources";

    // An apply of several objects is to be seen as one.
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(100);

    private readonly ConfigScope _scope;
    private readonly IInformer<Node> _nodes;
    private readonly Informer<Secret> _secrets;
    private readonly TaskCompletionSource _needsSecrets = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Informer<L2Advertisement> _layer2;
    private readonly Informer<BGPAdvertisement> _bgp;
    private readonly Informer<BGPPeer> _peers;
    private readonly Informer<BFDProfile> _profiles;
    private readonly Informer<Community> _communities;
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private volatile LoadBalancerConfig? _current;
    private volatile IReadOnlyList<ConfigFault> _faults = [];

    /// <summary>Creates the source.</summary>
    /// <param name="client">The API.</param>
    /// <param name="namespace">The namespace of the resources.</param>
    /// <param name="scope">What of the configuration is ours to judge.</param>
    /// <param name="nodes">The nodes, which somebody else follows.</param>
    /// <param name="time">The clock.</param>
    /// <param name="random">Jitter.</param>
    /// <param name="logger">Where faults are told.</param>
    public ResourceConfigSource(
        IKubernetesClient client, string @namespace, ConfigScope scope, IInformer<Node> nodes, TimeProvider time, Random random, ILogger<ResourceConfigSource> logger)
    {
        _scope = scope;
        _nodes = nodes;
        _time = time;
        _logger = logger;
        Pools = Create(ConfigResourceTypes.IPAddressPools);
        AddressServices = Create(ConfigResourceTypes.AddressServices);
        _layer2 = Create(ConfigResourceTypes.L2Advertisements);
        _bgp = Create(ConfigResourceTypes.BGPAdvertisements);
        _peers = Create(ConfigResourceTypes.BGPPeers);
        _profiles = Create(ConfigResourceTypes.BFDProfiles);
        _communities = Create(ConfigResourceTypes.Communities);
        _secrets = new Informer<Secret>(client, ResourceTypes.Secrets, @namespace, time, random, logger);
        _secrets.Subscribe((_, _) => Wake());
        nodes.Subscribe((old, node) =>
        {
            if (old is null || node is null || !SameLabels(old.Metadata.Labels, node.Metadata.Labels))
                Wake();
        });

        Informer<T> Create<T>(ResourceType<T> type)
            where T : KubernetesObject
        {
            var informer = new Informer<T>(client, type, @namespace, time, random, logger);
            informer.Subscribe((old, item) =>
            {
                if (old is null || item is null || old.Metadata.Generation is null || old.Metadata.Generation != item.Metadata.Generation
                    || !SameLabels(old.Metadata.Labels, item.Metadata.Labels))
                    Wake();
            });
            return informer;
        }
    }

    /// <inheritdoc/>
    public event Action? Judged;

    /// <summary>The address pools, whose status the controller writes.</summary>
    public Informer<IPAddressPool> Pools { get; }

    /// <summary>The address services, whose status the controller writes.</summary>
    public Informer<AddressServiceResource> AddressServices { get; }

    /// <inheritdoc/>
    public LoadBalancerConfig? Current => _current;

    /// <inheritdoc/>
    public bool IsStale => _faults.Count > 0;

    /// <inheritdoc/>
    public IReadOnlyList<ConfigFault> Faults => _faults;

    /// <inheritdoc/>
    public string WaitingFor
    {
        get
        {
            (string Kind, bool HasSynced)[] kinds =
            [
                ("IPAddressPools", Pools.HasSynced), ("AddressServices", AddressServices.HasSynced), ("L2Advertisements", _layer2.HasSynced),
                ("BGPAdvertisements", _bgp.HasSynced), ("BGPPeers", _peers.HasSynced), ("BFDProfiles", _profiles.HasSynced), ("Communities", _communities.HasSynced),
                ("Nodes", _nodes.HasSynced),
            ];
            return $"the first list of {string.Join(", ", kinds.Where(static kind => !kind.HasSynced).Select(static kind => kind.Kind))} (their definitions: manifests/crds)";
        }
    }

    /// <inheritdoc/>
    public Task FollowAsync(CancellationToken cancellationToken) => Together.RunAsync(
        cancellationToken, Pools.RunAsync, AddressServices.RunAsync, _layer2.RunAsync, _bgp.RunAsync, _peers.RunAsync, _profiles.RunAsync, _communities.RunAsync, FollowSecretsAsync);

    /// <inheritdoc/>
    public async Task RunAsync(Func<LoadBalancerConfig, Task> changed, CancellationToken cancellationToken)
    {
        try
        {
            await Task.WhenAll(
                Pools.WaitForSyncAsync(cancellationToken), AddressServices.WaitForSyncAsync(cancellationToken), _layer2.WaitForSyncAsync(cancellationToken),
                _bgp.WaitForSyncAsync(cancellationToken), _peers.WaitForSyncAsync(cancellationToken), _profiles.WaitForSyncAsync(cancellationToken),
                _communities.WaitForSyncAsync(cancellationToken), _nodes.WaitForSyncAsync(cancellationToken));
            while (true)
            {
                _wake.Reader.TryRead(out _);
                await changed(Judge());
                Judged?.Invoke();
                await _wake.Reader.WaitToReadAsync(cancellationToken);
                await Task.Delay(Settle, _time, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }
    }

    /// <summary>Secrets are followed from when a peer first names one: most clusters have none, and then nobody need let us read any.</summary>
    private async Task FollowSecretsAsync(CancellationToken cancellationToken)
    {
        await _needsSecrets.Task.WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!cancellationToken.IsCancellationRequested)
            await Together.RunAsync(cancellationToken, _secrets.RunAsync, SyncAsync);

        async Task SyncAsync(CancellationToken token)
        {
            await _secrets.WaitForSyncAsync(token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Wake();
        }
    }

    private LoadBalancerConfig Judge()
    {
        var result = ResourceReader.Read(
            _scope.Of(new ConfigResources
            {
                Pools = Pools.Items,
                AddressServices = AddressServices.Items,
                L2Advertisements = _layer2.Items,
                BgpAdvertisements = _bgp.Items,
                BgpPeers = _peers.Items,
                BfdProfiles = _profiles.Items,
                Communities = _communities.Items,
                Nodes = _nodes.Items,
                Secrets = _scope.ChecksPasswords && _secrets.HasSynced ? _secrets.Items : null,
            }),
            _current);
        var config = result.Config!;
        if (_scope.ChecksPasswords && _peers.Items.Any(static peer => peer.Spec.PasswordSecret is not null))
            _needsSecrets.TrySetResult();
        IReadOnlyList<ConfigFault> faults = [.. result.Faults.Where(_scope.Tells)];
        if (faults.Count > 0 && !faults.SequenceEqual(_faults))
            LogFaulty(_logger, faults.Count, string.Join("; ", faults));
        _faults = faults;
        _current = config;
        LogLoaded(_logger, config.AddressPools.Count, config.AddressServices.Count);
        return config;
    }

    private void Wake() => _wake.Writer.TryWrite(true);

    private static bool SameLabels(IReadOnlyDictionary<string, string>? left, IReadOnlyDictionary<string, string>? right) =>
        (left?.Count ?? 0) == (right?.Count ?? 0) && (left is null || left.All(label => right!.TryGetValue(label.Key, out var value) && value == label.Value));

    [LoggerMessage(1, LogLevel.Information, "Configuration taken up: {Pools} address pools, {Services} address services")]
    private static partial void LogLoaded(ILogger logger, int pools, int services);

    [LoggerMessage(2, LogLevel.Error, "Configuration: the objects at fault stay as they were when they were good, or are left out; {Count} faults: {Faults}")]
    private static partial void LogFaulty(ILogger logger, int count, string faults);
}
