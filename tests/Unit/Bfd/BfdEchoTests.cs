using DynamicLb.Networking.Bfd;

namespace DynamicLb.Tests.Unit.Bfd;

/// <summary>The Echo function (RFC 5880 §6.4 and §6.8.9).</summary>
public sealed class BfdEchoTests
{
    [Fact]
    public void Echo_packets_are_sent_when_both_sides_want_them()
    {
        var rig = new BfdRig(new BfdSettings { UsesEcho = true }).Up(BfdRig.Packet(BfdState.Up) with { RequiredMinEchoRx = 20_000 });
        Assert.Equal(50_000u, rig.Last.RequiredMinEchoRx);
        Assert.True(rig.Session.IsEchoActive);
        Assert.Equal(50, rig.Session.EchoInterval.TotalMilliseconds);
        rig.Pass(149);

        Assert.InRange(rig.Echoes.Count, 3, 5);
    }

    [Fact]
    public void Echo_packets_are_not_sent_to_who_sends_none_back_nor_over_several_hops()
    {
        var silent = new BfdRig(new BfdSettings { UsesEcho = true }).Up();
        silent.Pass(500);
        Assert.Empty(silent.Echoes);

        var far = new BfdRig(new BfdSettings { UsesEcho = true }, isMultiHop: true).Up(BfdRig.Packet(BfdState.Up) with { RequiredMinEchoRx = 20_000 });
        far.Pass(500);
        Assert.Empty(far.Echoes);
        Assert.Equal(0u, far.Last.RequiredMinEchoRx);
    }

    [Fact]
    public void Echo_packets_end_when_the_other_side_wants_no_more()
    {
        var rig = new BfdRig(new BfdSettings { UsesEcho = true }).Up(BfdRig.Packet(BfdState.Up) with { RequiredMinEchoRx = 20_000 });
        rig.Receive(BfdRig.Packet(BfdState.Up));
        int echoes = rig.Echoes.Count;
        rig.Pass(500);

        Assert.Equal(echoes, rig.Echoes.Count);
        Assert.Equal(BfdState.Up, rig.Session.State);
    }

    [Fact]
    public void Echo_packets_that_could_not_be_sent_yet_are_not_missed()
    {
        var rig = new BfdRig(new BfdSettings { UsesEcho = true }) { CanSendEcho = false };
        rig.Up(BfdRig.Packet(BfdState.Up) with { RequiredMinEchoRx = 20_000 });
        rig.Pass(600);
        Assert.Equal(BfdState.Up, rig.Session.State);

        rig.CanSendEcho = true;
        rig.Receive(BfdRig.Packet(BfdState.Up) with { RequiredMinEchoRx = 20_000 });
        rig.Pass(201);
        Assert.Equal((BfdState.Down, BfdDiagnostic.EchoFunctionFailed), (rig.Session.State, rig.Session.Diagnostic));
    }

    [Fact]
    public void Echo_packets_that_do_not_come_back_take_it_down()
    {
        var rig = new BfdRig(new BfdSettings { UsesEcho = true }).Up(BfdRig.Packet(BfdState.Up) with { RequiredMinEchoRx = 20_000 });
        rig.Pass(100);
        Assert.True(BfdSession.TryReadEcho(rig.Echoes[0].Bytes, out uint discriminator, out ulong secret));
        Assert.Equal(100u, discriminator);
        Assert.True(rig.Session.ReceiveEcho(secret, rig.Now));
        Assert.False(rig.Session.ReceiveEcho(secret + 1, rig.Now));
        rig.Pass(149);
        Assert.Equal(BfdState.Up, rig.Session.State);
        rig.Pass(1);

        Assert.Equal((BfdState.Down, BfdDiagnostic.EchoFunctionFailed), (rig.Session.State, rig.Session.Diagnostic));
        Assert.Equal(BfdDiagnostic.EchoFunctionFailed, rig.Last.Diagnostic);
        Assert.False(rig.Session.IsEchoActive);
    }
}
