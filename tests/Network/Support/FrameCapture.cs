using System.Buffers.Binary;
using DynamicLb.Lab;
using DynamicLb.Lab.Networks;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Network.Support;

/// <summary>A DHCP message on the wire, with the frame around it.</summary>
internal sealed record DhcpFrameSeen(
    DateTimeOffset At, MacAddress Destination, MacAddress Source, IPv4Address SourceAddress, IPv4Address DestinationAddress, int Length, bool ChecksumIsRight, DhcpMessage Message)
{
    public DhcpMessageType Type => Message.Type;
}

/// <summary>DHCP frames as tcpdump saw them on an interface, decoded.</summary>
internal sealed class FrameCapture
{
    private const int FileHeader = 24;
    private const int PacketHeader = 16;
    private const int HeadersLength = 14 + 20 + 8;
    private readonly string _file;

    private FrameCapture(string file) => _file = file;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public static async Task<FrameCapture> StartAsync(LabNetwork network, LabHost host, string device = "eth0")
    {
        string log = $"pcap-{Guid.NewGuid():N}";
        string file = Path.Combine(network.Folder, $"{log}.pcap");
        network.Start(host, log, "tcpdump", "-ni", device, "-U", "--immediate-mode", "-Z", "root", "-w", file, "udp and (port 67 or port 68)");
        string text = Path.Combine(network.Folder, $"{log}.log");
        await Wait.UntilAsync(
            () => Task.FromResult(File.Exists(text) && File.ReadAllText(text).Contains("listening on", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "tcpdump", Cancelled);
        return new FrameCapture(file);
    }

    /// <summary>All so far, oldest first.</summary>
    public IReadOnlyList<DhcpFrameSeen> Frames()
    {
        var frames = new List<DhcpFrameSeen>();
        if (!File.Exists(_file))
            return frames;
        using var stream = new FileStream(_file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        for (int at = FileHeader; at + PacketHeader <= bytes.Length;)
        {
            var header = bytes.AsSpan(at, PacketHeader);
            int length = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
            if (at + PacketHeader + length > bytes.Length)
                break;
            var time = DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32LittleEndian(header)).AddMicroseconds(BinaryPrimitives.ReadUInt32LittleEndian(header[4..]));
            if (Read(time, bytes.AsSpan(at + PacketHeader, length)) is { } frame)
                frames.Add(frame);
            at += PacketHeader + length;
        }
        return frames;
    }

    public int Count(DhcpMessageType type) => Frames().Count(f => f.Type == type);

    /// <summary>Waits for the first message of a type.</summary>
    public Task<DhcpFrameSeen> FirstAsync(DhcpMessageType type, int seconds = 60) =>
        Wait.ForAsync(() => Task.FromResult(Frames().FirstOrDefault(f => f.Type == type)), TimeSpan.FromSeconds(seconds), $"a {type} on the wire", Cancelled);

    private static DhcpFrameSeen? Read(DateTimeOffset at, ReadOnlySpan<byte> frame)
    {
        if (frame.Length < HeadersLength || frame[14] != 0x45 || !DhcpMessage.TryParse(frame[HeadersLength..], out var message, out _))
            return null;
        int udpLength = BinaryPrimitives.ReadUInt16BigEndian(frame[38..]);
        return new DhcpFrameSeen(
            at, MacAddress.Read(frame), MacAddress.Read(frame[6..]), IPv4Address.Read(frame[26..]), IPv4Address.Read(frame[30..]), udpLength - 8,
            Sum(frame.Slice(26, 8), udpLength + 17, frame.Slice(34, udpLength)) == 0xffff, message);
    }

    /// <summary>The one's complement sum over pseudo header and datagram (RFC 768): all ones when the checksum is right.</summary>
    private static uint Sum(ReadOnlySpan<byte> addresses, int sum, ReadOnlySpan<byte> datagram)
    {
        uint total = (uint)sum;
        for (int i = 0; i < addresses.Length; i += 2)
            total += BinaryPrimitives.ReadUInt16BigEndian(addresses[i..]);
        for (int i = 0; i < datagram.Length; i += 2)
            total += i + 1 < datagram.Length ? BinaryPrimitives.ReadUInt16BigEndian(datagram[i..]) : (uint)datagram[i] << 8;
        while (total >> 16 != 0)
            total = (total & 0xffff) + (total >> 16);
        return total;
    }
}
