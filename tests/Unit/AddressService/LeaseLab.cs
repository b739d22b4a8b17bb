using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;
using DynamicLb.Tests.Unit.Dhcp6;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>The power goes off: everything but the store is gone.</summary>
internal sealed class PowerCutException : Exception
{
    public PowerCutException()
    {
    }

    public PowerCutException(string message)
        : base(message)
    {
    }

    public PowerCutException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>
/// The address service without threads, sockets and a clock of its own: a keeper in virtual time before a scripted DHCP server. Answers arrive at once.
/// <see cref="Restart"/> makes a new keeper on the same store, as after SIGKILL.
/// </summary>
internal sealed class LeaseLab : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly Queue<(int Link, DhcpMessage Message)> _outbox = new();
    private readonly Queue<(int Link, IPv4Address Address)> _probed = new();
    private readonly Queue<(int Link, Dhcp6Message? Message, IPv6Address Target)> _outbox6 = new();
    private ulong _seed;

    /// <param name="options">Settings.</param>
    /// <param name="canProbe">Whether addresses are looked for by ARP before their first use.</param>
    public LeaseLab(AddressServiceOptions? options = null, bool canProbe = false)
    {
        CanProbe = canProbe;
        Options = options ?? new AddressServiceOptions();
        Restart();
    }

    public AddressServiceOptions Options { get; }

    public LabClock Clock { get; } = new();

    public MemoryLeaseStore Store { get; } = new();

    public FakeDhcpServer Server { get; init; } = new();

    public LeaseKeeper Keeper { get; private set; } = null!;

    /// <summary>What left the keeper, with its time.</summary>
    public List<(TimeSpan At, DhcpMessage Message)> Sent { get; } = [];

    public HashSet<MacAddress> Joined { get; } = [];

    /// <summary>Called with every message as it leaves, before the server sees it.</summary>
    public Action<DhcpMessage> Leaving { get; set; } = _ => { };

    /// <summary>Called with every answer before the keeper sees it.</summary>
    public Action<DhcpMessage> Arriving { get; set; } = _ => { };

    public HashSet<IPv4Address> OwnAddresses { get; } = [];

    /// <summary>The interface's own MAC.</summary>
    public MacAddress Nic { get; set; } = MacAddress.Parse("02:00:00:00:00:07");

    public bool CanProbe { get; }

    /// <summary>Hosts that answer ARP.</summary>
    public Dictionary<IPv4Address, MacAddress> Hosts { get; } = [];

    /// <summary>What was asked for by ARP, with the time.</summary>
    public List<(TimeSpan At, IPv4Address Address)> Probes { get; } = [];

    /// <summary>Held addresses whose use by others is to be told.</summary>
    public HashSet<IPv4Address> Watched { get; } = [];

    /// <summary>The DHCPv6 server, where an interface leases IPv6.</summary>
    public FakeDhcp6Server Server6 { get; } = new();

    /// <summary>IPv6 addresses that other hosts use.</summary>
    public HashSet<IPv6Address> InUse { get; } = [];

    /// <summary>Addresses that were looked at.</summary>
    public List<IPv6Address> Detected { get; } = [];

    /// <summary>The server behind each interface but the first.</summary>
    public List<FakeDhcpServer> OtherServers { get; } = [];

    /// <summary>A new keeper on the same store; nothing else survives.</summary>
    public void Restart()
    {
        _outbox.Clear();
        _outbox6.Clear();
        Joined.Clear();
        Leaving = _ => { };
        Arriving = _ => { };
        Keeper = new LeaseKeeper(
            Options, Store, [.. Options.Interfaces.Select((o, i) => new LeaseLink(Options, o, o.Name ?? "lan0", new Wire(this, i), OwnAddresses.Contains, o.Families.Contains(LeaseFamily.IPv6) ? new Wire6(this, i) : null) { HardwareAddress = () => Nic, Shared = o.Transport == TransportMode.Relay ? this : null })], Clock, new LeaseMetrics(_services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>()),
            NullLogger<LeaseKeeper>.Instance, DhcpRandom.Seeded(++_seed));
        Keeper.Load();
    }

