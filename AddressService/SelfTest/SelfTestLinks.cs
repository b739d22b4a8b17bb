using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.AddressService.SelfTest;

/// <summary>The interfaces that are leased on, as self-tests use them: with sockets of their own, but for the relay's port.</summary>
internal sealed class SelfTestLinks(IReadOnlyList<LeaseLink> leases, DhcpLinks links, TimeProvider time) : ISelfTestLinks
{
    public IReadOnlyList<string> Names => [.. leases.Select(link => link.Name)];

    public ISelfTestLink? Find(string? name)
    {
        for (int i = 0; i < leases.Count; i++)
        {
            if (name is null || leases[i].Name == name)
                return new Link(leases[i], links.Items[i], links.Relays, time);
        }
        return null;
    }

    private sealed class Link(LeaseLink lease, DhcpLink link, RelaySockets relays, TimeProvider time) : ISelfTestLink
    {
        public string Name => lease.Name;

        public MacAddress Mac => link.HardwareAddress;

        public string Configured => lease.Options switch
        {
            { Transport: TransportMode.Relay } => SelfTestModes.Relay,
            { Identity: IdentityMode.ClientId } => SelfTestModes.ClientId,
            { Transport: TransportMode.ChAddr } => SelfTestModes.ChAddr,
            _ => SelfTestModes.Nic,
        };

        public bool HasOneMac => lease.Options is { Identity: IdentityMode.ClientId } or { MacBudget: 1 };

        public bool HasRelay => lease.Options.RelayServers.Count > 0;

        public DhcpClientSettings Settings => lease.Settings;

        public string? VendorClass => lease.Options.VendorClass.Length == 0 ? null : lease.Options.VendorClass;

        public IReadOnlySet<IPv4Address> OwnAddresses() => HostAddresses.Read() ?? new HashSet<IPv4Address>();

        public string? Refuse(IPv4Address address) =>
            lease.Options.Cidrs.Count > 0 && !lease.Options.Cidrs.Any(network => network.Contains(address)) ? "outside the configured ranges" : null;

        public IDhcpTransport Open(string mode)
        {
            if (mode == SelfTestModes.Relay)
                return relays.OpenForAWhile(lease.Options, link.Device);
            var found = Networking.Netlink.NetworkInterfaces.TryRead(link.Device)?.Link
                ?? throw new System.Net.Sockets.SocketException((int)System.Net.Sockets.SocketError.NetworkDown);
            ushort vlan = (ushort)lease.Options.Vlan;
            var channel = PacketLinkChannel.Open(found, DhcpFilter.For(vlan));
            return new PacketDhcpTransport(
                vlan == 0 ? channel : new TaggedLinkChannel(channel, vlan), mode == SelfTestModes.ChAddr ? DhcpFrameSource.ChAddr : DhcpFrameSource.Nic, time);
        }
    }
}
