using System.Net;
using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>
/// Segments in virtual time: nodes with the real table, frames and election, clocks that drift, and a wire that loses, delays, doubles and parts. Everything follows from the seed.
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

    public HeartbeatWorld(int seed, int nodes, double loss = 0, double delayMilliseconds = 1, int segments = 1)
    {
        Segments = [.. Enumerable.Range(1, segments)];
        _random = new Random(seed);
        _loss = loss;
        _delay = TimeSpan.FromMilliseconds(delayMilliseconds);
        for (int i = 0; i < nodes; i++)
            Nodes.Add(new SimulatedNode(this, $"node-{i}", 0.98 + (_random.NextDouble() * 0.04)));
    }

    public List<SimulatedNode> Nodes { get; } = [];

    /// <summary>Every node has a link to each, with its number as index.</summary>
    public int[] Segments { get; }

    /// <summary>Those by which no heartbeats pass, whatever else does.</summary>
    public HashSet<int> Unheard { get; } = [];

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
    public List<SimulatedNode> Owners(IPAddress address, int part = 0, int segment = 1) =>
        [.. Nodes.Where(node => node.Part == part && node.Announces(address, segment))];

    public void Send(SimulatedNode from, int segment, byte[] frame)
    {
        if (Unheard.Contains(segment))
            return;
        if (Recorded.Count < 10_000)
            Recorded.Add(frame);
        foreach (var to in Nodes.Where(to => to != from && to.Part == from.Part && to.IsPlugged(segment)))
        {
            for (int copy = _random.NextDouble() < 0.02 ? 2 : 1; copy > 0; copy--)
            {
                if (_random.NextDouble() >= _loss)
                    At(Now + (_delay * (0.5 + _random.NextDouble())), () => to.Receive(frame, segment));
            }
        }
    }

    internal sealed class SimulatedNode
    {
        private readonly HeartbeatWorld _world;
        private readonly double _rate;
        private readonly MacAddress _mac;
        private readonly List<(byte[] Frame, int Segment)> _queue = [];
        private readonly HashSet<int> _cut = [];
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

        /// <summary>Whether it announces an address whose users are on a segment.</summary>
        public bool Announces(IPAddress address, int segment = 1)
        {
            if (_table is null || IsPaused || _table.IsLeaving || !Sight.IsReady)
                return false;
            return Election.Winner(Sight.Alive.Append(Name).Where(node => Sight.CanServe(node, Name, [segment])), address) == Name;
        }

        public bool IsPlugged(int segment) => !_cut.Contains(segment);

        /// <summary>The cable to a segment is cut, which the node sees, or it is plugged in again.</summary>
        public void Plug(int segment, bool isPlugged)
        {
            if (isPlugged)
                _cut.Remove(segment);
            else
                _cut.Add(segment);
            _table?.UseLinks(_world.Segments, [.. _world.Segments.Where(IsPlugged)], Clock);
            _world.Changed();
        }

        /// <summary>A switch lets no frame of the node pass any more, which the node does not see.</summary>
        public void Deafen(int segment) => _cut.Add(segment);

        public void Start()
        {
            _table = new HeartbeatTable(Name, Interval, _world.Draw, Clock);
            _table.UseLinks(_world.Segments, [.. _world.Segments.Where(IsPlugged)], Clock);
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
            foreach (var (frame, segment) in _queue.ToArray())
                Receive(frame, segment);
            _queue.Clear();
        }

        public void Leave()
        {
            _table!.Leave();
            Beat();
        }

        public void Receive(byte[] frame, int segment = 1)
        {
            if (_table is null)
                return;
            if (IsPaused)
            {
                _queue.Add((frame, segment));
                return;
            }
            if (!HeartbeatFrame.TryRead(frame, Keys, out var view))
                return;
            var kind = _table.Hear(view, segment, Clock);
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
            foreach (int segment in _world.Segments.Where(IsPlugged))
            {
                var frame = new byte[HeartbeatFrame.MaxLength];
                int length = HeartbeatFrame.Write(frame, _mac, beat with { IsReady = _table.IsReadyOn(segment) }, Encoding.UTF8.GetBytes(Name), echoes[..count], Key);
                _world.Send(this, segment, frame[..length]);
            }
        }

        private void Evaluate()
        {
            int ready = Sight.ReadyLinks.Count;
            if (!_table!.Evaluate(Clock, true))
                return;
            if (Sight.ReadyLinks.Count > ready)
                Beat();
            _world.Changed();
        }
    }
}
