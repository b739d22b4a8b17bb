using DynamicLb.AddressService.Configuration;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>What is sent on an interface.</summary>
internal interface ILeaseWire
{
    void Send(DhcpMessage message, in DhcpDestination destination);

    void Join(MacAddress mac);

    void Leave(MacAddress mac);

    /// <summary>Whether hosts can be asked for an address: by ARP, or, where messages travel through a relay, by ICMP.</summary>
    bool CanProbe => false;

    /// <summary>An address is held from now on: its use by others is told to <see cref="LeaseKeeper.Used"/>, where that is watched.</summary>
    void Watch(IPv4Address address)
    {
    }

    /// <summary>It is not any more.</summary>
    void Unwatch(IPv4Address address)
    {
    }

    /// <summary>Asks who has an address; what is heard comes to <see cref="LeaseKeeper.Heard"/>.</summary>
    void Probe(IPv4Address address)
    {
    }
}

/// <summary>What is sent for leases of IPv6 on an interface.</summary>
internal interface ILeaseWire6
{
    void Send(Dhcp6Message message);

    /// <summary>Whether hosts on the link can be asked: not where messages travel through a relay.</summary>
    bool CanDetect => true;

    /// <summary>Looks whether another host uses an address; <see cref="LeaseKeeper.InUse"/> is called if so.</summary>
    void Detect(IPv6Address address);

    bool IsOwnAddress(IPv6Address address);

    /// <summary>As <see cref="ILeaseWire.Watch"/>.</summary>
    void Watch(IPv6Address address)
    {
    }

    /// <summary>As <see cref="ILeaseWire.Unwatch"/>.</summary>
    void Unwatch(IPv6Address address)
    {
    }
}

/// <summary>An interface as the keeper sees it: how clients behave on it, and whose turn it is. Each has its own pace. It belongs to the loop.</summary>
internal sealed class LeaseLink
{
    /// <summary>
    /// A server's socket buffer holds some 166 messages, and what exceeds it is lost: no new exchange begins while so many await their first answer.
    /// One that was repeated in vain does not count any more, so that a server that is silent to some holds nobody else up for longer than the
    /// first pause; but see <see cref="ExchangeWindow"/> for a server that is only slow.
    /// </summary>
    internal const int MaxUnanswered = ExchangeWindow.Largest;

    /// <summary>How long another host has to say that it uses an address (RFC 4862 §5.1, RetransTimer).</summary>
    internal static readonly TimeSpan DetectionTime = TimeSpan.FromSeconds(1);

    private readonly TokenBucket _bucket;
    private readonly Func<IPv4Address, bool> _isOwnAddress;

    // What begins an exchange stands in a queue of its own: when it has to wait, repetitions and renewals go on.
    private readonly PriorityQueue<LeaseEntry, (int Class, TimeSpan Expiry)> _ready = new();
    private readonly PriorityQueue<LeaseEntry, (int Class, TimeSpan Expiry)> _starting = new();
    private readonly ExchangeWindow _window = new();

    /// <param name="all">The settings in force.</param>
    /// <param name="options">Those of this interface.</param>
    /// <param name="device">The kernel's name of the interface.</param>
    /// <param name="wire">Its frames.</param>
    /// <param name="isOwnAddress">Whether this host itself has an address.</param>
    /// <param name="wire6">The same for IPv6; null where it is not leased.</param>
    public LeaseLink(
        AddressServiceOptions all, InterfaceOptions options, string device, ILeaseWire wire, Func<IPv4Address, bool> isOwnAddress, ILeaseWire6? wire6 = null)
    {
        Options = options;
        Device = device;
        Wire = wire;
        Wire6 = wire6;
        _isOwnAddress = isOwnAddress;
        _bucket = new TokenBucket(options.MessagesPerSecond, options.MessageBurst);
        Settings = options.Dhcp with
        {
            AllowedServers = options.Servers,
            RequestedLeaseSeconds = options.LeaseSeconds,
            ReleaseDelay = all.ReleaseDelay,
            IsRelayed = options.Transport == TransportMode.Relay,
            Probe = wire.CanProbe ? options.ProbeTiming : null,
        };
        Settings6 = new Dhcp6ClientSettings
        {
            // The pace spreads what the standard would have spread by chance.
            FirstDelay = TimeSpan.Zero,
            AllowedServers = options.Servers6,
            RapidCommit = options.RapidCommit,
            DuplicateDetection = options.ProbeTiming is null || wire6?.CanDetect == false ? TimeSpan.Zero : DetectionTime + TimeSpan.FromMilliseconds(200),
            ReleaseDelay = all.ReleaseDelay,
        };
    }

    public InterfaceOptions Options { get; }

    public string Device { get; }

    /// <summary>By which requests name it.</summary>
    public string Name => Options.Name ?? Device;

