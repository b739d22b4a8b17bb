using System.Collections.Concurrent;
using System.Threading.Channels;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;

namespace DynamicLb.Speaker.Announcing;

/// <summary>
/// Keeps what is announced equal to what should be. One loop owns the decisions; informers, membership, configuration and the clock only wake
/// it, so that what they report in a burst is worked off at once.
/// </summary>
internal sealed partial class ServiceAnnouncer : BackgroundService
{
    private static readonly TimeSpan LongestSleep = TimeSpan.FromSeconds(30);

    private readonly SpeakerOptions _options;
    private readonly SpeakerInformers _informers;
    private readonly NodeLeaseKeeper _membership;
    private readonly ConfigHolder _config;
    private readonly Layer2Announcer _layer2;
    private readonly IEventRecorder _events;
    private readonly TimeProvider _time;
    private readonly ILogger<ServiceAnnouncer> _logger;
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly ConcurrentDictionary<NamespacedName, bool> _dirty = new();
    private readonly ConcurrentDictionary<IPv4Address, bool> _claimed = new();
    private readonly Dictionary<NamespacedName, AnnounceDecision> _decisions = [];
    private volatile bool _allDirty = true;
    private volatile Announcement[] _announcements = [];

    public ServiceAnnouncer(
        SpeakerOptions options, SpeakerInformers informers, NodeLeaseKeeper membership, ConfigHolder config, Layer2Announcer layer2, Layer2State state,
        IEventRecorder events, TimeProvider time, ILogger<ServiceAnnouncer> logger)
    {
        _options = options;
        _informers = informers;
        _membership = membership;
        _config = config;
        _layer2 = layer2;
        _events = events;
        _time = time;
        _logger = logger;
        informers.Services.Subscribe((old, service) => Touch(NamespacedName.Of((service ?? old)!)));
        informers.EndpointSlices.Subscribe((old, slice) => Touch(ServiceOf((slice ?? old)!)));
        informers.Nodes.Subscribe(OnNode);
        membership.Changed += TouchAll;
        config.Changed += TouchAll;
        state.Claimed += OnClaim;
    }

