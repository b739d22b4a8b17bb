using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Nftables;

/// <summary>
/// The table of <see cref="AddressMacs"/>, as nft(8) would write it:
/// <code>
/// table netdev dynamiclb {
///   flags owner
///   map macs  { type ipv4_addr : ether_addr }
///   set pairs { type ipv4_addr . ether_addr }
///   chain inN  { type filter hook ingress device "…" priority 0
///     ip  daddr . ether daddr @pairs meta pkttype set host
///     arp daddr ip . ether daddr @pairs meta pkttype set host }
///   chain outN { type filter hook egress device "…" priority 0
///     ether saddr set ip saddr map @macs
///     arp: ether saddr and arp saddr ether set arp saddr ip map @macs }
/// }
/// </code>
/// </summary>
internal static class NftRules
{
    /// <summary>NF_NETDEV_INGRESS.</summary>
    public const uint Ingress = 0;

    /// <summary>NF_NETDEV_EGRESS.</summary>
    public const uint Egress = 1;

    private const string Macs = "macs";
    private const string Pairs = "pairs";

    // NFT_MSG_…
    private const byte NewTable = 0, NewChain = 3, DeleteChainMessage = 5, NewRule = 6, NewSet = 9, NewElements = 12, DeleteElements = 14;

    // NLM_F_CREATE, NLM_F_EXCL, NLM_F_APPEND
    private const ushort Create = 0x400, Exclusive = 0x200, Append = 0x800;

    // NFTA_LIST_ELEM, NFTA_EXPR_NAME, NFTA_EXPR_DATA, NFTA_DATA_VALUE
    private const ushort ListElement = 1, ExpressionName = 1, ExpressionData = 2, DataValue = 1;

    // NFT_REG_1, NFT_REG_2 (16 bytes each) and the second quarter of the first, NFT_REG32_01
    private const uint First = 1, Second = 2, FirstAfterAddress = 9;

    // NFT_PAYLOAD_LL_HEADER, NFT_PAYLOAD_NETWORK_HEADER
    private const uint LinkHeader = 0, NetworkHeader = 1;

    private const ushort IPv4 = 0x0800, Arp = 0x0806;
    private const uint DestinationMac = 0, SourceMac = 6;
    private const uint IpSource = 12, IpDestination = 16;
    private const uint ArpSenderMac = 8, ArpSender = 14, ArpTarget = 24;
    private const uint AddressLength = 4, MacLength = 6;

    // A key of several fields has each in whole words.
    private const int PairLength = 12;

    public static void AddTable(NftMessageWriter writer, string table)
    {
        const uint Owner = 2, Map = 8, TypeIPv4 = 7, TypeMac = 9, TypePair = (TypeIPv4 << 6) | TypeMac;
        writer.Message(NewTable, Create | Exclusive);
        writer.Text(1, table);
        writer.Number(2, Owner);
        AddSet(writer, table, Macs, 1, Map, TypeIPv4, AddressLength, (TypeMac, MacLength));
        AddSet(writer, table, Pairs, 2, 0, TypePair, PairLength, null);
    }

    public static void AddChain(NftMessageWriter writer, string table, string chain, string device, uint hook)
    {
        writer.Message(NewChain, Create | Exclusive);
        writer.Text(1, table);
        writer.Text(3, chain);
        int nest = writer.Nest(4);
        writer.Number(1, hook);
        writer.Number(2, 0);
        writer.Text(3, device);
        writer.Close(nest);
        writer.Text(7, "filter");
    }

    public static void DeleteChain(NftMessageWriter writer, string table, string chain)
    {
        writer.Message(DeleteChainMessage);
        writer.Text(1, table);
        writer.Text(3, chain);
    }

    public static void AddIngressRules(NftMessageWriter writer, string table, string chain)
    {
        foreach (var (protocol, address) in new[] { (IPv4, IpDestination), (Arp, ArpTarget) })
        {
            int list = BeginRule(writer, table, chain);
            IsProtocol(writer, protocol);
            Load(writer, NetworkHeader, address, AddressLength, First);
            Load(writer, LinkHeader, DestinationMac, MacLength, FirstAfterAddress);
            Lookup(writer, Pairs, null);
            SetPacketTypeHost(writer);
            writer.Close(list);
        }
    }

