using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>Builds what a client sends: which options each message must and must not carry (RFC 2131 tables 4 and 5).</summary>
internal static class DhcpMessages
{
    private const ushort MaximumMessageSize = 1472;

    // Mask, routers, domain, broadcast, lease time, server id, T1, T2. The same in every message: servers may key their answer on it.
    private static ReadOnlySpan<byte> ParameterRequestList => [1, 3, 15, 28, 51, 54, 58, 59];

    private static ReadOnlySpan<byte> ParameterRequestListWithName => [1, 3, 15, 28, 51, 54, 58, 59, 81];

    public static DhcpMessage Discover(DhcpClientIdentity identity, DhcpClientSettings settings, uint xid, ushort secs, IPv4Address requested)
    {
        var message = Start(DhcpMessageType.Discover, identity, xid, secs, settings.Broadcast);
        if (!requested.IsAny)
            message.Options.SetAddress(DhcpOptionCode.RequestedAddress, requested);
        return Finish(message, identity, settings);
    }

    public static DhcpMessage RequestSelecting(
        DhcpClientIdentity identity, DhcpClientSettings settings, uint xid, ushort secs, IPv4Address requested, IPv4Address server)
    {
        var message = Start(DhcpMessageType.Request, identity, xid, secs, settings.Broadcast);
        message.Options.SetAddress(DhcpOptionCode.RequestedAddress, requested).SetAddress(DhcpOptionCode.ServerId, server);
        return Finish(message, identity, settings);
    }

    public static DhcpMessage RequestInitReboot(DhcpClientIdentity identity, DhcpClientSettings settings, uint xid, ushort secs, IPv4Address address)
    {
        var message = Start(DhcpMessageType.Request, identity, xid, secs, settings.Broadcast);
        message.Options.SetAddress(DhcpOptionCode.RequestedAddress, address);
        return Finish(message, identity, settings);
    }

    public static DhcpMessage RequestClientAddress(DhcpClientIdentity identity, DhcpClientSettings settings, uint xid, ushort secs, IPv4Address address)
    {
        var message = Start(DhcpMessageType.Request, identity, xid, secs, broadcast: true);
        message.ClientAddress = address;
        return Finish(message, identity, settings);
    }

    public static DhcpMessage Release(DhcpClientIdentity identity, uint xid, IPv4Address address, IPv4Address server, string? reason)
    {
        var message = Start(DhcpMessageType.Release, identity, xid, secs: 0, broadcast: false);
        message.ClientAddress = address;
        message.Options.SetAddress(DhcpOptionCode.ServerId, server);
        if (!string.IsNullOrEmpty(reason))
            message.Options.SetText(DhcpOptionCode.Message, reason.Length <= 64 ? reason : reason[..64]);
        return message;
    }

    public static DhcpMessage Decline(DhcpClientIdentity identity, uint xid, IPv4Address address, IPv4Address server, string reason)
    {
        var message = Start(DhcpMessageType.Decline, identity, xid, secs: 0, broadcast: false);
        message.Options.SetAddress(DhcpOptionCode.RequestedAddress, address).SetAddress(DhcpOptionCode.ServerId, server).SetText(DhcpOptionCode.Message, reason);
        return message;
    }

    private static DhcpMessage Start(DhcpMessageType type, DhcpClientIdentity identity, uint xid, ushort secs, bool broadcast)
    {
        var message = DhcpMessage.Rent();
        message.Type = type;
        message.TransactionId = xid;
        message.Seconds = secs;
        message.Broadcast = broadcast;
        message.HardwareAddress = identity.ChAddr;
        if (!identity.ClientId.IsEmpty)
            message.Options.Set(DhcpOptionCode.ClientId, identity.ClientId.Span);
        return message;
    }

    private static DhcpMessage Finish(DhcpMessage message, DhcpClientIdentity identity, DhcpClientSettings settings)
    {
        // ISC forgets the wish unless the REQUEST repeats it.
        if (settings.RequestedLeaseSeconds is { } lease)
            message.Options.SetUInt32(DhcpOptionCode.LeaseTime, lease);
        message.Options.Set(DhcpOptionCode.ParameterRequestList, identity.Fqdn is null ? ParameterRequestList : ParameterRequestListWithName).SetUInt16(DhcpOptionCode.MaximumMessageSize, MaximumMessageSize);
        if (!string.IsNullOrEmpty(identity.VendorClass))
            message.Options.SetText(DhcpOptionCode.VendorClass, identity.VendorClass);
        if (identity.Fqdn is not null)
            message.Options.Set(DhcpOptionCode.Fqdn, identity.FqdnOption.Span);
        else if (!string.IsNullOrEmpty(identity.Hostname))
            message.Options.SetText(DhcpOptionCode.HostName, identity.Hostname);
        for (int i = 0; i < identity.ExtraOptions.Count; i++)
            message.Options.Set(identity.ExtraOptions[i].Code, identity.ExtraOptions[i].Value.Span);
        return message;
    }
}
