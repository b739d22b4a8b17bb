using System.Net;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Bfd;

namespace DynamicLb.Tests.Unit.Bfd;

/// <summary>Two hosts with a session between them, over a link that delays and loses, in simulated time.</summary>
internal sealed class BfdWorld : IBfdEffects
{
    private static readonly IPAddress LeftAddress = IPAddress.Parse("10.0.0.1");
    private static readonly IPAddress RightAddress = IPAddress.Parse("10.0.0.2");

    private readonly Random _random;
    private TimeSpan _lastToRight;
    private TimeSpan _lastToLeft;
    private readonly PriorityQueue<(bool ToRight, bool IsEcho, byte[] Bytes), TimeSpan> _wire = new();

    public BfdWorld(BfdSettings left, BfdSettings right, int seed = 1)
    {
        _random = new Random(seed);
        LeftTable = new BfdSessionTable(new Random(seed + 1), this);
        RightTable = new BfdSessionTable(new Random(seed + 2), this);
        Left = LeftTable.Add(left, new BfdPath(RightAddress, LeftAddress), TimeSpan.Zero);
        Right = RightTable.Add(right, new BfdPath(LeftAddress, RightAddress), TimeSpan.Zero);
    }

    public BfdSessionTable LeftTable { get; }

    public BfdSessionTable RightTable { get; }

    public BfdSession Left { get; }

    public BfdSession Right { get; }

    public TimeSpan Now { get; private set; }

    public double Loss { get; set; }

    public bool IsCutToLeft { get; set; }

    public bool IsCutToRight { get; set; }

    public bool LosesEchoes { get; set; }

    public int Dropped { get; private set; }

    public int SentByLeft { get; private set; }

    public List<(TimeSpan At, BfdSession Session, BfdState Before, BfdState After, BfdDiagnostic Diagnostic)> Changes { get; } = [];

    public bool BothUp => Left.State == BfdState.Up && Right.State == BfdState.Up;

    public void Run(double seconds)
    {
        var end = Now + TimeSpan.FromSeconds(seconds);
        while (true)
        {
            var arrival = _wire.TryPeek(out _, out var at) ? at : TimeSpan.MaxValue;
            var due = new[] { arrival, LeftTable.NextDue, RightTable.NextDue }.Min();
            if (due > end)
                break;
            if (due > Now)
                Now = due;
            while (_wire.TryPeek(out var frame, out at) && at <= Now)
            {
                _wire.Dequeue();
                Deliver(frame.ToRight, frame.IsEcho, frame.Bytes);
            }
            LeftTable.Advance(Now);
            RightTable.Advance(Now);
        }
        Now = end;
    }

    void IBfdEffects.Send(BfdSession session, ReadOnlySpan<byte> packet)
    {
        bool toRight = session.Path.Peer.Equals(RightAddress);
        if (toRight)
            SentByLeft++;
        if ((toRight ? IsCutToRight : IsCutToLeft) || _random.NextDouble() < Loss)
            return;
        // A link delays, and overtakes nobody.
        ref var last = ref toRight ? ref _lastToRight : ref _lastToLeft;
        var at = Now + Delay();
        last = at > last ? at : last + TimeSpan.FromMicroseconds(1);
        _wire.Enqueue((toRight, false, packet.ToArray()), last);
    }

    bool IBfdEffects.SendEcho(BfdSession session, ReadOnlySpan<byte> packet)
    {
        bool byLeft = session.Path.Peer.Equals(RightAddress);
        if (!IsCutToLeft && !IsCutToRight && !LosesEchoes)
            _wire.Enqueue((!byLeft, true, packet.ToArray()), Now + Delay() + Delay());
        return true;
    }

    void IBfdEffects.Changed(BfdSession session, BfdState before) => Changes.Add((Now, session, before, session.State, session.Diagnostic));

    private TimeSpan Delay() => TimeSpan.FromMilliseconds(0.2 + (_random.NextDouble() * 2));

    private void Deliver(bool toRight, bool isEcho, byte[] bytes)
    {
        var table = toRight ? RightTable : LeftTable;
        if (isEcho)
        {
            Assert.NotNull(table.ReceiveEcho(254, bytes, Now));
            return;
        }
        Assert.True(IPv4Address.TryFrom(toRight ? LeftAddress : RightAddress, out var source));
        Assert.True(IPv4Address.TryFrom(toRight ? RightAddress : LeftAddress, out var destination));
        var arrival = new BfdArrival(BfdPath.Key(source), BfdPath.Key(destination), 1, 255, false, null);
        if (table.Receive(arrival, bytes, Now, out _) != BfdDropReason.None)
            Dropped++;
    }
}
