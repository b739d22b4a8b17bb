using System.Net;
using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>
/// A segment in virtual time: nodes with the real table, frames and election, clocks that drift, and a wire that loses, delays, doubles and parts. Everything follows from the seed.
/// </summary>
internal sealed class HeartbeatWorld
{
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);
    private static readonly byte[] Key = Encoding.UTF8.GetBytes("0123456789abcdef");
    private static readonly byte[][] Keys = [Key];
    private readonly Random _random;
    private readonly PriorityQueue<Action, (TimeSpan At, long Order)> _events = new();
    private readonly double _loss;
    private readonly TimeSpan _delay;
    private long _order;

    public HeartbeatWorld(int seed, int nodes, double loss = 0, double delayMilliseconds = 1)
    {
        _random = new Random(seed);
        _loss = loss;
        _delay = TimeSpan.FromMilliseconds(delayMilliseconds);
        for (int i = 0; i < nodes; i++)
            Nodes.Add(new SimulatedNode(this, $"node-{i}", 0.98 + (_random.NextDouble() * 0.04)));
    }

    public List<SimulatedNode> Nodes { get; } = [];

    public TimeSpan Now { get; private set; }

    /// <summary>Called at every change of what a node concludes.</summary>
    public Action Changed { get; set; } = static () => { };

    /// <summary>Every frame that was sent, for whoever plays them again.</summary>
    public List<byte[]> Recorded { get; } = [];

    public void Run(double seconds)
    {
        var end = Now + TimeSpan.FromSeconds(seconds);
        while (_events.TryPeek(out _, out var next) && next.At <= end)
        {
            var action = _events.Dequeue();
            Now = next.At;
            action();
        }
        Now = end;
    }

    public void At(TimeSpan at, Action action) => _events.Enqueue(action, (at, _order++));

    public ulong Draw() => (ulong)_random.NextInt64();

    public double Uniform() => _random.NextDouble();

    /// <summary>The nodes that announce an address now.</summary>
    public List<SimulatedNode> Owners(IPAddress address, int part = 0) => [.. Nodes.Where(node => node.Part == part && node.Announces(address))];

    public void Send(SimulatedNode from, byte[] frame)
    {
        if (Recorded.Count < 10_000)
            Recorded.Add(frame);
        foreach (var to in Nodes.Where(to => to != from && to.Part == from.Part))
        {
            for (int copy = _random.NextDouble() < 0.02 ? 2 : 1; copy > 0; copy--)
            {
                if (_random.NextDouble() >= _loss)
                    At(Now + (_delay * (0.5 + _random.NextDouble())), () => to.Receive(frame));
            }
        }
    }

    internal sealed class SimulatedNode
    {
        private readonly HeartbeatWorld _world;
        private readonly double _rate;
        private readonly MacAddress _mac;
        private readonly List<byte[]> _queue = [];
        private HeartbeatTable? _table;
        private TimeSpan _pausedAt;
        private int _life;

        public SimulatedNode(HeartbeatWorld world, string name, double rate)
        {
            _world = world;
            Name = name;
            _rate = rate;
            _mac = new MacAddress(0x020000000000u + (ulong)world.Nodes.Count);
            world.At(TimeSpan.FromMilliseconds(world.Uniform() * 50), Start);
        }

        public string Name { get; }

        public int Part { get; set; }

        public bool IsPaused { get; private set; }

        public bool IsRunning => _table is not null;

        public HeartbeatSight Sight => _table?.Sight ?? HeartbeatSight.Nothing;

        private TimeSpan Clock => _world.Now * _rate;

        public bool Announces(IPAddress address)
        {
            if (_table is null || IsPaused || _table.IsLeaving || !Sight.IsReady)
                return false;
            return Election.Winner(Sight.Alive.Append(Name), address) == Name;
        }

        public void Start()
        {
            _table = new HeartbeatTable(Name, Interval, _world.Draw, Clock);
            int life = ++_life;
            Tick(life);
        }

        public void Kill()
        {
            _table = null;
            _queue.Clear();
            _world.Changed();
        }

        public void Pause() => (IsPaused, _pausedAt) = (true, Clock);

        public void Wake()
        {
            IsPaused = false;
            // The first thing that it does is to look how long it stood still.
            if (Clock - _pausedAt >= Interval * (HeartbeatTable.LostAfter - 1))
                _table!.Join(Clock);
            Tick(++_life);
            foreach (var frame in _queue.ToArray())
                Receive(frame);
            _queue.Clear();
        }

        public void Leave()
        {
            _table!.Leave();
            Beat();
        }

        public void Receive(byte[] frame)
        {
            if (_table is null)
                return;
            if (IsPaused)
            {
                _queue.Add(frame);
                return;
            }
            if (!HeartbeatFrame.TryRead(frame, Keys, out var view))
                return;
            var kind = _table.Hear(view, 1, Clock);
            if (kind == HeardKind.Unacquainted && _table.MayAnswer(Clock))
                Beat();
            if (view.Beat.IsLeaving || view.Beat.IsReady != Sight.Alive.Contains(view.Node))
                Evaluate();
        }

        private void Tick(int life)
        {
            if (_table is null || life != _life || IsPaused)
                return;
            Beat();
            Evaluate();
            _world.At(_world.Now + (_table.Interval * (0.95 + (0.1 * _world.Uniform()))), () => Tick(life));
        }

        private void Beat()
        {
            Span<ulong> echoes = stackalloc ulong[HeartbeatFrame.MaxEchoes];
            var beat = _table!.Next(echoes, Clock, out int count);
            var frame = new byte[HeartbeatFrame.MaxLength];
            int length = HeartbeatFrame.Write(frame, _mac, beat, Encoding.UTF8.GetBytes(Name), echoes[..count], Key);
            _world.Send(this, frame[..length]);
        }

        private void Evaluate()
        {
            bool wasReady = Sight.IsReady;
            if (!_table!.Evaluate(Clock))
                return;
            if (Sight.IsReady && !wasReady)
                Beat();
            _world.Changed();
        }
    }
}
