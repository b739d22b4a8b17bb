using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bfd;

public sealed partial class BfdHost
{
    private const int FullTimeToLive = 255;

    /// <summary>A peer that wants our echo packets was heard by an interface: its hardware address there is learnt.</summary>
    private void FollowEcho(BfdWatch watch, in BfdArrival arrival)
    {
        watch.ArrivalInterface = arrival.Interface;
        watch.ArrivalAddress = arrival.Destination;
        if (!IPv4Address.TryFrom(watch.Path.Peer, out var peer))
            return;
        int index = arrival.Interface;
        var link = _links.Find(open => open.Interface == index);
        if (link is null)
        {
            try
            {
                link = BfdEchoLink.Open(index);
                _links.Add(link);
            }
            catch (Exception fault) when (fault is SocketException or Win32Exception)
            {
                // Without a socket there are no echo packets, and none are missed: control packets alone watch the path.
                Faulted?.Invoke("a packet socket for echo packets", fault);
                return;
            }
        }
        link.Learn(peer);
    }

    private bool SendEcho(BfdWatch watch, ReadOnlySpan<byte> packet)
    {
        var own = watch.ArrivalAddress;
        if (!own.IsIPv4Mapped || !IPv4Address.TryFrom(watch.Path.Peer, out var peer))
            return false;
        foreach (var link in _links)
        {
            if (link.Interface != watch.ArrivalInterface)
                continue;
            if (!link.Send(peer, new IPv4Address((uint)own.Low), packet))
                return false;
            watch.CountEchoOut();
            return true;
        }
        return false;
    }

    private void ReceiveEchoes(BfdEchoLink link, Span<byte> buffer)
    {
        for (int left = MostAtOnce; left > 0 && link.TryReceive(buffer, out var payload, out int timeToLive, out _); left--)
        {
            if (!payload.IsEmpty && _table.ReceiveEcho(timeToLive, payload, _now) is { Tag: BfdWatch watch })
                watch.CountEchoIn();
        }
    }

    /// <summary>
    /// An echo packet that is addressed to this host, not to its sender: some routers leave it to the other side's BFD to send it back. Only a peer that is up gets it.
    /// </summary>
    private void ReflectEcho(BfdReceiveSocket socket, in BfdArrival arrival, ReadOnlySpan<byte> payload)
    {
        if (arrival.TimeToLive != FullTimeToLive || _table.FindEchoing(arrival) is not { } session)
            return;
        try
        {
            socket.Send(payload, new IPEndPoint(session.Path.Peer, (int)BfdPort.Echo));
        }
        catch (SocketException)
        {
            // It is missed over there, as it should be.
        }
    }
}
