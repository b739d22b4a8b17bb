using System.Net;
using DynamicLb.Networking.Bfd;

namespace DynamicLb.Tests.Unit.Bfd;

/// <summary>One session and whatever it does, at a time that the test tells.</summary>
internal sealed class BfdRig : IBfdEffects
{
    public BfdRig(BfdSettings? settings = null, int seed = 1, bool isMultiHop = false) =>
        Session = new BfdSession(settings ?? new(), new BfdPath(IPAddress.Parse("10.0.0.2"), IsMultiHop: isMultiHop), 100, new Random(seed), this, TimeSpan.Zero);

    public BfdSession Session { get; }

    public TimeSpan Now { get; private set; }

    public List<(TimeSpan At, BfdPacket Packet, byte[] Bytes)> Sent { get; } = [];

    public List<(TimeSpan At, byte[] Bytes)> Echoes { get; } = [];

    public List<(BfdState Before, BfdState After, BfdDiagnostic Diagnostic)> Changes { get; } = [];

    public BfdPacket Last => Sent[^1].Packet;

    /// <summary>A packet of the other side, which is number 200.</summary>
    public static BfdPacket Packet(BfdState state, uint yours = 100) => new()
    {
        State = state,
        DetectMultiplier = 3,
        MyDiscriminator = 200,
        YourDiscriminator = yours,
        DesiredMinTx = 300_000,
        RequiredMinRx = 300_000,
    };

    public BfdDropReason Receive(in BfdPacket packet) => Session.Receive(packet, Bytes(packet), Now);

    public static byte[] Bytes(in BfdPacket packet)
    {
        var bytes = new byte[BfdPacket.Length];
        packet.Write(bytes);
        return bytes;
    }

    /// <summary>Lets time pass, with everything that falls due in it.</summary>
    public void Pass(double milliseconds)
    {
        var end = Now + TimeSpan.FromMilliseconds(milliseconds);
        while (Session.NextDue <= end)
        {
            if (Session.NextDue > Now)
                Now = Session.NextDue;
            Session.Advance(Now);
        }
        Now = end;
    }

    /// <summary>Brings the session up, its poll answered.</summary>
    public BfdRig Up(BfdPacket? from = null)
    {
        var packet = from ?? Packet(BfdState.Init);
        Pass(0);
        Receive(packet with { State = BfdState.Init });
        Assert.Equal(BfdState.Up, Session.State);
        Receive(packet with { State = BfdState.Up, IsFinal = true });
        Assert.False(Session.IsPolling);
        return this;
    }

    void IBfdEffects.Send(BfdSession session, ReadOnlySpan<byte> packet)
    {
        Assert.True(BfdPacket.TryParse(packet, out var parsed, out int length, out var reason), reason.ToString());
        Assert.Equal(packet.Length, length);
        Sent.Add((Now, parsed, packet.ToArray()));
    }

    public bool CanSendEcho { get; set; } = true;

    bool IBfdEffects.SendEcho(BfdSession session, ReadOnlySpan<byte> packet)
    {
        if (CanSendEcho)
            Echoes.Add((Now, packet.ToArray()));
        return CanSendEcho;
    }

    void IBfdEffects.Changed(BfdSession session, BfdState before) => Changes.Add((before, session.State, session.Diagnostic));
}
