using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Services;

/// <summary>
/// Keeps what is announced equal to what should be. One loop owns the decisions; informers, membership, configuration, the wire and the clock only wake it, so that a burst of
/// what they report is worked off at once. Nothing in the loop waits for I/O.
/// </summary>
internal sealed partial class ServiceReconciler
{
    private readonly SpeakerOptions _options;
    private readonly IInformer<Service> _services;
    private readonly IInformer<Node> _nodes;
    private readonly IMembership _membership;
    private readonly AnnouncementTable _table;
    private readonly Layer2Announcer _announcer;
    private readonly ServiceEvents _events;
    private readonly SpeakerMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly EndpointSliceIndex _slices = new();
    private readonly Dictionary<NamespacedName, Decision> _decisions = [];
    private readonly ServiceAddresses _addresses = new();
    private readonly DirtyServices _dirty;
    private readonly Lock _lock = new();
    private List<(HostAddress Address, MacAddress Mac)> _claims = [];
    private List<(HostAddress Address, MacAddress? Other)> _probed = [];
    private readonly TaskCompletionSource _decided = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private HashSet<NamespacedName> _announced = [];
    private bool _rejoined;
    private long _changes;
    private volatile LoadBalancerConfig? _config;

    public ServiceReconciler(
        SpeakerOptions options, IInformer<Service> services, IInformer<Node> nodes, IInformer<EndpointSlice> endpointSlices, IMembership membership,
        AnnouncementTable table, Layer2Announcer announcer, ResponderContext responders, ServiceEvents events, SpeakerMetrics metrics, TimeProvider time,
        ILogger<ServiceReconciler> logger)
    {
        _options = options;
        _services = services;
        _nodes = nodes;
        _membership = membership;
        _table = table;
        _announcer = announcer;
        _events = events;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _dirty = new DirtyServices(time);

        services.Subscribe((old, service) => _dirty.Touch([NamespacedName.Of((service ?? old)!)]));
        endpointSlices.Subscribe((old, slice) => _dirty.Touch(_slices.Change(old, slice)));
        nodes.Subscribe((old, node) =>
        {
            // A node's heartbeat changes nothing here.
            bool ignore = options.IgnoreExcludeLabel;
            if (old is null || node is null || AnnouncementRules.CanAnnounce(old, ignore) != AnnouncementRules.CanAnnounce(node, ignore) || !AnnouncementRules.HaveSameLabels(old, node))
                _dirty.TouchAll();
        });
        membership.Changed += _dirty.TouchAll;
        membership.Rejoined += Rejoin;
        responders.Claimed = Claim;
        _conflicts = new AddressConflicts(options.ConflictPolicy);
        announcer.Probed = Probed;
        announcer.MacFaultChanged = _dirty.TouchAll;
    }

    /// <summary>Whether all Services have been looked at once.</summary>
    public bool HasDecided => _decided.Task.IsCompletedSuccessfully;

    /// <summary>Completes when all Services have been looked at once, by a configuration. Thread-safe.</summary>
    public Task WaitForDecisionAsync(CancellationToken cancellationToken) => _decided.Task.WaitAsync(cancellationToken);

    /// <summary>How many decisions have changed so far. Thread-safe.</summary>
    public long Changes => Interlocked.Read(ref _changes);

    /// <summary>Takes up a new configuration.</summary>
    public Task ConfigureAsync(LoadBalancerConfig config)
    {
        _config = config;
        _dirty.TouchAll();
        return Task.CompletedTask;
    }

