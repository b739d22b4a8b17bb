using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

internal sealed partial class LeaseKeeper
{
    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Error, Message = "{Service} gets no address: {Cause}")]
        public static partial void Confused(ILogger logger, string service, string cause);

        [LoggerMessage(Level = LogLevel.Error, Message = "{Service}: {Address} from {Server} is in use by {Host}: declined, and avoided for an hour")]
        public static partial void Declined(ILogger logger, string service, LeaseAddress address, string? server, string host);

        [LoggerMessage(Level = LogLevel.Error, Message = "{Service}: its address {Address} is used by {Host}, too, which is neither a lease of ours nor a speaker")]
        public static partial void Conflict(ILogger logger, string service, LeaseAddress address, MacAddress host);

        [LoggerMessage(Level = LogLevel.Information, Message = "{Service} was deleted: its lease of {Address} is kept for {Seconds} s")]
        public static partial void Retained(ILogger logger, string service, string address, double seconds);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{Service} has a lease but no owner: {Reason}")]
        public static partial void Orphaned(ILogger logger, string service, string reason);

        [LoggerMessage(Level = LogLevel.Error, Message = "{Orphans} of {Leases} leases have no owner, more than {Limit}: none is released before POST /v1/ip/orphans/release")]
        public static partial void OrphansHeld(ILogger logger, int orphans, int leases, int limit);

        [LoggerMessage(Level = LogLevel.Information, Message = "Loaded {Leases} leases, {Releasing} to be released or just released, {Macs} MACs in the pool")]
        public static partial void Loaded(ILogger logger, int leases, int releasing, int macs);

        [LoggerMessage(Level = LogLevel.Error, Message = "Stored leases: {Fault}")]
        public static partial void StoreFault(ILogger logger, string fault);

        [LoggerMessage(Level = LogLevel.Error, Message = "The lease of {Service} cannot be stored, it is tried again: {Reason}")]
        public static partial void SaveFailed(ILogger logger, string service, string reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "Every lease from before the start was asked for")]
        public static partial void Settled(ILogger logger);

        [LoggerMessage(Level = LogLevel.Debug, Message = "{Service}: {From} to {To}")]
        public static partial void StateChanged(ILogger logger, string service, DhcpClientState from, DhcpClientState to);

        [LoggerMessage(Level = LogLevel.Information, Message = "{Service} leased {Address} as {Mac} from {Server} for {Seconds} s")]
        public static partial void Leased(ILogger logger, string service, LeaseAddress address, string mac, string? server, uint seconds);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{Service} had {From}, its server gives it {To} now")]
        public static partial void Changed(ILogger logger, string service, LeaseAddress from, LeaseAddress to);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{Service} lost {Address}: {Reason}")]
        public static partial void Lost(ILogger logger, string service, LeaseAddress address, DhcpLossReason reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "{Service} gave {Address} back; {Mac} is free")]
        public static partial void Released(ILogger logger, string service, string address, string mac);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{Service}: {What}")]
        public static partial void Noted(ILogger logger, string service, string what);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{Service} has waited for an address too long, and nobody asks for it any more; {Mac} is free again: {Detail}")]
        public static partial void Abandoned(ILogger logger, string service, string mac, string detail);

        [LoggerMessage(Level = LogLevel.Information, Message = "{Service} is released: {Reason}")]
        public static partial void Releasing(ILogger logger, string service, string reason);
    }
}