    /// <summary>What this node announces now.</summary>
    public IReadOnlyList<Announcement> Announcements => _announcements;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await _informers.WaitForSyncAsync(stoppingToken);
            while (true)
            {
                Work();
                await SleepAsync(stoppingToken);
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping: silent first, then the Lease is given up (services stop in the reverse order of their start).
            _layer2.Announce(new Dictionary<IPv4Address, DateTimeOffset?>());
        }
    }

    private void Touch(NamespacedName service)
    {
        _dirty[service] = true;
        _wake.Writer.TryWrite(true);
    }

    private void TouchAll()
    {
        _allDirty = true;
        _wake.Writer.TryWrite(true);
    }

    private void OnNode(Node? old, Node? node)
    {
        if (old is null || node is null || Standing(old) != Standing(node))
            TouchAll();
    }

    private static (bool, bool) Standing(Node node) => (
        node.Metadata.Labels?.ContainsKey(Contracts.NodeLabels.ExcludeFromExternalLoadBalancers) == true,
        node.Status.Conditions?.Any(condition => condition is { Type: "NetworkUnavailable", Status: "True" }) == true);

    /// <summary>
    /// Another machine claims an address of ours. If our renewals fail it is the node that the others have elected: we yield to it until we see
    /// for ourselves. Otherwise it is a hand-over on the way, or a machine that should not: told, and left to the operator.
    /// </summary>
    private void OnClaim(IPv4Address address, MacAddress by)
    {
        bool yields = _membership.IsCutOff;
        LogClaimed(_logger, address.ToString(), by.ToString(), yields);
        if (yields && _claimed.TryAdd(address, true))
            TouchAll();
    }

    private void Work()
    {
        bool all = _allDirty;
        _allDirty = false;
        var names = new HashSet<NamespacedName>(_dirty.Keys);
        foreach (var name in names)
            _dirty.TryRemove(name, out _);
        if (all)
        {
            names.UnionWith(_decisions.Keys);
            names.UnionWith(_informers.Services.Items.Select(NamespacedName.Of));
        }
        if (!_membership.IsCutOff)
            _claimed.Clear();

        var now = _time.GetUtcNow();
        foreach (var (name, decision) in _decisions)
        {
            if (decision.Until <= now)
                names.Add(name);
        }
        if (names.Count == 0)
            return;
        var situation = new AnnounceSituation(
            _options.NodeName, _options.LoadBalancerClass, _options.IgnoreExclusion, _config.Current, _informers.Nodes.Items, _membership.Living, now);
        var slices = _informers.EndpointSlices.Items.ToLookup(ServiceOf);
        foreach (var name in names)
            Decide(name, slices[name], situation);
        Publish();
    }

    private void Decide(NamespacedName name, IEnumerable<EndpointSlice> slices, AnnounceSituation situation)
    {
        var before = _decisions.GetValueOrDefault(name);
        var service = _informers.Services.Get(name);
        if (service is null)
        {
            if (_decisions.Remove(name) && before!.Outcome == AnnounceOutcome.Announce)
                LogWithdrawn(_logger, name.ToString(), "the Service is gone");
            return;
        }
        var decision = AnnounceDecider.Decide(service, slices, situation);
        _decisions[name] = decision;
        bool announced = before?.Outcome == AnnounceOutcome.Announce;
        if (decision.Outcome == AnnounceOutcome.Announce && (!announced || !before!.Addresses.SequenceEqual(decision.Addresses)))
        {
            LogAnnounced(_logger, name.ToString(), string.Join(", ", decision.Addresses), decision.Until);
            _events.Normal(service, "nodeAssigned", $"announcing from node \"{_options.NodeName}\" with protocol \"layer2\"");
        }
        else if (announced && decision.Outcome != AnnounceOutcome.Announce)
        {
            LogWithdrawn(_logger, name.ToString(), Why(decision));
            if (decision.Outcome == AnnounceOutcome.LeaseEnded)
                _events.Warning(service, "leaseEnded", "the DHCP lease of the address has ended; it is no longer announced");
        }
        else if (before?.Outcome != decision.Outcome && decision.Outcome is AnnounceOutcome.AddressNotAllowed or AnnounceOutcome.LeaseEnded)
        {
            LogNotAnnounced(_logger, name.ToString(), Why(decision));
        }
    }

    private void Publish()
    {
        var addresses = new Dictionary<IPv4Address, DateTimeOffset?>();
        var announcements = new List<Announcement>();
        foreach (var (name, decision) in _decisions)
        {
            if (decision.Outcome != AnnounceOutcome.Announce)
                continue;
            foreach (var address in decision.Addresses)
            {
                if (_claimed.ContainsKey(address))
                    continue;
                // Shared by several Services: as long as the longest of them.
                addresses[address] = addresses.TryGetValue(address, out var until) ? Later(until, decision.Until) : decision.Until;
                announcements.Add(new Announcement(name, address));
            }
        }
        _announcements = [.. announcements];
        _layer2.Announce(addresses);
    }

    private async Task SleepAsync(CancellationToken cancellationToken)
    {
        var now = _time.GetUtcNow();
        var pause = LongestSleep;
        foreach (var decision in _decisions.Values)
        {
            if (decision.Until is { } until && until - now < pause)
                pause = until - now;
        }
        if (pause <= TimeSpan.Zero)
            return;
        using var timeout = new CancellationTokenSource(pause, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            await _wake.Reader.ReadAsync(linked.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The next lease has ended, or it is time to look anyway.
        }
    }

    private static DateTimeOffset? Later(DateTimeOffset? one, DateTimeOffset? other) => one is null || other is null ? null : one > other ? one : other;

    private static string Why(AnnounceDecision decision) => decision.Outcome switch
    {
        AnnounceOutcome.NoAddress => "it has no address",
        AnnounceOutcome.AddressNotAllowed => "its address belongs to no pool of the configuration",
        AnnounceOutcome.LeaseEnded => "the lease of its address has ended",
        AnnounceOutcome.OtherProtocol => "its pool is not announced by layer 2",
        AnnounceOutcome.NoEndpoint => "it has no endpoint that could serve",
        AnnounceOutcome.NoCandidate => "no living node may announce it",
        AnnounceOutcome.OtherNode => $"node {decision.Owner} announces it",
        _ => "",
    };

    private static NamespacedName ServiceOf(EndpointSlice slice) =>
        new(slice.Metadata.Namespace ?? "", slice.Metadata.Labels?.GetValueOrDefault(EndpointSlice.ServiceNameLabel) ?? "");

    [LoggerMessage(1, LogLevel.Information, "Announcing {Service}: {Addresses}, until {Until}")]
    private static partial void LogAnnounced(ILogger logger, string service, string addresses, DateTimeOffset? until);

    [LoggerMessage(2, LogLevel.Information, "No longer announcing {Service}: {Cause}")]
    private static partial void LogWithdrawn(ILogger logger, string service, string cause);

    [LoggerMessage(3, LogLevel.Warning, "Not announcing {Service}: {Cause}")]
    private static partial void LogNotAnnounced(ILogger logger, string service, string cause);

    [LoggerMessage(4, LogLevel.Warning, "{Mac} claims {Address}, which this node announces; yielding: {Yields}")]
    private static partial void LogClaimed(ILogger logger, string address, string mac, bool yields);
}

/// <summary>An address of a Service that this node announces.</summary>
internal sealed record Announcement(NamespacedName Service, IPv4Address Address);
