using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>Leases from before a restart.</summary>
internal static class Leases
{
    public static DhcpLease Of(string address, TimeSpan obtainedAt, uint seconds = 600, string server = "10.77.0.1") => new()
    {
        Address = IPv4Address.Parse(address),
        PrefixLength = 24,
        ServerId = IPv4Address.Parse(server),
        ServerMac = MacAddress.Parse("02:00:00:00:00:fe"),
        LeaseSeconds = seconds,
        ObtainedAt = obtainedAt,
        T1 = seconds == DhcpLease.Infinite ? null : obtainedAt + TimeSpan.FromSeconds(seconds * 0.5),
        T2 = seconds == DhcpLease.Infinite ? null : obtainedAt + TimeSpan.FromSeconds(seconds * 0.875),
        ExpiresAt = seconds == DhcpLease.Infinite ? null : obtainedAt + TimeSpan.FromSeconds(seconds),
        Verified = true,
    };
}
