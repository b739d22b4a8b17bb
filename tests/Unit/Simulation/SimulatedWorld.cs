using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Metrics;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.AddressService;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>
/// The address service's real keeper and DHCP clients in a world where everything goes wrong: a network that loses, doubles and reorders, servers that
/// crash, forget and contradict each other, hosts that sit on addresses of the range, forged replies, kills and power cuts, clocks that jump. One seed makes one world, always the same.
/// This part holds time and the process.
/// </summary>
internal sealed partial class SimulatedWorld : ILeaseWire, ILeaseWire6, ILeaseClock, IDisposable
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly PriorityQueue<Action, (TimeSpan At, long Order)> _events = new();
    private readonly Queue<Action> _outbox = new();
    private readonly Queue<string> _trace = new();
    private readonly HashSet<string> _joined = new(StringComparer.Ordinal);
    private readonly List<SimulatedServer> _servers = [];

    // From the beginning; some go, and none comes back: nobody of ours ever had their address while they were there.
    private readonly SortedDictionary<string, MacAddress> _hosts = new(StringComparer.Ordinal);
    private readonly AddressServiceOptions _options = new();
    private readonly LeaseMetrics _metrics;
    private readonly SimulatedStore _store;
    private readonly DhcpRandom _random;
    private readonly ulong _seed;
    private readonly TimeSpan _lease;
    private readonly int _count;
    private readonly bool _reboots;
    private readonly bool _leavesStoreAlone;
    private LeaseKeeper? _keeper;
    private bool _isSuspended;
    private bool _isCalm;
    private long _order;
    private TimeSpan _now = TimeSpan.FromDays(1);
    private TimeSpan _bootedAt;
    private TimeSpan _wallOffset;
    private int _boots;
    private ulong _starts;
    private double _loss;
    private double _duplicates;
    private double _forgeries;
    private double _kills;
    private TimeSpan _delay;

    public SimulatedWorld(ulong seed)
    {
        _seed = seed;
        _random = DhcpRandom.Seeded(seed * 0x9e3779b97f4a7c15);
        _metrics = new LeaseMetrics(_services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
        uint[] lengths = [60, 120, 600, 3600, 3600, 14400, 43200];
        uint seconds = lengths[Below(lengths.Length)];
        _lease = TimeSpan.FromSeconds(seconds);
        _count = 4 + Below(12);
        _reboots = Chance(0.5);
        _leavesStoreAlone = Chance(0.2);
        _loss = Chance(0.3) ? 0 : Uniform() * 0.3;
        _duplicates = Uniform() * 0.1;
        _forgeries = Uniform() * 0.2;
        _kills = Chance(0.2) ? 0 : Uniform() * 0.004;
        _delay = TimeSpan.FromMilliseconds(1 + (Uniform() * Uniform() * 3000));
        _store = new SimulatedStore(Chance(0.5), Chance)
        {
            PowerCuts = Chance(0.3) ? 0 : Uniform() * 0.02,
            Failures = _leavesStoreAlone ? 0 : Uniform() * 0.05,
            HasPending = () => In(TimeSpan.FromMilliseconds(Below(Chance(0.1) ? 5000 : 200)), CatchUp),
            Wrote = text => Trace($"store: {text}"),
        };
        if (Chance(0.3))
        {
            _options.MacSource = MacSource.Pool;
            _options.Macs = [.. Enumerable.Range(0, _count + 4).Select(i => new MacAddress(0x0200_0000_0100 + (ulong)i))];
        }
        if (Chance(0.5))
            _options.Interface.Cidrs = [IPv4Network.Parse("10.77.0.0/16")];
        // Half of the services, or none, have addresses of IPv6.
        if (Chance(0.4))
            _options.Interface.Families = [LeaseFamily.IPv4, LeaseFamily.IPv6];
        _options.Interface.Probe = Chance(0.5) ? ProbeMode.On : ProbeMode.Off;
        int hosts = _options.Interface.Probe == ProbeMode.On ? Below(4) : 0;
        int servers = Chance(0.5) ? 1 : 2;
        for (int i = 0; i < servers; i++)
        {
            AddServer(new SimulatedServer4(new IPv4Address(0x0a4d0001 + (uint)i), 0x0a4d0100 + ((uint)i << 8), _count + 1 + hosts + Below(6))
            {
                AnswersOthers = Below(3) switch { 0 => DhcpMessageType.Nak, 1 => DhcpMessageType.Ack, _ => null },
                HasLease = mac => _grants.Any(g => g.Key.Item1 == mac && g.Value > _now),
            }, seconds, hosts);
            if (HasIPv6)
                AddServer(new SimulatedServer6((byte)(i + 1), _count + 1 + hosts + Below(6)) { DeniesOthers = Chance(0.5) }, seconds, hosts);
        }
        Trace($"{_count} services, {servers} servers{(HasIPv6 ? " of each family" : "")}, {_hosts.Count} hosts, {seconds} s, loss {_loss:0.00}, delay {_delay.TotalMilliseconds:0} ms, kills {_kills:0.0000}");
        Start();
    }

    public TimeSpan Now => _now - _bootedAt;

    public DateTimeOffset UtcNow => Epoch + _now + _wallOffset;

    public string BootId => $"boot-{_boots}";

    /// <summary>Hours for which services had their leases, summed up.</summary>
    public double LeaseHours { get; private set; }

    /// <summary>Of these, of IPv6.</summary>
    public double LeaseHours6 { get; private set; }

    /// <summary>Addresses that were declined because a host had them.</summary>
    public long Declines => _metrics.Totals().GetValueOrDefault("lease.declined");

    public int Steps { get; private set; }

    public int Kills { get; private set; }

    /// <summary>A number that differs when anything went differently.</summary>
    public ulong Fingerprint { get; private set; }

    /// <summary>The last that happened, and the seed.</summary>
    public string Story => $"seed {_seed} at {_now}:\n{string.Join('\n', _trace)}";

    /// <summary>Runs the whole life of the world: faults, then calm, then the end of all services.</summary>
    public void Run()
    {
        BeginFaults();
        RunUntil(_now + (_lease * 120));
        CalmDown();
        RunUntil(_now + (_lease * 1.1) + TimeSpan.FromMinutes(12));
        CheckCalm();
        DeleteAll();
        // Killed between the tombstones and the RELEASEs: the next process gives the leases back.
        if (_seed % 2 == 0 && _unwanted.Count == 0)
            Die(TimeSpan.FromSeconds(1));
        RunUntil(_now + TimeSpan.FromMinutes(1));
        CheckReleased();
        // A record that could not be deleted is dropped by the next process.
        Die(TimeSpan.FromSeconds(1));
        RunUntil(_now + TimeSpan.FromMinutes(11));
        CheckForgotten();
    }

    public void Dispose() => _services.Dispose();

    private bool HasIPv6 => _options.Interface.Families.Count > 1;

    private void RunUntil(TimeSpan end)
    {
        int still = 0;
        while (true)
        {
            var next = _events.TryPeek(out _, out var due) ? due.At : TimeSpan.MaxValue;
            bool ticks = false;
            if (_keeper is { } keeper && !_isSuspended && keeper.NextDeadline is { } deadline
                && (deadline == TimeSpan.MinValue ? TimeSpan.MinValue : deadline + _bootedAt) <= next)
            {
                next = deadline == TimeSpan.MinValue ? _now : deadline + _bootedAt;
                ticks = true;
            }
            if (next > end)
                break;
            still = next > _now ? 0 : still + 1;
            Require(still < 20_000, "time stands still: something is due for ever");
            Advance(next);
            if (ticks)
                Guarded(k => k.Tick());
            else
                _events.Dequeue()();
            Steps++;
            Check();
        }
        Advance(end);
    }

    private void Advance(TimeSpan to)
    {
        if (to <= _now)
            return;
        LeaseHours += (to - _now).TotalHours * _entitled;
        LeaseHours6 += (to - _now).TotalHours * _entitled6;
        _now = to;
    }

    /// <summary>Calls the keeper as its loop does: then what it sent goes out, unless the process dies meanwhile.</summary>
    private void Guarded(Action<LeaseKeeper> action)
    {
        if (_keeper is not { } keeper || _isSuspended)
            return;
        try
        {
            action(keeper);
            // The loop lets nothing wait that is due.
            while (keeper.NextDeadline <= Now)
                keeper.Tick();
            if (!_isCalm && Chance(_kills))
                throw new PowerCutException();
            while (_outbox.TryDequeue(out var send))
            {
                send();
                if (!_isCalm && Chance(_kills))
                    throw new PowerCutException();
            }
        }
        catch (PowerCutException)
        {
            Die();
        }
    }

    private void Start()
    {
        if (_keeper is not null)
            return;
        Trace("start");
        try
        {
            _keeper = new LeaseKeeper(
                _options, _store, [new LeaseLink(_options, _options.Interface, "lan0", this, static _ => false, HasIPv6 ? this : null)], this, _metrics, NullLogger<LeaseKeeper>.Instance, DhcpRandom.Seeded(_seed + (++_starts << 32)));
            _keeper.Load();
            CheckLoaded();
        }
        catch (PowerCutException)
        {
            Die();
        }
    }

    private void Die(TimeSpan? downtime = null)
    {
        Kills++;
        Trace("killed");
        _keeper = null;
        _isSuspended = false;
        _outbox.Clear();
        _joined.Clear();
        _store.Crash();
        ForgetCalls();
        if (_reboots && Chance(0.3))
        {
            _boots++;
            _bootedAt = _now;
        }
        In(downtime ?? (Chance(0.8) ? TimeSpan.FromMilliseconds(100 + Below(3000)) : Outage()), Start);
    }

    private void CatchUp()
    {
        if (_keeper is null)
            return;
        var records = _store.CatchUp();
        Guarded(keeper =>
        {
            foreach (var record in records)
                keeper.Stored(record);
        });
    }

    private void AddServer(SimulatedServer server, uint seconds, int hosts)
    {
        server.LeaseSeconds = seconds;
        server.IsAuthoritative = Chance(0.5);
        server.Recreates = Chance(0.6);
        server.SendsTimers = Chance(0.5);
        server.ForgetsDeclines = Chance(0.5);
        // What was promised once stands, also when the server forgot it and promises less.
        server.Granted = (client, address, until) =>
            _grants[(client, address)] = _grants.TryGetValue((client, address), out var before) && before > until ? before : until;
        for (int i = 0; i < hosts; i++)
            _hosts[server.AddressOf(Below(_count))] = new MacAddress(0x02ee_0000_0000UL + (ulong)_hosts.Count);
        _servers.Add(server);
    }

    private void In(TimeSpan delay, Action action) => _events.Enqueue(action, (_now + delay, ++_order));

    private void Trace(string text)
    {
        foreach (char c in text)
            Fingerprint = (Fingerprint ^ c) * 0x100000001b3;
        Fingerprint ^= (ulong)_now.Ticks;
        _trace.Enqueue($"{_now:d\\.hh\\:mm\\:ss\\.fff} {text}");
        if (_trace.Count > 150)
            _trace.Dequeue();
    }

    private double Uniform() => _random.NextDouble();

    private bool Chance(double probability) => probability > 0 && Uniform() < probability;

    private int Below(int limit) => (int)(Uniform() * limit);
}