    /// <summary>Works until cancelled. To be called once, when the informers are in sync.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                bool isConfigured = _config is not null;
                Work();
                if (isConfigured)
                    _decided.TrySetResult();
                await _dirty.SleepAsync(_decisions.Values.Select(static decision => decision.ValidUntil), cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop. The responders go with us.
        }
    }

    /// <summary>Works off what has been reported. Called by the loop alone.</summary>
    internal void Work()
    {
        if (_config is not { } config)
            return;
        var names = _dirty.Take(out bool all);
        List<(HostAddress Address, MacAddress Mac)> claims;
        List<(HostAddress Address, MacAddress? Other)> probed;
        HashSet<NamespacedName> announced;
        bool rejoined;
        lock (_lock)
        {
            (announced, _announced) = (_announced, []);
            (claims, _claims) = (_claims, []);
            (probed, _probed) = (_probed, []);
            (rejoined, _rejoined) = (_rejoined, false);
        }
        var now = _time.GetUtcNow();
        if (all)
        {
            names.UnionWith(_decisions.Keys);
            names.UnionWith(_services.Items.Where(static service => service.Spec.Type == "LoadBalancer").Select(NamespacedName.Of));
        }
        names.UnionWith(_decisions.Where(entry => entry.Value.ValidUntil <= now).Select(static entry => entry.Key));

        // After the claims were taken. If the cause of yielding ends from here on, we are woken again.
        TakeClaims(claims, names);
        foreach (var (address, other) in probed)
            TakeProbe(address, other, names);

        names.UnionWith(announced);
        foreach (var name in names)
            Assign(name, Served(_services.Get(name)), config);
        names.UnionWith(_addresses.Regroup());
        var surroundings = Look(config, now);
        foreach (var name in names)
            Decide(name, surroundings, announced.Contains(name));
        KeepUnused(announced);
        _conflicts.Start();
        TellConflicts(names);
        if (names.Count > 0 || rejoined)
            Publish(rejoined);
        _metrics.Updated(names.Count);
    }

    private void Rejoin()
    {
        lock (_lock)
            _rejoined = true;
        _dirty.TouchAll();
    }

    private void Claim(HostAddress address, MacAddress mac)
    {
        lock (_lock)
        {
            // Whoever floods the LAN with claims fills no memory of ours.
            if (_claims.Count < 1000)
                _claims.Add((address, mac));
        }
        _dirty.Wake();
    }

    private void Probed(HostAddress address, MacAddress? other)
    {
        lock (_lock)
            _probed.Add((address, other));
        _dirty.Wake();
    }

    /// <summary>A Service, if it is served here.</summary>
    private Service? Served(Service? service) => service is not null && _options.Common.Serves(service) ? service : null;

    private void Decide(NamespacedName name, Surroundings surroundings, bool isAnnounced)
    {
        var service = _services.Get(name);
        var served = Served(service);
        var before = _decisions.GetValueOrDefault(name);
        // It may have changed since its group was worked out; then it is looked at once more.
        Assign(name, served, surroundings.Config);
        var decision = served is null ? Decision.Silent(SilenceReason.NotLoadBalancer) : AnnouncementRules.Decide(served, _slices.Of(name), surroundings);
        decision = Examine(name, decision, isAnnounced);
        if (decision.Reason == SilenceReason.NotLoadBalancer)
        {
            _decisions.Remove(name);
            _public.TryRemove(name, out _);
        }
        else
        {
            _decisions[name] = decision;
            _public[name] = decision;
        }
        PassCondition(name, service, decision);
        if (!decision.IsLike(before))
            Interlocked.Increment(ref _changes);
        _events.Tell(name, service, before, decision, _announcer.InterfaceCount);
        Decided?.Invoke(name, decision);
    }

    private void Publish(bool tellAll)
    {
        var wanted = new Dictionary<HostAddress, DateTimeOffset?>();
        var interfaces = new Dictionary<HostAddress, IReadOnlySet<string>>();
        var macs = new Dictionary<HostAddress, MacAddress>();
        var listed = new List<(NamespacedName Service, HostAddress Address)>();
        foreach (var (name, decision) in _decisions)
        {
            foreach (var address in decision.Addresses)
            {
                // Several Services may share an address: it is announced as long as the longest of them may.
                bool shared = wanted.TryGetValue(address, out var end);
                wanted[address] = !shared ? decision.ValidUntil : end is null || decision.ValidUntil is null ? null : end > decision.ValidUntil ? end : decision.ValidUntil;
                if (!shared && decision.Interfaces is { } only)
                    interfaces[address] = only;
                else if (decision.Interfaces is null)
                    interfaces.Remove(address);
                if (decision.Macs.TryGetValue(address, out var mac))
                    macs[address] = mac;
                listed.Add((name, address));
            }
        }
        var arrived = _table.Replace(wanted, interfaces, macs);
        _metrics.Announced(listed);
        if (tellAll)
            _announcer.Tell(wanted.Keys);
        else if (arrived.Count > 0)
            _announcer.Tell([.. arrived]);
    }
}