    public static void AddEgressRules(NftMessageWriter writer, string table, string chain)
    {
        foreach (var (protocol, address) in new[] { (IPv4, IpSource), (Arp, ArpSender) })
        {
            int list = BeginRule(writer, table, chain);
            IsProtocol(writer, protocol);
            Load(writer, NetworkHeader, address, AddressLength, First);
            Lookup(writer, Macs, Second);
            Store(writer, LinkHeader, SourceMac, MacLength, Second);
            if (protocol == Arp)
                Store(writer, NetworkHeader, ArpSenderMac, MacLength, Second);
            writer.Close(list);
        }
    }

    /// <summary>Adds addresses, or takes them out; few enough that they fit into one message.</summary>
    public static void ChangeElements(NftMessageWriter writer, string table, IEnumerable<KeyValuePair<IPv4Address, MacAddress>> elements, bool add)
    {
        var list = elements.ToList();
        Span<byte> key = stackalloc byte[PairLength];
        foreach (string set in new[] { Macs, Pairs })
        {
            writer.Message(add ? NewElements : DeleteElements, add ? Create : (ushort)0);
            writer.Text(1, table);
            writer.Text(2, set);
            int nest = writer.Nest(3);
            foreach (var (address, mac) in list)
            {
                key.Clear();
                address.Write(key);
                mac.Write(key[(int)AddressLength..]);
                int element = writer.Nest(ListElement);
                Data(writer, 1, set == Macs ? key[..(int)AddressLength] : key);
                if (set == Macs && add)
                    Data(writer, 2, key.Slice((int)AddressLength, (int)MacLength));
                writer.Close(element);
            }
            writer.Close(nest);
        }
    }

    private static void AddSet(NftMessageWriter writer, string table, string name, uint id, uint flags, uint keyType, uint keyLength, (uint Type, uint Length)? data)
    {
        writer.Message(NewSet, Create | Exclusive);
        writer.Text(1, table);
        writer.Text(2, name);
        writer.Number(3, flags);
        writer.Number(4, keyType);
        writer.Number(5, keyLength);
        if (data is { } value)
        {
            writer.Number(6, value.Type);
            writer.Number(7, value.Length);
        }
        writer.Number(10, id);
    }

    private static int BeginRule(NftMessageWriter writer, string table, string chain)
    {
        writer.Message(NewRule, Create | Append);
        writer.Text(1, table);
        writer.Text(2, chain);
        return writer.Nest(4);
    }

    private static void IsProtocol(NftMessageWriter writer, ushort protocol)
    {
        const uint Protocol = 1, Equal = 0;
        Expression(writer, "meta", w =>
        {
            w.Number(1, First);
            w.Number(2, Protocol);
        });
        Expression(writer, "cmp", w =>
        {
            Span<byte> value = stackalloc byte[2];
            BinaryPrimitives.WriteUInt16BigEndian(value, protocol);
            w.Number(1, First);
            w.Number(2, Equal);
            Data(w, 3, value);
        });
    }

    private static void Load(NftMessageWriter writer, uint header, uint offset, uint length, uint register) => Expression(writer, "payload", w =>
    {
        w.Number(1, register);
        w.Number(2, header);
        w.Number(3, offset);
        w.Number(4, length);
    });

    private static void Store(NftMessageWriter writer, uint header, uint offset, uint length, uint register) => Expression(writer, "payload", w =>
    {
        w.Number(2, header);
        w.Number(3, offset);
        w.Number(4, length);
        w.Number(5, register);
    });

    private static void Lookup(NftMessageWriter writer, string set, uint? result) => Expression(writer, "lookup", w =>
    {
        w.Text(1, set);
        w.Number(2, First);
        if (result is { } register)
            w.Number(3, register);
    });

    private static void SetPacketTypeHost(NftMessageWriter writer)
    {
        const uint PacketType = 19;
        Expression(writer, "immediate", static w =>
        {
            w.Number(1, First);
            // PACKET_HOST
            Data(w, 2, [0, 0, 0, 0]);
        });
        Expression(writer, "meta", static w =>
        {
            w.Number(2, PacketType);
            w.Number(3, First);
        });
    }

    private static void Expression(NftMessageWriter writer, string name, Action<NftMessageWriter> attributes)
    {
        int element = writer.Nest(ListElement);
        writer.Text(ExpressionName, name);
        int data = writer.Nest(ExpressionData);
        attributes(writer);
        writer.Close(data);
        writer.Close(element);
    }

    private static void Data(NftMessageWriter writer, ushort type, ReadOnlySpan<byte> value)
    {
        int nest = writer.Nest(type);
        writer.Bytes(DataValue, value);
        writer.Close(nest);
    }
}
