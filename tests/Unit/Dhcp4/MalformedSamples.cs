using System.Buffers.Binary;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>The faulty messages of the acceptance cases, by number, as seeds of the fuzzers: a mutation of what is nearly right gets further than noise.</summary>
internal static class MalformedSamples
{
    private static readonly byte[] s_type = [53, 1, 2];
    private static readonly byte[] s_server = [54, 4, 10, 77, 0, 1];
    private static readonly byte[] s_lease = [51, 4, 0, 0, 2, 88];

    /// <summary>Payloads of UDP datagrams.</summary>
    public static IReadOnlyDictionary<string, byte[]> Payloads { get; } = new Dictionary<string, byte[]>(StringComparer.Ordinal)
    {
        ["05 request"] = With(bytes => bytes[0] = 1),
        ["05 op 3"] = With(bytes => bytes[0] = 3),
        ["05 htype"] = With(bytes => bytes[1] = 6),
        ["05 hlen"] = With(bytes => bytes[2] = 16),
        ["05 chaddr"] = With(bytes => bytes[33] ^= 1),
        ["05 cookie"] = With(bytes => bytes[236] ^= 1),
        ["05 239 bytes"] = Offer()[..239],
        ["06 cut in an option"] = [.. Offer()[..249]],
        ["08 length past the end"] = Of([.. s_type, .. s_server, 1, 200, 1]),
        ["08 type of no length"] = Of([53, 0, .. s_server, .. s_lease, 255]),
        ["08 type of two bytes"] = Of([53, 2, 2, 2, .. s_server, .. s_lease, 255]),
        ["08 server of three bytes"] = Of([.. s_type, 54, 3, 10, 77, 0, .. s_lease, 255]),
        ["08 lease of no length"] = Of([.. s_type, .. s_server, 51, 0, 255]),
        ["09 no server"] = Of([.. s_type, .. s_lease, 255]),
        ["09 no lease"] = Of([.. s_type, .. s_server, 255]),
        ["10 overload 0"] = Overloaded(0),
        ["10 overload 1"] = Overloaded(1),
        ["10 overload 2"] = Overloaded(2),
        ["10 overload 3"] = Overloaded(3),
        ["10 overload 4"] = Overloaded(4),
        ["10 overload twice"] = Of([.. s_type, .. s_server, .. s_lease, 52, 1, 1, 52, 1, 3, 255]),
        ["10 type in file"] = In(108, Of([.. s_server, .. s_lease, 52, 1, 1, 255]), [53, 1, 2, 255]),
        ["10 overload in file"] = In(108, Of([.. s_type, .. s_server, .. s_lease, 52, 1, 1, 255]), [52, 1, 2, 255]),
        ["10 past the end of file"] = In(108, Of([.. s_type, .. s_server, .. s_lease, 52, 1, 1, 255]), [12, 127]),
        ["10 split"] = Of([53, 1, 2, 54, 2, 10, 77, 51, 4, 0, 0, 2, 88, 54, 2, 0, 1, 255]),
        ["11 T1 of 0"] = Of([.. s_type, .. s_server, .. s_lease, 58, 4, 0, 0, 0, 0, 255]),
        ["11 T1 after T2"] = Of([.. s_type, .. s_server, .. s_lease, 58, 4, 0, 0, 2, 0, 59, 4, 0, 0, 1, 0, 255]),
        ["11 T2 after the end"] = Of([.. s_type, .. s_server, .. s_lease, 59, 4, 0, 0, 9, 0, 255]),
        ["12 without end"] = Of([.. s_type, .. s_server, 51, 4, 255, 255, 255, 255, 255]),
        ["14 lease of 0"] = Of([.. s_type, .. s_server, 51, 4, 0, 0, 0, 0, 255]),
        ["14 lease of 1 s"] = Of([.. s_type, .. s_server, 51, 4, 0, 0, 0, 1, 255]),
        ["18 NAK"] = Of([53, 1, 6, .. s_server, 255]),
        ["20 ACK of another server"] = Of([53, 1, 5, 54, 4, 10, 77, 0, 2, .. s_lease, 255]),
        ["23 no address"] = With(bytes => bytes.AsSpan(16, 4).Clear()),
        ["23 loopback"] = With(bytes => bytes[16] = 127),
        ["23 multicast"] = With(bytes => bytes[16] = 224),
        ["23 the server's own"] = With(bytes => bytes[19] = 1),
        ["38 through a relay"] = With(bytes => bytes[24] = 10),
        ["45 a name that is none"] = Of([.. s_type, .. s_server, .. s_lease, 12, 4, 0x1b, 0xff, 0, 0, 255]),
        ["46 an FQDN cut off"] = Of([.. s_type, .. s_server, .. s_lease, 81, 2, 5, 0, 255]),
    };

    /// <summary>Ethernet frames: of cases 39 and 40, and each of the payloads.</summary>
    public static IEnumerable<byte[]> Frames()
    {
        var frame = Samples.Frame("isc-offer");
        // IP options, a fragment, one that follows, a tag, no checksum.
        byte[] options = [.. frame[..34], 1, 1, 1, 0, .. frame[34..]];
        options[14] = 0x46;
        BinaryPrimitives.WriteUInt16BigEndian(options.AsSpan(16), (ushort)(BinaryPrimitives.ReadUInt16BigEndian(options.AsSpan(16)) + 4));
        byte[] first = [.. frame], next = [.. frame], unchecked_ = [.. frame];
        first[20] = 0x20;
        next[21] = 1;
        unchecked_[40] ^= 0x55;
        byte[][] frames = [options, first, next, [.. frame[..12], 0x81, 0, 0, 100, .. frame[12..]], unchecked_];
        return frames.Concat(Payloads.Values.Select(payload =>
        {
            byte[] made = [.. frame[..42], .. payload];
            BinaryPrimitives.WriteUInt16BigEndian(made.AsSpan(16), (ushort)(made.Length - 14));
            BinaryPrimitives.WriteUInt16BigEndian(made.AsSpan(38), (ushort)(made.Length - 34));
            return made;
        }));
    }

    private static byte[] Offer() => Of([.. s_type, .. s_server, .. s_lease, 1, 4, 255, 255, 255, 0, 255]);

    private static byte[] With(Action<byte[]> change)
    {
        var bytes = Offer();
        change(bytes);
        return bytes;
    }

    private static byte[] Of(byte[] options) => [.. Samples.Payload("isc-offer")[..240], .. options];

    private static byte[] In(int field, byte[] payload, byte[] options)
    {
        options.CopyTo(payload, field);
        return payload;
    }

    private static byte[] Overloaded(byte overload) =>
        In(44, In(108, Of([.. s_type, .. s_server, .. s_lease, 52, 1, overload, 255]), [224, 2, 3, 4, 255]), [224, 2, 5, 6, 255]);
}
