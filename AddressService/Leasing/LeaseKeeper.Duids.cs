using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Who a lease of IPv6 is towards the servers: a DUID-UUID each, for each is a DHCP client of its own (RFC 6355).</summary>
internal sealed partial class LeaseKeeper
{
    private readonly Dictionary<Dhcp6Duid, LeaseEntry> _byDuid = [];

    /// <summary>The MAC of a stored lease; zero where it has none.</summary>
    private static MacAddress MacOf(LeaseRecord record) => record.Family == LeaseFamily.IPv6 ? MacAddress.Zero : MacAddress.Parse(record.Mac);

    private static Dhcp6Duid DuidOf(LeaseRecord record) => Dhcp6Duid.TryParse(record.Duid, out var duid) ? duid : default;

    /// <summary>
    /// The DUID of a new lease. One that is being released has its own until the server has heard of it, or it would give back the new one's address.
    /// </summary>
    private Dhcp6Duid ChooseDuid(string service, string? uid)
    {
        Dhcp6Duid duid;
        int attempt = 0;
        do
            duid = _generator.DeriveDuid(service, uid, attempt++);
        while (_byDuid.ContainsKey(duid));
        return duid;
    }
}
