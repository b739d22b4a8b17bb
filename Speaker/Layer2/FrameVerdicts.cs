using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What becomes of a frame that reached us, whatever the protocol it asks by.</summary>
internal static class FrameVerdicts
{
    /// <summary>Decides.</summary>
    /// <param name="sender">Hardware address of who sent it.</param>
    /// <param name="claimed">The address that the sender says is its own.</param>
    /// <param name="asked">The address that it asks for; null when it asks for none.</param>
    /// <param name="own">Hardware address of the interface it came in by.</param>
    /// <param name="ours">Hardware addresses of all our interfaces.</param>
    /// <param name="announced">What we answer for.</param>
    /// <param name="time">The clock.</param>
    /// <param name="item">The address of ours that it is about; null when it is about none.</param>
    public static FrameVerdict Judge(
        MacAddress sender, HostAddress claimed, HostAddress? asked, MacAddress own, IReadOnlySet<MacAddress> ours, FrozenDictionary<HostAddress, Announced> announced,
        TimeProvider time, out Announced? item)
    {
        item = null;
        if (sender == own || ours.Contains(sender))
            return FrameVerdict.FromOurselves;
        if (announced.TryGetValue(claimed, out item))
            return item.IsValid(time) ? FrameVerdict.Claim : FrameVerdict.Expired;
        if (asked is not { } address)
            return FrameVerdict.NotARequest;
        if (!announced.TryGetValue(address, out item))
            return FrameVerdict.NotAnnounced;
        return item.IsValid(time) ? FrameVerdict.Answer : FrameVerdict.Expired;
    }
}
