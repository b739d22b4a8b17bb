using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Store;

/// <summary>What a stored record must hold to be used: files may be edited, or come from another version.</summary>
internal static class LeaseRecordRules
{
    /// <returns>Null when the record can be used, else the cause.</returns>
    public static string? Fault(LeaseRecord record)
    {
        bool isIPv6 = record.Family == LeaseFamily.IPv6;
        if (record.Version is not (1 or 2) || isIPv6 != (record.Version == 2))
            return $"version {record.Version} is unknown for a lease of {record.Family}";
        if (!ServiceName.IsValid(record.Service))
            return $"service '{record.Service}' is no namespace/name";
        if (isIPv6)
            return Fault6(record);
        if (!MacAddress.TryParse(record.Mac, out var mac) || mac.IsMulticast || mac == MacAddress.Zero)
            return $"mac '{record.Mac}' cannot be a station's";
        if (!IsHex(record.ClientId))
            return "clientId is not hexadecimal, 2 to 128 bytes";
        bool leased = record.State is LeaseRecordState.Bound || (record.State == LeaseRecordState.Releasing && record.Address is not null);
        if (leased && !(IPv4Address.TryParse(record.Address, out _) && IPv4Address.TryParse(record.ServerId, out _) && record.SentAt is not null))
            return "a leased record needs address, serverId and sentAt";
        return record.PrefixLength is < 0 or > 32 ? "prefixLength is not 0 to 32" : null;
    }

    private static string? Fault6(LeaseRecord record)
    {
        if (!Dhcp6Duid.TryParse(record.Duid, out _))
            return "duid is not hexadecimal, 3 to 130 bytes";
        bool leased = record.State is LeaseRecordState.Bound || (record.State == LeaseRecordState.Releasing && record.Address is not null);
        return leased && !(IPv6Address.TryParse(record.Address, out _) && Dhcp6Duid.TryParse(record.ServerId, out _) && record.SentAt is not null)
            ? "a leased record needs address, serverId and sentAt" : null;
    }

    private static bool IsHex(string text) =>
        text.Length is 0 or (>= 4 and <= 256) && text.Length % 2 == 0 && text.All(char.IsAsciiHexDigit);
}
