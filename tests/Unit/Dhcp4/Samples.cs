using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>Frames captured from ISC dhcpd 4.4.3, Kea 2.2.0, dnsmasq 2.90 and udhcpd 1.35, one Ethernet frame a file, in hex.</summary>
internal static class Samples
{
    public static IEnumerable<string> Names =>
        Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "TestData", "dhcp-samples"), "*.hex")
            .Select(path => Path.GetFileNameWithoutExtension(path))
            .Order(StringComparer.Ordinal);

    public static byte[] Frame(string name) =>
        Convert.FromHexString(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "TestData", "dhcp-samples", name + ".hex")).Trim());

    /// <summary>The payload of the frame's UDP datagram.</summary>
    public static byte[] Payload(string name)
    {
        var frame = Frame(name);
        int udp = 14 + ((frame[14] & 15) * 4);
        return frame.AsSpan(udp + 8, BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(udp + 4)) - 8).ToArray();
    }

    public static DhcpMessage Message(string name)
    {
        Assert.True(DhcpMessage.TryParse(Payload(name), out var message, out var reason), $"{name}: {reason}");
        return message;
    }

    /// <summary>A client that the sample's reply belongs to, once its transaction id is put in.</summary>
    public static DhcpClientIdentity Identity(string name)
    {
        var message = Message(name);
        var clientId = message.Options.TryGet(DhcpOptionCode.ClientId, out var id) ? id.ToArray() : DhcpClientIdentity.HardwareClientId(message.HardwareAddress);
        return new DhcpClientIdentity(message.HardwareAddress, clientId, "web-demo", null);
    }

    /// <summary>The payload with another transaction id.</summary>
    public static byte[] Payload(string name, uint xid)
    {
        var payload = Payload(name);
        BinaryPrimitives.WriteUInt32BigEndian(payload.AsSpan(4), xid);
        return payload;
    }

    public static IPv4Address Server { get; } = IPv4Address.Parse("10.77.0.1");

    public static MacAddress ServerMac { get; } = MacAddress.Parse("de:fb:b5:1c:17:65");
}