    /// <summary>Starts a call and lets what is due at this moment happen.</summary>
    public AcquireWaiter Post(string service, string? uid = null, string? ip = null, string? held = null)
    {
        var waiter = Call(service, uid, ip, held);
        Settle();
        return waiter;
    }

    /// <summary>Starts a call, and no more.</summary>
    public AcquireWaiter Call(string service, string? uid = null, string? ip = null, string? held = null, LeaseFamily family = LeaseFamily.IPv4)
    {
        var waiter = new AcquireWaiter();
        Keeper.Acquire(
            new AcquireCall(
                service, uid, LeaseAddress.TryParse(ip, out var wanted) ? wanted : null, Held: LeaseAddress.TryParse(held, out var address) ? address : null, Family: family),
            waiter);
        return waiter;
    }

    /// <summary>A call that must succeed at once.</summary>
    public AcquireAddressAnswer Lease(string service, string? uid = null)
    {
        var outcome = Outcome(Post(service, uid));
        Assert.Equal(AcquireKind.Success, outcome.Kind);
        return outcome.Answer;
    }

    public static AcquireOutcome Outcome(AcquireWaiter waiter)
    {
        Assert.True(waiter.Task.IsCompletedSuccessfully, "the call has no answer yet");
        return waiter.Task.GetAwaiter().GetResult();
    }

    public ReleaseOutcome Delete(string? ip = null, string? service = null, LeaseFamily? family = null)
    {
        var outcome = Keeper.Release(LeaseAddress.TryParse(ip, out var wanted) ? wanted : null, service, null, family);
        Settle();
        return outcome;
    }

    public IReadOnlyList<LeaseAnswer> Leases => Keeper.Status().Allocations;

    public int CountSent(DhcpMessageType type) => Sent.Count(s => s.Message.Type == type);

    public void Advance(TimeSpan by)
    {
        var target = Clock.Now + by;
        Settle();
        while (Keeper.NextDeadline is { } next && next <= target)
        {
            Clock.Now = next > Clock.Now ? next : Clock.Now;
            Settle();
        }
        Clock.Now = target;
        Settle();
    }

    /// <summary>Lets happen what is due now.</summary>
    public void Settle()
    {
        do
        {
            Keeper.Tick();
            Deliver();
            Deliver6();
        }
        while (Keeper.NextDeadline <= Clock.Now);
    }

    public void Dispose() => _services.Dispose();

    private void Deliver()
    {
        while (_outbox.Count + _probed.Count > 0)
        {
            while (_probed.TryDequeue(out var probed))
            {
                if (Hosts.TryGetValue(probed.Address, out var host))
                    Keeper.Heard(Keeper.Links[probed.Link], probed.Address, host);
            }
            if (!_outbox.TryDequeue(out var item))
                continue;
            Leaving(item.Message);
            var message = InMemoryDhcpTransport.Recode(item.Message);
            Sent.Add((Clock.Now, message));
            var server = item.Link == 0 ? Server : OtherServers[item.Link - 1];
            foreach (var answer in server.Handle(message))
            {
                Arriving(answer);
                Keeper.Receive(Keeper.Links[item.Link], new DhcpReply(InMemoryDhcpTransport.Recode(answer), server.Mac, server.Id));
            }
        }
    }

    private void Deliver6()
    {
        while (_outbox6.TryDequeue(out var item))
        {
            var link = Keeper.Links[item.Link];
            if (item.Message is not { } message)
            {
                Detected.Add(item.Target);
                if (InUse.Contains(item.Target))
                    Keeper.InUse(link, item.Target, MacAddress.Parse("02:00:00:00:00:99"));
            }
            else if (Server6.Handle(Dhcp6Lab.Recode(message)) is { } answer)
            {
                Keeper.Receive(link, Dhcp6Lab.Recode(answer), FakeDhcp6Server.Address);
            }
        }
    }

