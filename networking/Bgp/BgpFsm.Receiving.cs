using System.Buffers.Binary;

namespace DynamicLb.Networking.Bgp;

public sealed partial class BgpFsm
{
    /// <summary>A message came, whole and with a right header.</summary>
    public void Received(int connection, ReadOnlySpan<byte> message, TimeSpan now)
    {
        if (Find(connection) is not { } found)
            return;
        var type = BgpWire.TypeOf(message);
        if (type == BgpMessageType.Notification)
        {
            if (BgpNotification.TryParse(message[BgpWire.HeaderLength..], out var notification))
                effects.Notified(notification!, false);
            End(found, null, $"the peer ended it: {notification}", now);
            return;
        }
        switch (found.State, type)
        {
            case (BgpState.OpenSent, BgpMessageType.Open):
                TakeOpen(found, message, now);
                break;
            case (BgpState.OpenConfirm, BgpMessageType.Keepalive):
                Establish(found, now);
                break;
            case (BgpState.Established, BgpMessageType.Keepalive):
                RestartHold(found, now);
                break;
            case (BgpState.Established, BgpMessageType.Update):
                RestartHold(found, now);
                if (BgpUpdate.TryParse(message, found.Session!.Encoding, out var update) is { } fault)
                    Fail(found, fault, now);
                else
                    effects.Received(update!);
                break;
            case (BgpState.Established, BgpMessageType.RouteRefresh):
                RestartHold(found, now);
                if (BgpWire.ParseRouteRefresh(message, out var family, out var kind) is { } error)
                    Fail(found, error, now);
                else if (kind == BgpRefreshKind.Request && found.Session!.Families.Contains(family))
                    effects.Refresh(family);
                break;
            default:
                // RFC 6608: the subcode names the state.
                Fail(found, new BgpNotification(BgpErrorCode.FiniteStateMachine, (byte)(found.State - BgpState.OpenSent + 1), new[] { (byte)type }), now);
                break;
        }
    }

    private void TakeOpen(Connection connection, ReadOnlySpan<byte> message, TimeSpan now)
    {
        if ((BgpOpen.TryParse(message, out var open) ?? Check(connection, open!)) is { } error)
        {
            Fail(connection, error, now);
            return;
        }
        if (!WinsCollision(connection, open!, now))
            return;
        connection.Session = new BgpEstablished(connection.Id, connection.Open, open!);
        connection.State = BgpState.OpenConfirm;
        effects.Send(connection.Id, BgpWire.Keepalive());
        RestartHold(connection, now);
        connection.KeepaliveDue = connection.HoldTime > TimeSpan.Zero ? now + Jittered(KeepaliveTime(connection)) : null;
    }

    private BgpNotification? Check(Connection connection, BgpOpen open)
    {
        bool isExpected = settings.PeerAs switch
        {
            BgpPeerAs.Internal => open.Asn == settings.LocalAsn,
            BgpPeerAs.External => open.Asn != settings.LocalAsn,
            _ => open.Asn == settings.PeerAsn,
        };
        if (!isExpected || open.Asn == 0)
        {
            LastError = $"the peer is of AS {open.Asn}";
            return new BgpNotification(BgpErrorCode.Open, 2);
        }
        // RFC 6286 §2.2: any but zero, and within an AS not our own.
        if (open.RouterId == 0 || (open.RouterId == connection.Open.RouterId && open.Asn == settings.LocalAsn))
            return new BgpNotification(BgpErrorCode.Open, 3);
        if (open.HoldSeconds is 1 or 2)
        {
            var data = new byte[2];
            BinaryPrimitives.WriteUInt16BigEndian(data, open.HoldSeconds);
            return new BgpNotification(BgpErrorCode.Open, 6, data);
        }
        if (BgpEstablished.FamiliesOf(connection.Open, open).Count == 0)
            return new BgpNotification(BgpErrorCode.Open, 7, new byte[] { (byte)BgpCapability.MultiProtocol, 4, 0, (byte)settings.Families[0], 0, BgpWire.Unicast });
        return null;
    }

    /// <summary>Decides between two connections to the same peer (RFC 4271 §6.8, RFC 6286 §2.3). False when this one is ended.</summary>
    private bool WinsCollision(Connection connection, BgpOpen open, TimeSpan now)
    {
        if (_connections.Find(other => other != connection) is not { } other)
            return true;
        bool oursWins = connection.Open.RouterId != open.RouterId ? connection.Open.RouterId > open.RouterId : settings.LocalAsn > open.Asn;
        bool wins = other.State switch
        {
            // It restarted, and the old connection is dead (RFC 4724 §5).
            BgpState.Established => open.GracefulRestart is not null && other.Session!.KeepsRoutes,
            // Of two that the peer made, the first is dead: it would not connect again.
            BgpState.OpenConfirm => connection.IsOutgoing == other.IsOutgoing || connection.IsOutgoing == oursWins,
            // Its OPEN will tell the same of the other one; until then both go on.
            _ => true,
        };
        if (other.State == BgpState.OpenSent)
            return true;
        var collision = BgpNotification.Cease(BgpCease.ConnectionCollision);
        Fail(wins ? other : connection, collision, now);
        return wins;
    }

    private void Establish(Connection connection, TimeSpan now)
    {
        foreach (var other in _connections.Where(other => other != connection).ToArray())
            Fail(other, BgpNotification.Cease(BgpCease.ConnectionCollision), now);
        CancelConnect();
        _retryDue = null;
        connection.State = BgpState.Established;
        RestartHold(connection, now);
        (_upSince, _wasEstablished, LastError) = (now, true, "");
        effects.Up(connection.Session!);
    }

    private static void RestartHold(Connection connection, TimeSpan now) =>
        connection.HoldDue = connection.HoldTime > TimeSpan.Zero ? now + connection.HoldTime : null;
}
