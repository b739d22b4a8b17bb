using System.Buffers.Binary;
using System.Threading.Tasks.Sources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Tests.Unit.Support;

/// <summary>
/// A link with a DHCP server that grants every address asked for, frame for frame and without an object of its own: what is allocated while frames pass
/// is the client's. The answer arrives, on the sender's thread, before sending returns.
/// </summary>
internal sealed class EchoingDhcpLink : ILinkChannel, IValueTaskSource<int>
{
    private const int Payload = 42;
    private static readonly IPv4Address _server = IPv4Address.Parse("10.77.0.1");
    private readonly byte[] _answer = new byte[Payload + DhcpMessage.PaddedLength];
    private readonly int _typeAt;
    private ManualResetValueTaskSourceCore<int> _received;
    private Memory<byte> _buffer;

    public EchoingDhcpLink(uint leaseSeconds, string? hostname = "host")
    {
        var message = new DhcpMessage { IsReply = true, Type = DhcpMessageType.Ack, Broadcast = true };
        message.Options.SetAddress(DhcpOptionCode.ServerId, _server).SetUInt32(DhcpOptionCode.LeaseTime, leaseSeconds)
            .SetAddress(DhcpOptionCode.SubnetMask, IPv4Address.Parse("255.0.0.0")).SetAddress(DhcpOptionCode.Router, _server);
        if (hostname is not null)
            message.Options.SetText(DhcpOptionCode.HostName, hostname);
        message.Write(_answer.AsSpan(Payload));
        _typeAt = Payload + DhcpMessage.MinimumLength + 2;
        MacAddress.Broadcast.Write(_answer);
        MacAddress.Parse("02:00:00:00:00:fe").Write(_answer.AsSpan(6));
        // Ethernet type; IPv4 of five words, its length, time to live, UDP; addresses; ports and length. The UDP checksum is left out.
        BinaryPrimitives.WriteUInt16BigEndian(_answer.AsSpan(12), 0x0800);
        var ip = _answer.AsSpan(14);
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)ip.Length);
        ip[8] = 64;
        ip[9] = 17;
        _server.Write(ip[12..]);
        IPv4Address.Broadcast.Write(ip[16..]);
        uint sum = 0;
        for (int i = 0; i < 20; i += 2)
            sum += BinaryPrimitives.ReadUInt16BigEndian(ip[i..]);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], (ushort)~((sum & 0xffff) + (sum >> 16)));
        BinaryPrimitives.WriteUInt16BigEndian(ip[20..], 67);
        BinaryPrimitives.WriteUInt16BigEndian(ip[22..], 68);
        BinaryPrimitives.WriteUInt16BigEndian(ip[24..], (ushort)(ip.Length - 20));
    }

    public LinkInfo Link { get; } = new(7, "echo", MacAddress.Parse("02:00:00:00:00:01"));

    public bool HasPending => false;

    /// <summary>Frames that were sent.</summary>
    public long Sent { get; private set; }

    public ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        Sent++;
        var request = frame.Span[Payload..];
        var reader = new DhcpOptionReader(request[DhcpMessage.MinimumLength..]);
        var type = DhcpMessageType.None;
        var address = IPv4Address.Read(request[12..]);
        while (reader.MoveNext())
        {
            if (reader.Code == DhcpOptionCode.MessageType)
                type = (DhcpMessageType)reader.Value[0];
            else if (reader.Code == DhcpOptionCode.RequestedAddress)
                address = IPv4Address.Read(reader.Value);
        }
        if (type is not (DhcpMessageType.Discover or DhcpMessageType.Request))
            return ValueTask.CompletedTask;
        var answer = _answer.AsSpan(Payload);
        request.Slice(4, 4).CopyTo(answer[4..]);
        request.Slice(28, 6).CopyTo(answer[28..]);
        // Who asks for nothing gets what follows from its hardware address.
        if (address.IsAny)
            address = new IPv4Address(0x0a000000 | (BinaryPrimitives.ReadUInt32BigEndian(request[30..]) & 0xffffff));
        address.Write(answer[16..]);
        _answer[_typeAt] = (byte)(type == DhcpMessageType.Discover ? DhcpMessageType.Offer : DhcpMessageType.Ack);
        _answer.CopyTo(_buffer);
        _received.SetResult(_answer.Length);
        return ValueTask.CompletedTask;
    }

    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        _buffer = buffer;
        _received.Reset();
        return new ValueTask<int>(this, _received.Version);
    }

    public int GetResult(short token) => _received.GetResult(token);

    public ValueTaskSourceStatus GetStatus(short token) => _received.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _received.OnCompleted(continuation, state, token, ValueTaskSourceOnCompletedFlags.None);

    public void JoinUnicast(MacAddress address)
    {
    }

    public void LeaveUnicast(MacAddress address)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
