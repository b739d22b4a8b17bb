using System.Buffers.Binary;
using System.Text;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Netlink;

/// <summary>How the answer to a dump ended.</summary>
internal enum DumpProgress
{
    /// <summary>More datagrams follow.</summary>
    Continues = 0,

    /// <summary>Complete.</summary>
    Done,

    /// <summary>The kernel's tables changed meanwhile (NLM_F_DUMP_INTR), or it refused: ask again.</summary>
    Broken,
}

/// <summary>The messages of rtnetlink(7) that tell of interfaces and their addresses. Numbers are in host order, little-endian on all that .NET runs on.</summary>
internal static class RouteMessages
{
    /// <summary>RTM_GETLINK.</summary>
    public const ushort GetLink = 18;

    /// <summary>RTM_GETADDR.</summary>
    public const ushort GetAddress = 22;

    /// <summary>Length of a request, in bytes.</summary>
    public const int RequestLength = HeaderLength + LinkLength;

    private const ushort Error = 2;
    private const ushort Done = 3;
    private const ushort NewLink = 16;
    private const ushort NewAddress = 20;
    private const ushort Request = 0x1;
    private const ushort Dump = 0x300;
    private const ushort DumpInterrupted = 0x10;
    private const int HeaderLength = 16;
    private const int LinkLength = 16;
    private const int AddressLength = 8;
    private const byte InternetFamily = 2;
    private const byte InternetSixFamily = 10;
    private const ushort EthernetType = 1;
    private const uint FlagUp = 0x1;
    private const uint FlagBroadcast = 0x2;
    private const uint FlagRunning = 0x40;
    private const uint FlagNoArp = 0x80;

    /// <summary>Writes a request for all entries of a kind.</summary>
    public static int WriteDump(Span<byte> target, ushort kind, uint sequence)
    {
        target[..RequestLength].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(target, RequestLength);
        BinaryPrimitives.WriteUInt16LittleEndian(target[4..], kind);
        BinaryPrimitives.WriteUInt16LittleEndian(target[6..], Request | Dump);
        BinaryPrimitives.WriteUInt32LittleEndian(target[8..], sequence);
        return RequestLength;
    }

    /// <summary>Reads one datagram of the answer to a dump. Entries that are malformed, or of another request, are skipped.</summary>
    public static DumpProgress Read(ReadOnlySpan<byte> datagram, uint sequence, RouteTables tables)
    {
        while (datagram.Length >= HeaderLength)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(datagram);
            if (length < HeaderLength || length > datagram.Length)
                return DumpProgress.Broken;
            ushort type = BinaryPrimitives.ReadUInt16LittleEndian(datagram[4..]);
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(datagram[6..]);
            bool ours = BinaryPrimitives.ReadUInt32LittleEndian(datagram[8..]) == sequence;
            var body = datagram[HeaderLength..length];
            datagram = datagram[Math.Min((length + 3) & ~3, datagram.Length)..];
            if (!ours)
                continue;
            if (type == Error || (flags & DumpInterrupted) != 0)
                return DumpProgress.Broken;
            switch (type)
            {
                case Done:
                    return DumpProgress.Done;
                case NewLink:
                    ReadLink(body, tables);
                    break;
                case NewAddress:
                    ReadAddress(body, tables);
                    break;
            }
        }
        return DumpProgress.Continues;
    }

    /// <summary>struct ifinfomsg. Only Ethernet-like interfaces with a MAC address count.</summary>
    private static void ReadLink(ReadOnlySpan<byte> body, RouteTables tables)
    {
        const ushort Address = 1, Name = 3, Master = 10;
        if (body.Length < LinkLength || BinaryPrimitives.ReadUInt16LittleEndian(body[2..]) != EthernetType)
            return;
        int index = BinaryPrimitives.ReadInt32LittleEndian(body[4..]);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(body[8..]);
        MacAddress mac = default;
        string? name = null;
        int master = 0;
        foreach (var attribute in new Attributes(body[LinkLength..]))
        {
            if (attribute.Type == Address && attribute.Value.Length == MacAddress.Length)
                mac = MacAddress.Read(attribute.Value);
            else if (attribute.Type == Name)
                name = Encoding.UTF8.GetString(attribute.Value.TrimEnd((byte)0));
            else if (attribute.Type == Master && attribute.Value.Length == 4)
                master = BinaryPrimitives.ReadInt32LittleEndian(attribute.Value);
        }
        if (string.IsNullOrEmpty(name) || mac == MacAddress.Zero)
            return;
        tables.Add(new InterfaceState(
            new PacketSocket.LinkInfo(index, name, mac), (flags & FlagUp) != 0, (flags & FlagBroadcast) != 0, (flags & FlagNoArp) == 0, master != 0)
        {
            HasCarrier = (flags & FlagRunning) != 0,
        });
    }

    /// <summary>struct ifaddrmsg.</summary>
    private static void ReadAddress(ReadOnlySpan<byte> body, RouteTables tables)
    {
        const ushort Peer = 1, Local = 2;
        if (body.Length < AddressLength)
            return;
        int prefix = body[1];
        int index = BinaryPrimitives.ReadInt32LittleEndian(body[4..]);
        ReadOnlySpan<byte> peer = [], local = [];
        foreach (var attribute in new Attributes(body[AddressLength..]))
        {
            if (attribute.Type == Peer)
                peer = attribute.Value;
            else if (attribute.Type == Local)
                local = attribute.Value;
        }
        // The prefix is that of the peer, where there is one; an interface of IPv6 without one says its own address in that place (net/ipv6/addrconf.c, inet6_fill_ifaddr).
        var own = local.IsEmpty ? peer : local;
        switch (body[0])
        {
            case InternetFamily when own.Length == IPv4Address.Length && prefix <= 32:
                tables.Add(index, new InterfaceAddress(IPv4Address.Read(own), prefix));
                break;
            case InternetSixFamily when peer.Length == IPv6Address.Length && prefix <= 128:
                tables.Add(index, new IPv6Network(IPv6Address.Read(peer), prefix));
                break;
        }
    }

    /// <summary>The attributes of a message (struct rtattr): ends at the first that does not fit.</summary>
    private ref struct Attributes(ReadOnlySpan<byte> rest)
    {
        private const ushort TypeMask = 0x3fff;
        private ReadOnlySpan<byte> _rest = rest;

        public Attribute Current { get; private set; }

        public readonly Attributes GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_rest.Length < 4)
                return false;
            int length = BinaryPrimitives.ReadUInt16LittleEndian(_rest);
            if (length < 4 || length > _rest.Length)
                return false;
            Current = new Attribute((ushort)(BinaryPrimitives.ReadUInt16LittleEndian(_rest[2..]) & TypeMask), _rest[4..length]);
            _rest = _rest[Math.Min((length + 3) & ~3, _rest.Length)..];
            return true;
        }
    }

    private readonly ref struct Attribute(ushort type, ReadOnlySpan<byte> value)
    {
        public ushort Type { get; } = type;

        public ReadOnlySpan<byte> Value { get; } = value;
    }
}
