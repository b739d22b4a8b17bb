using System.Collections.Frozen;
using System.ComponentModel;
using System.Net.Sockets;

namespace DynamicLb.Speaker.Layer2;

/// <content>Addresses that have hardware addresses of their own: those of their leases.</content>
internal sealed partial class Layer2Announcer
{
    /// <summary>Why this node cannot give addresses hardware addresses of their own; null when it can. Thread-safe.</summary>
    public string? MacFault => macs.Fault;

    /// <summary>Has the kernel use the hardware addresses of what is announced, before it is answered for.</summary>
    private void FollowMacs()
    {
        var items = context.Table.Snapshot.Values.Where(static item => item.Mac is not null).ToList();
        var wanted = items.ToDictionary(static item => item.Address.IPv4, static item => item.Mac!.Value);
        try
        {
            foreach (var member in _members.Values)
                member.FollowMacs([.. items.Where(item => item.IsOn(member.Link.Name)).Select(static item => item.Mac!.Value).Distinct()]);
            var used = _members.Values.Select(static member => member.Link).Where(link => items.Exists(item => item.IsOn(link.Name))).ToList();
            macs.Apply(used, wanted);
            context.MacsInPlace = wanted.ToFrozenDictionary();
        }
        catch (Exception e) when (e is SocketException or Win32Exception)
        {
            // Those that were in place still are; what is new waits.
            context.MacsInPlace = context.MacsInPlace.Where(entry => wanted.TryGetValue(entry.Key, out var mac) && mac == entry.Value).ToFrozenDictionary();
            LogMacsFailed(logger, e.Message);
            LookLater();
        }
    }

    [LoggerMessage(4, LogLevel.Warning, "The MACs of leases are not in place yet: {Cause}")]
    private static partial void LogMacsFailed(ILogger logger, string cause);
}
