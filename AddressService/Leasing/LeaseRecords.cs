using System.Globalization;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Between a lease on the monotonic clock and its record in UTC.</summary>
internal static class LeaseRecords
{
    /// <param name="record">Before.</param>
    /// <param name="held">What was granted.</param>
    /// <param name="clock">The clocks.</param>
    /// <param name="like">Another lease's record, whose texts are used again: of thousands most name the same server.</param>
    public static LeaseRecord With(LeaseRecord record, HeldLease held, ILeaseClock clock, LeaseRecord? like = null)
    {
        string address = held.Address.ToString();
        record = Extended(record, held, clock) with
        {
            Address = address,
            LeaseSeconds = held.Seconds,
            ServerId = Same(held.V4?.ServerId.ToString() ?? held.Server!, like?.ServerId),
            ObtainedAt = record.Address == address && record.ObtainedAt is { } first ? first : clock.UtcNow - clock.Now + held.ObtainedAt,
        };
        if (held.V6 is { } six)
            return record with { PrefixLength = 128, PreferredSeconds = six.PreferredSeconds };
        var lease = held.V4!;
        return record with
        {
            PrefixLength = lease.PrefixLength,
            Router = lease.Router.IsAny ? null : Same(lease.Router.ToString(), like?.Router),
            ServerMac = lease.ServerMac == MacAddress.Zero ? null : Same(lease.ServerMac.ToString(), like?.ServerMac),
        };
    }

    /// <summary>The record of a lease of which only the times have changed.</summary>
    public static LeaseRecord Extended(LeaseRecord record, HeldLease lease, ILeaseClock clock)
    {
        var zero = clock.UtcNow - clock.Now;
        return record with
        {
            State = LeaseRecordState.Bound,
            SentAt = zero + lease.ObtainedAt,
            SentAtBoot = lease.ObtainedAt.TotalSeconds,
            BootId = clock.BootId,
            T1 = zero + lease.T1,
            T2 = zero + lease.T2,
            ExpiresAt = zero + lease.ExpiresAt,
        };
    }

    /// <summary>
    /// The lease of a stored record on this boot's clock. In the same boot the monotonic clock counts; after another, the wall clock, which may have
    /// gone back: then no more is left than was left when the record was written.
    /// </summary>
    /// <returns>Null when the record holds no lease.</returns>
    public static HeldLease? Restore(LeaseRecord record, ILeaseClock clock)
    {
        if (!LeaseAddress.TryParse(record.Address, out var address) || address.Family != record.Family || record.SentAt is not { } sentAt)
            return null;
        _ = IPv4Address.TryParse(record.ServerId, out var server);
        _ = Dhcp6Duid.TryParse(record.ServerId, out var duid);
        _ = IPv4Address.TryParse(record.Router, out var router);
        _ = MacAddress.TryParse(record.ServerMac, out var serverMac);
        TimeSpan obtained;
        if (record.BootId == clock.BootId && record.SentAtBoot is { } boot && boot <= clock.Now.TotalSeconds)
        {
            obtained = TimeSpan.FromSeconds(boot);
        }
        else if (record.ExpiresAt is { } expires)
        {
            var left = expires - clock.UtcNow;
            var leftWhenSaved = expires - record.SavedAt;
            obtained = clock.Now + (left < leftWhenSaved ? left : leftWhenSaved) - (expires - sentAt);
        }
        else
        {
            obtained = clock.Now - (clock.UtcNow > sentAt ? clock.UtcNow - sentAt : TimeSpan.Zero);
        }
        if (address.IPv6 is { } six)
        {
            return new Dhcp6Lease
            {
                Address = six,
                ServerId = duid,
                PreferredSeconds = record.PreferredSeconds ?? 0,
                ValidSeconds = record.LeaseSeconds,
                ObtainedAt = obtained,
                T1 = obtained + (record.T1 - sentAt),
                T2 = obtained + (record.T2 - sentAt),
                ExpiresAt = obtained + (record.ExpiresAt - sentAt),
            };
        }
        return new DhcpLease
        {
            Address = address.IPv4!.Value,
            PrefixLength = record.PrefixLength,
            Router = router,
            ServerId = server,
            ServerMac = serverMac,
            LeaseSeconds = record.LeaseSeconds,
            ObtainedAt = obtained,
            T1 = obtained + (record.T1 - sentAt),
            T2 = obtained + (record.T2 - sentAt),
            ExpiresAt = obtained + (record.ExpiresAt - sentAt),
        };
    }

    public static Dhcp6ClientIdentity Identity6(LeaseRecord record)
    {
        _ = Dhcp6Duid.TryParse(record.Duid, out var duid);
        return new Dhcp6ClientIdentity(duid, record.Iaid ?? 1, record.FullName);
    }

    private static string Same(string text, string? known) => text == known ? known : text;

    public static DhcpClientIdentity Identity(LeaseRecord record) => new(
        MacAddress.Parse(record.Mac), Convert.FromHexString(record.ClientId), record.Hostname, record.VendorClass)
    {
        Fqdn = record is { Domain: not null, Hostname: not null } ? record.FullName : null,
        ExtraOptions = Read(record.Options),
    };

    /// <summary>Extra options as a record has them; null for none.</summary>
    public static IReadOnlyList<string>? Write(IReadOnlyList<DhcpExtraOption> options) =>
        options.Count == 0 ? null : [.. options.Select(option => $"{(int)option.Code}={Convert.ToHexStringLower(option.Value.Span)}")];

    private static IReadOnlyList<DhcpExtraOption> Read(IReadOnlyList<string>? options) => options is null ? [] : [.. options.Select(static text =>
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        return new DhcpExtraOption((DhcpOptionCode)int.Parse(text.AsSpan(0, equals), NumberStyles.None, CultureInfo.InvariantCulture), Convert.FromHexString(text.AsSpan(equals + 1)));
    })];
}
