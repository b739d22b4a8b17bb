using System.Net.Sockets;
using DynamicLb.AddressService.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Icmp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.AddressService.Leasing;

/// <summary>An interface that is leased on, and its frames.</summary>
/// <param name="options">Its settings.</param>
/// <param name="device">The kernel's name for it.</param>
/// <param name="transport">Its DHCP messages.</param>
/// <param name="channel">Its frames, where they are sent as such.</param>
/// <param name="prober">Its probes, where addresses are looked for before their first use: ARP, or through a relay ICMP.</param>
/// <param name="hardwareAddress">Its own MAC; null to ask the channel or the kernel.</param>
internal sealed class DhcpLink(
    InterfaceOptions options, string device, IDhcpTransport transport, FollowingLinkChannel? channel, IAddressProber? prober = null, Func<MacAddress>? hardwareAddress = null)
{
    public InterfaceOptions Options { get; } = options;

    /// <summary>The kernel's name for it: that stays, while index and hardware address may change when it is made anew.</summary>
    public string Device { get; } = device;

    /// <summary>By which requests name it.</summary>
    public string Name => Options.Name ?? Device;

    public IDhcpTransport Transport { get; } = transport;

    public FollowingLinkChannel? Channel { get; } = channel;

    public IAddressProber? Prober { get; } = prober;

    /// <summary>Its own MAC now; zero while there is no such interface.</summary>
    public MacAddress HardwareAddress =>
        hardwareAddress?.Invoke() ?? (Channel is { } frames ? frames.Link.Mac : NetworkInterfaces.TryRead(Device)?.Link.Mac ?? MacAddress.Zero);

    /// <summary>Its DHCPv6 messages; null where IPv6 is not leased.</summary>
    public DhcpLink6? Six { get; init; }

    /// <summary>Everything that receives on it, until cancelled.</summary>
    public Task ReceiveAsync(IDhcpReceiver receiver, IArpReceiver hearer, ILinkReceiver6 receiver6, CancellationToken cancellationToken) => Together.RunAsync(
        cancellationToken,
        token => Transport.RunAsync(receiver, token),
        token => Prober?.RunAsync(hearer, token) ?? Task.CompletedTask,
        token => Six?.RunAsync(receiver6, token) ?? Task.CompletedTask);

    /// <exception cref="UnusableException">The socket cannot be opened.</exception>
    public static DhcpLink Open(InterfaceOptions options, LinkInfo link, ILinkMonitor monitor, RelaySockets relays, TimeProvider time)
    {
        if (options.Transport == TransportMode.Relay)
        {
            var relay = relays.Open(options, link.Name);
            return new DhcpLink(options, link.Name, relay, null, ProberOf(relay)) { Six = Open6(options, link, monitor, relays, time) };
        }
        // What relays, and leases no IPv4, needs no frames.
        if (options.IsRelayed6 && !options.Families.Contains(LeaseFamily.IPv4))
            return new DhcpLink(options, link.Name, new NoDhcpTransport(), null) { Six = Open6(options, link, monitor, relays, time) };
        try
        {
            var (channel, tagged) = Follow(DhcpFilter.For((ushort)options.Vlan));
            var transport = new PacketDhcpTransport(tagged, options.Transport == TransportMode.ChAddr ? DhcpFrameSource.ChAddr : DhcpFrameSource.Nic, time);
            var prober = options.ProbeTiming is null && !options.WatchesConflicts ? null
                : new ArpProber(Follow(ArpPacket.FilterFor((ushort)options.Vlan)).Tagged, time) { Watch = options.NewWatch<IPv4Address>(time) };
            return new DhcpLink(options, link.Name, transport, channel, prober) { Six = Open6(options, link, monitor, relays, time) };
        }
        catch (SocketException e)
        {
            throw new UnusableException($"No packet socket on {link.Name}: {e.Message}. It takes the capability NET_RAW.", e);
        }

        // A relay is to need no more rights than it has: where ICMP is not allowed, nobody is asked, which the log tells.
        IAddressProber? ProberOf(RelayDhcpTransport relay)
        {
            if (options.ProbeTiming is null)
                return null;
            try
            {
                return IcmpProber.Open(relay.Socket.Address, DhcpRandom.Secure, time);
            }
            catch (SocketException)
            {
                return null;
            }
        }

        (FollowingLinkChannel Channel, ILinkChannel Tagged) Follow(BpfProgram filter)
        {
            var channel = new FollowingLinkChannel(link, monitor, found => PacketLinkChannel.Open(found, filter));
            return (channel, options.Vlan == 0 ? channel : new TaggedLinkChannel(channel, (ushort)options.Vlan));
        }
    }

    private static DhcpLink6? Open6(InterfaceOptions options, LinkInfo link, ILinkMonitor monitor, RelaySockets relays, TimeProvider time) =>
        !options.Families.Contains(LeaseFamily.IPv6) ? null
        : options.IsRelayed6 ? new DhcpLink6(relays.Open6(options, link)) : DhcpLink6.Open(options, link, monitor, time);

    /// <summary>Where no IPv4 is leased and no frames are sent.</summary>
    private sealed class NoDhcpTransport : IDhcpTransport
    {
        public ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken) => ValueTask.CompletedTask;

        public void Join(MacAddress hardwareAddress)
        {
            // Nothing is listened to.
        }

        public void Leave(MacAddress hardwareAddress)
        {
            // As above.
        }

        public Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken) => Task.CompletedTask;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}

