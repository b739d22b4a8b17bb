using System.Diagnostics.Metrics;
using System.Threading.Channels;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.Nftables;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Services;
using DynamicLb.Speaker.Status;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>A speaker without Kubernetes, sockets and a clock of its own.</summary>
internal sealed class SpeakerParts
{
    public const string Me = "node-b";

    public SpeakerParts(ConflictPolicy policy = ConflictPolicy.Off, bool sticky = false)
    {
        Options = new SpeakerOptions(
            new KubernetesProgramSettings("none", null, null, "", "http://127.0.0.1:0", LogLevel.None), Me,
            SpeakerCommand.Pattern(SpeakerCommand.DefaultExcluded), false, TimeSpan.FromSeconds(3), null, TimeSpan.FromMilliseconds(100))
        {
            ConflictPolicy = policy,
            StickyOwners = sticky,
        };
        var metrics = Metrics = new SpeakerMetrics(Meters, Options, new ConfigFileWatcher("none", Time, NullLogger<ConfigFileWatcher>.Instance));
        Table = new AnnouncementTable(Time);
        Guard = new PauseGuard(Time, TimeSpan.FromHours(1));
        var context = Context = new ResponderContext(Table, Guard, metrics, Time);
        Announcer = new Layer2Announcer(Options, context, Links,
            new ResponderSockets(
                link => Channels[link.Name] = new FakeChannel(link), link => Ndp[link.Name] = new FakeChannel(link), link => Groups[link.Name] = new FakeGroups())
            {
                Dhcp = link => DhcpFaults-- > 0 ? throw new System.Net.Sockets.SocketException(1) : Dhcp[link.Name] = new FakeChannel(link),
            },
            Macs, Time, NullLogger<Layer2Announcer>.Instance);
        Reconciler = new ServiceReconciler(
            Options, Services, Nodes, Slices, Membership, Table, Announcer, context, new ServiceEvents(Options, Events, NullLogger<ServiceEvents>.Instance), metrics, Time,
            NullLogger<ServiceReconciler>.Instance);
        Claim = context.Claimed!;
        Reconciler.ConflictChanged = (service, words) => Conditions.Add((service, words));
        Reconciler.AnnouncersOf = service => Announcers.GetValueOrDefault(service) ?? [];
        Reconciler.KnowsAnnouncers = () => KnowsAnnouncers;
    }

    /// <summary>The scope of this speaker's meters: tests beside it have the same names.</summary>
    public IMeterFactory Meters { get; } = new MeterScope();

    public FakeTime Time { get; } = new(new DateTimeOffset(2026, 1, 1, 12, 0, 0, TimeSpan.Zero));

    public SpeakerOptions Options { get; }

    public SpeakerMetrics Metrics { get; }

    public AnnouncementTable Table { get; }

    public PauseGuard Guard { get; }

    public ResponderContext Context { get; }

    public Layer2Announcer Announcer { get; }

    public ServiceReconciler Reconciler { get; }

    public Action<HostAddress, MacAddress> Claim { get; }

    public FakeInformer<Service> Services { get; } = new();

    public FakeInformer<Node> Nodes { get; } = new();

    public FakeInformer<EndpointSlice> Slices { get; } = new();

    public FakeMembership Membership { get; } = new();

    public FakeLinks Links { get; } = new();

    /// <summary>Channels of ARP, by interface.</summary>
    public Dictionary<string, FakeChannel> Channels { get; } = [];

    /// <summary>Channels of Neighbor Discovery, by interface.</summary>
    public Dictionary<string, FakeChannel> Ndp { get; } = [];

    /// <summary>Channels of what others ask DHCP servers, by interface.</summary>
    public Dictionary<string, FakeChannel> Dhcp { get; } = [];

    /// <summary>How often none of these can be opened.</summary>
    public int DhcpFaults { get; set; }

    public Dictionary<string, FakeGroups> Groups { get; } = [];

    public FakeAddressMacs Macs { get; } = new();

    public FakeEvents Events { get; } = new();