    private sealed class Wire6(LeaseLab lab, int link) : ILeaseWire6
    {
        public void Send(Dhcp6Message message) => lab._outbox6.Enqueue((link, message, default));

        public void Detect(IPv6Address address) => lab._outbox6.Enqueue((link, null, address));

        public bool IsOwnAddress(IPv6Address address) => false;
    }

    private sealed class Wire(LeaseLab lab, int link) : ILeaseWire
    {
        public void Send(DhcpMessage message, in DhcpDestination destination) => lab._outbox.Enqueue((link, message));

        public bool CanProbe => lab.CanProbe;

        public void Probe(IPv4Address address)
        {
            lab.Probes.Add((lab.Clock.Now, address));
            lab._probed.Enqueue((link, address));
        }

        public void Watch(IPv4Address address) => lab.Watched.Add(address);

        public void Unwatch(IPv4Address address) => lab.Watched.Remove(address);

        public void Join(MacAddress mac) => lab.Joined.Add(mac);

        public void Leave(MacAddress mac) => lab.Joined.Remove(mac);
    }
}

/// <summary>Both clocks of the leases, moved by the test.</summary>
internal sealed class LabClock : ILeaseClock
{
    public static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public TimeSpan Now { get; set; } = TimeSpan.FromHours(1);

    /// <summary>What an administrator did to the wall clock.</summary>
    public TimeSpan WallOffset { get; set; }

    public DateTimeOffset UtcNow => Start + Now + WallOffset;

    public string BootId { get; set; } = "boot-1";
}

/// <summary>A store that keeps what it was given when the power goes off in the midst of a write, before or after it took effect.</summary>
internal sealed class MemoryLeaseStore : ILeaseStore
{
    private readonly Dictionary<Guid, LeaseRecord> _records = [];
    private readonly Dictionary<Guid, LeaseRecord> _deferred = [];
    private IReadOnlyList<string>? _macs;

    /// <summary>Takes writes, and makes them durable only in <see cref="CatchUp"/>.</summary>
    public bool Defers { get; set; }

    public IReadOnlyCollection<LeaseRecord> Records => _records.Values;

    /// <summary>Every state written, in order.</summary>
    public List<LeaseRecordState> Writes { get; } = [];

    /// <summary>Throws to fail a write that has not begun.</summary>
    public Action<LeaseRecord> BeforeSave { get; set; } = _ => { };

    /// <summary>Throws when the write is durable, but its caller never learns of it.</summary>
    public Action<LeaseRecord> AfterSave { get; set; } = _ => { };

    public StoreContents Load()
    {
        BeforeSave = _ => { };
        AfterSave = _ => { };
        _deferred.Clear();
        return new StoreContents([.. _records.Values], _macs, []);
    }

    public bool IsPending(Guid id) => _deferred.ContainsKey(id);

    /// <summary>Makes durable what was taken so far, and tells the keeper.</summary>
    public void CatchUp(LeaseKeeper keeper)
    {
        var records = _deferred.Values.ToList();
        _deferred.Clear();
        foreach (var record in records)
        {
            _records[record.Id] = record;
            Writes.Add(record.State);
        }
        foreach (var record in records)
            keeper.Stored(record);
    }

    public void Save(LeaseRecord record)
    {
        BeforeSave(record);
        if (Defers)
        {
            _deferred[record.Id] = record;
            return;
        }
        _records[record.Id] = record;
        Writes.Add(record.State);
        AfterSave(record);
    }

    public void Delete(LeaseRecord record) => _records.Remove(record.Id);

    public void SaveMacs(IReadOnlyList<string> macs) => _macs = macs;

    public byte[] MacKey() => [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    public void Dispose()
    {
    }
}