/// <summary>The interfaces that are leased on, in the order of the configuration.</summary>
internal sealed class DhcpLinks : IAsyncDisposable
{
    public DhcpLinks(ILinkMonitor monitor, IReadOnlyList<DhcpLink> items, RelaySockets relays)
    {
        Monitor = monitor;
        Items = items;
        Relays = relays;
    }

    public IReadOnlyList<DhcpLink> Items { get; }

    /// <summary>The addresses that are relayed from.</summary>
    public RelaySockets Relays { get; }

    /// <summary>Follows the interfaces; <see cref="LinkWatch"/> runs it.</summary>
    public ILinkMonitor Monitor { get; }

    /// <summary>One interface that is not there yet is waited for, as long as there is another.</summary>
    /// <exception cref="UnusableException">There is none of the interfaces, or no packet socket can be opened.</exception>
    public static DhcpLinks Open(AddressServiceOptions options, TimeProvider time)
    {
        var monitor = new LinkMonitor(time);
        var found = options.Interfaces.Select(each => (Options: each, Link: Find(each))).ToList();
        // A relay that was told its address needs no interface.
        if (found.All(each => each.Link.Index == 0 && each.Options is not { Transport: TransportMode.Relay, RelayAddress: not null } and not { IsRelayed6: true, Relay6Address: not null }))
            throw new UnusableException($"There is no Ethernet interface '{string.Join("', '", found.Select(each => each.Link.Name))}': name another by --interface.");
        var relays = new RelaySockets(time);
        return new DhcpLinks(monitor, [.. found.Select(each => DhcpLink.Open(each.Options, each.Link, monitor, relays, time))], relays);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var link in Items)
        {
            await link.Transport.DisposeAsync();
            if (link.Prober is { } prober)
                await prober.DisposeAsync();
            if (link.Six is not null)
                await link.Six.DisposeAsync();
        }
        await Relays.DisposeAsync();
    }

    private static LinkInfo Find(InterfaceOptions options)
    {
        string name = options.Device != "auto" ? options.Device
            : DefaultRoute.FindInterface() ?? throw new UnusableException("No interface has an IPv4 default route: name one by --interface.");
        return NetworkInterfaces.TryRead(name)?.Link ?? new LinkInfo(0, name, MacAddress.Zero);
    }
}