    /// <summary>Nodes that say of a Service that they announce it.</summary>
    public Dictionary<NamespacedName, string[]> Announcers { get; } = [];

    /// <summary>Whether all nodes can say so.</summary>
    public bool KnowsAnnouncers { get; set; }

    /// <summary>Nodes say that they announce a Service.</summary>
    public void Announce(NamespacedName service, params string[] nodes)
    {
        Announcers[service] = nodes;
        Reconciler.LookAgain(service);
    }

    /// <summary>What was said about conflicts, in order.</summary>
    public List<(NamespacedName Service, string? Words)> Conditions { get; } = [];

    /// <summary>Takes up a configuration file.</summary>
    /// <param name="yaml">Its text.</param>
    /// <param name="interfaces">What its L2Advertisements are restricted to; none for all.</param>
    public void Configure(string yaml, params string[] interfaces)
    {
        var result = ConfigFileReader.Read(yaml);
        Assert.Empty(result.Faults);
        var config = result.Config!;
        _ = Reconciler.ConfigureAsync(
            interfaces.Length == 0 ? config : new LoadBalancerConfig(config.AddressPools, config.AddressServices)
            {
                Layer2Advertisements = [.. config.Layer2Advertisements.Select(ad => ad with { Interfaces = interfaces })],
            });
    }

    private sealed class MeterScope : IMeterFactory
    {
        public Meter Create(MeterOptions options)
        {
            options.Scope = this;
            return new Meter(options);
        }

        public void Dispose()
        {
        }
    }
}

/// <summary>A copy that is set by hand. Thread-safe.</summary>
internal sealed class FakeInformer<T> : IInformer<T>
    where T : KubernetesObject
{
    private readonly Lock _lock = new();
    private readonly Dictionary<NamespacedName, T> _items = [];
    private Action<T?, T?>? _changed;

    public bool HasSynced { get; set; } = true;

    public IReadOnlyCollection<T> Items
    {
        get { lock (_lock) return [.. _items.Values]; }
    }

    public T? Get(NamespacedName name)
    {
        lock (_lock)
            return _items.GetValueOrDefault(name);
    }

    public void Subscribe(Action<T?, T?> changed) => _changed += changed;

    public Task WaitForSyncAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Set(T item)
    {
        T? old;
        lock (_lock)
        {
            old = _items.GetValueOrDefault(NamespacedName.Of(item));
            _items[NamespacedName.Of(item)] = item;
        }
        _changed?.Invoke(old, item);
    }

    public void Remove(T item)
    {
        T? old;
        lock (_lock)
            _items.Remove(NamespacedName.Of(item), out old);
        _changed?.Invoke(old, null);
    }
}

internal sealed class FakeMembership : IMembership
{
    public event Action? Changed;

    public event Action? Rejoined;

    public IReadOnlySet<string> Members { get; private set; } = new HashSet<string> { SpeakerParts.Me };

    public bool MustYield { get; set; }

    public bool MustYieldTo(MacAddress mac) => MustYield;

    public List<MacAddress> Seen { get; } = [];

    public HashSet<MacAddress> Speakers { get; } = [];

    /// <summary>Interfaces that take part; null for whatever is asked for.</summary>
    public HashSet<string>? Links { get; set; }

    public void SeenOtherwise(MacAddress mac) => Seen.Add(mac);

    public bool HasLink(IReadOnlySet<string>? interfaces) => Links is null || (interfaces is null ? Links.Count > 0 : Links.Overlaps(interfaces));

    public bool IsSpeaker(MacAddress mac) => Speakers.Contains(mac);

    public Func<string, bool> WhoServes(System.Net.IPAddress address, IReadOnlySet<string>? interfaces) => static _ => true;

    public void Set(params string[] members)
    {
        Members = members.ToHashSet();
        Changed?.Invoke();
    }

    public void LookAgain() => Changed?.Invoke();

    public void Rejoin()
    {
        MustYield = false;
        Rejoined?.Invoke();
    }
}

