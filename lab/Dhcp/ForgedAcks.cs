using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Lab.Dhcp;

/// <summary>A host that answers every REQUEST on its LAN by an ACK of its own, as fast as it can: with its own server identifier, for another address.</summary>
public static class ForgedAcks
{
    private const int ServerPort = 67;
    private const int ClientPort = 68;

    /// <summary>Answers until cancelled.</summary>
    public static async Task RunAsync(IPv4Address own, IPv4Address granted, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { EnableBroadcast = true };
        socket.Bind(new IPEndPoint(IPAddress.Any, ServerPort));
        Console.WriteLine("ready");
        var buffer = new byte[2048];
        while (!cancellationToken.IsCancellationRequested)
        {
            int length = await socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);
            if (!DhcpMessage.TryParse(buffer.AsSpan(0, length), out var request, out _) || request.Type != DhcpMessageType.Request)
                continue;
            var answer = new byte[1024];
            int written = Ack(request, own, granted).Write(answer);
            await socket.SendToAsync(answer.AsMemory(0, written), SocketFlags.None, new IPEndPoint(IPAddress.Broadcast, ClientPort), cancellationToken);
        }
    }

    private static DhcpMessage Ack(DhcpMessage request, IPv4Address own, IPv4Address granted)
    {
        var ack = new DhcpMessage
        {
            IsReply = true,
            Type = DhcpMessageType.Ack,
            TransactionId = request.TransactionId,
            HardwareAddress = request.HardwareAddress,
            Broadcast = true,
            YourAddress = granted,
        };
        ack.Options.SetAddress(DhcpOptionCode.ServerId, own)
            .SetUInt32(DhcpOptionCode.LeaseTime, 3600)
            .SetAddress(DhcpOptionCode.SubnetMask, IPv4Address.Parse("255.255.255.0"));
        return ack;
    }
}