    public ILeaseWire Wire { get; }

    /// <summary>What several interfaces that relay from one address share, each of which hears the replies to all; null for an interface by itself.</summary>
    public object? Shared { get; init; }

    /// <summary>The interface's own MAC; zero while there is no interface.</summary>
    public Func<MacAddress> HardwareAddress { get; init; } = static () => MacAddress.Zero;

    public DhcpClientSettings Settings { get; }

    /// <summary>Null where IPv6 is not leased.</summary>
    public ILeaseWire6? Wire6 { get; }

    public Dhcp6ClientSettings Settings6 { get; }

    private bool MayStart => _starting.Count > 0 && _window.IsOpen;

    private bool HasReady => _ready.Count > 0 || MayStart;

    /// <summary>When the pace lets the next one go; null when none waits.</summary>
    public TimeSpan? NextAt(TimeSpan now) => HasReady ? _bucket.NextAt(now) : null;

    /// <summary>Whether this host itself has an address.</summary>
    public bool IsOwnAddress(IPv4Address address) => _isOwnAddress(address);

    /// <summary>Whether leases of a family are to be had here.</summary>
    public bool Serves(LeaseFamily family) => family == LeaseFamily.IPv6 ? Wire6 is not null : Options.Families.Contains(LeaseFamily.IPv4);

    /// <summary>Begins to watch for others that use an address.</summary>
    public void Watch(LeaseAddress address)
    {
        if (address.IPv4 is { } four)
            Wire.Watch(four);
        else if (address.IPv6 is { } six)
            Wire6?.Watch(six);
    }

    /// <summary>Ends that.</summary>
    public void Unwatch(LeaseAddress address)
    {
        if (address.IPv4 is { } four)
            Wire.Unwatch(four);
        else if (address.IPv6 is { } six)
            Wire6?.Unwatch(six);
    }

    /// <summary>Why an address is not to be taken here, or null.</summary>
    public string? RefuseAddress(IPv6Address address)
    {
        if (Options.Cidrs6.Count > 0 && !Options.Cidrs6.Any(network => network.Contains(address)))
            return "outside the configured ranges";
        return Wire6?.IsOwnAddress(address) == true ? "this host's own address" : null;
    }

    /// <summary>Why an address is not to be taken here, or null.</summary>
    public string? RefuseAddress(IPv4Address address)
    {
        if (Options.Cidrs.Count > 0 && !Options.Cidrs.Any(network => network.Contains(address)))
            return "outside the configured ranges";
        return _isOwnAddress(address) ? "this host's own address" : null;
    }

    public void Enqueue(LeaseEntry entry)
    {
        entry.InReady = true;
        var lease = entry.Restored ?? entry.Client.Lease;
        var queue = entry.Pending is PendingStart.Acquire or PendingStart.Resume ? _starting : _ready;
        queue.Enqueue(entry, (lease is null ? 1 : 0, lease?.ExpiresAt ?? entry.StartedAt));
    }

    /// <summary>The most urgent one, if the pace allows one now: leases before searches, the one that ends first before the others.</summary>
    public bool TryDequeue(TimeSpan now, out LeaseEntry entry)
    {
        entry = null!;
        if (!HasReady || !_bucket.TryTake(now))
            return false;
        bool start = MayStart && (!_ready.TryPeek(out _, out var ready) || (_starting.TryPeek(out _, out var starting) && starting.CompareTo(ready) < 0));
        entry = (start ? _starting : _ready).Dequeue();
        entry.InReady = false;
        return true;
    }

    /// <summary>Takes note of a reply to a lease's exchange, before the client has it.</summary>
    public void Answered(LeaseEntry entry, TimeSpan now) => _window.Answered(entry.Client.FirstSentAt, now);

    /// <summary>Takes note of whether a lease's exchange awaits its first answer.</summary>
    public void CountUnanswered(LeaseEntry entry, TimeSpan now)
    {
        var client = entry.Client;
        var state = client.State;
        bool waits = !entry.IsGone && !entry.IsReleasing
            && state is DhcpClientState.Selecting or DhcpClientState.Requesting or DhcpClientState.Rebooting;
        // A server that has nothing to offer is silent, but it answers for what it has given.
        bool counts = waits
            && (client.IsFirstTransmission || (entry.IsUnanswered && state != DhcpClientState.Selecting && _window.IsBehind(client.FirstSentAt, now)));
        if (waits && entry.IsUnanswered && !client.IsFirstTransmission)
            _window.Repeated(client.FirstSentAt, now);
        SetUnanswered(entry, counts);
    }

    public void SetUnanswered(LeaseEntry entry, bool isUnanswered)
    {
        if (entry.IsUnanswered == isUnanswered)
            return;
        entry.IsUnanswered = isUnanswered;
        _window.Count += isUnanswered ? 1 : -1;
    }
}