internal sealed class FakeLinks : ILinkMonitor
{
    public event Action? Changed;

    public IReadOnlyList<InterfaceState> Current { get; private set; } = [];

    public Task RunAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Set(params InterfaceState[] links)
    {
        Current = links;
        Changed?.Invoke();
    }
}

/// <summary>A link whose frames a test puts in and takes out.</summary>
internal sealed class FakeChannel(LinkInfo link) : ILinkChannel
{
    private readonly Channel<byte[]> _in = System.Threading.Channels.Channel.CreateUnbounded<byte[]>();
    private readonly Channel<byte[]> _out = System.Threading.Channels.Channel.CreateUnbounded<byte[]>();
    private int _receives;

    public LinkInfo Link => link;

    public bool IsDisposed { get; private set; }

    /// <summary>Frames that were sent and not taken by <see cref="NextAsync"/>.</summary>
    public int SentCount => _out.Reader.Count;

    public bool HasPending => _in.Reader.Count > 0;

    /// <summary>How often somebody has waited for a frame.</summary>
    public int Receives => Volatile.Read(ref _receives);

    public void Deliver(byte[] frame) => _in.Writer.TryWrite(frame);

    public async Task<byte[]> NextAsync() => await _out.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromMinutes(1));

    /// <summary>A frame that was sent; null for none.</summary>
    public byte[]? Take() => _out.Reader.TryRead(out var frame) ? frame : null;

    public ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        _out.Writer.TryWrite(frame.ToArray());
        return ValueTask.CompletedTask;
    }

    public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _receives);
        var frame = await _in.Reader.ReadAsync(cancellationToken);
        frame.CopyTo(buffer);
        return frame.Length;
    }

    /// <summary>Further hardware addresses that frames may be to.</summary>
    public HashSet<MacAddress> Joined { get; } = [];

    public void JoinUnicast(MacAddress address) => Joined.Add(address);

    public void LeaveUnicast(MacAddress address) => Joined.Remove(address);

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        return ValueTask.CompletedTask;
    }
}

/// <summary>The kernel's part in hardware addresses of leases.</summary>
internal sealed class FakeAddressMacs : IAddressMacs
{
    public volatile string? Fault;

    string? IAddressMacs.Fault => Fault;

    /// <summary>What was asked for last; null for nothing.</summary>
    public volatile IReadOnlyDictionary<IPv4Address, MacAddress>? Applied;

    /// <summary>Interfaces of that.</summary>
    public IReadOnlyList<string> Interfaces { get; private set; } = [];

    /// <summary>Refuses what is asked for.</summary>
    public volatile bool Refuses;

    public void Apply(IReadOnlyCollection<LinkInfo> interfaces, IReadOnlyDictionary<IPv4Address, MacAddress> macs)
    {
        if (Refuses)
            throw new System.ComponentModel.Win32Exception(2);
        if (Fault is not null && macs.Count > 0)
            throw new System.Net.Sockets.SocketException((int)System.Net.Sockets.SocketError.OperationNotSupported, Fault);
        Interfaces = [.. interfaces.Select(static link => link.Name).Order(StringComparer.Ordinal)];
        Applied = macs;
    }

    public void Dispose()
    {
    }
}

/// <summary>The groups of an interface.</summary>
internal sealed class FakeGroups : ISolicitedNodeGroups
{
    private volatile IReadOnlyList<IPv6Address> _addresses = [];

    public IReadOnlyList<IPv6Address> Addresses => _addresses;

    public bool Follow(IEnumerable<IPv6Address> addresses)
    {
        _addresses = [.. addresses];
        return true;
    }

    public void Dispose() => _addresses = [];
}

internal sealed class FakeEvents : IEventRecorder
{
    public List<string> Told { get; } = [];

    public void Normal(KubernetesObject about, string reason, string message) => Told.Add($"{about.Metadata.Name} {reason}");

    public void Warning(KubernetesObject about, string reason, string message) => Told.Add($"{about.Metadata.Name} {reason}");
}
