using System.Net.Sockets;
using DynamicLb.Contracts.Resources;

namespace DynamicLb.Contracts.Configuration.Rules;

/// <summary>Rules of BGPPeers and BFDProfiles.</summary>
internal sealed class PeerRules(ConfigPass pass)
{
    private const long LargestAsn = uint.MaxValue;

    public Dictionary<string, BfdProfile> ReadProfiles()
    {
        pass.Names(pass.Set.BfdProfiles);
        var profiles = new Dictionary<string, BfdProfile>();
        foreach (var item in pass.Set.BfdProfiles)
        {
            Within(item.Origin, "receiveInterval", item.Spec.ReceiveInterval, 10, 60_000);
            Within(item.Origin, "transmitInterval", item.Spec.TransmitInterval, 10, 60_000);
            Within(item.Origin, "echoInterval", item.Spec.EchoInterval, 10, 60_000);
            Within(item.Origin, "detectMultiplier", item.Spec.DetectMultiplier, 2, 255);
            Within(item.Origin, "minimumTtl", item.Spec.MinimumTtl, 1, 254);
            if (!pass.Bad.Contains(item.Origin))
                profiles.TryAdd(item.Name, new BfdProfile(item.Name, item.Spec));
        }
        return profiles;
    }

    public List<Read<BgpPeer>> ReadPeers(IReadOnlyDictionary<string, BfdProfile> profiles)
    {
        pass.Names(pass.Set.BgpPeers);
        var peers = new List<Read<BgpPeer>>();
        foreach (var item in pass.Set.BgpPeers)
        {
            var peer = ReadPeer(item, profiles);
            if (!pass.Bad.Contains(item.Origin))
                peers.Add(new Read<BgpPeer>(item.Origin, peer));
        }
        return peers;
    }

    private BgpPeer ReadPeer(ConfigItem<BGPPeerSpec> item, IReadOnlyDictionary<string, BfdProfile> profiles)
    {
        var (origin, spec) = (item.Origin, item.Spec);
        if (spec.MyASN == 0)
            pass.Fault(origin, "myASN", "is required and cannot be 0");
        Within(origin, "myASN", spec.MyASN, 0, LargestAsn);
        Within(origin, "peerASN", spec.PeerASN, 0, LargestAsn);
        Within(origin, "localASN", spec.LocalASN, 1, LargestAsn);
        CheckAsn(origin, spec);
        CheckPlace(origin, spec);
        Address(origin, "sourceAddress", spec.SourceAddress, false);
        if (!string.IsNullOrEmpty(spec.RouterID) && !(AddressRange.TryParseAddress(spec.RouterID, out var id) && id.AddressFamily == AddressFamily.InterNetwork))
            pass.Fault(origin, "routerID", $"invalid router ID \"{spec.RouterID}\": it has the form of an IPv4 address");
        Within(origin, "peerPort", spec.PeerPort, 1, 16_384);
        pass.Selectors(origin, "nodeSelectors", spec.NodeSelectors);
        CheckPassword(origin, spec);
        if (!string.IsNullOrEmpty(spec.BfdProfile) && !pass.Set.ToleratesAbsent && !profiles.ContainsKey(spec.BfdProfile))
            pass.Fault(origin, "bfdProfile", $"BFD profile \"{spec.BfdProfile}\" {pass.Absent("BFDProfile", spec.BfdProfile)}");
        var (hold, keepalive) = Timers(origin, spec);
        return new BgpPeer(
            item.Name, spec, AddressRange.TryParseAddress(spec.PeerAddress, out var address) ? address : null, hold, keepalive, ConnectTime(origin, spec.ConnectTime));
    }

    private void CheckAsn(ConfigOrigin origin, BGPPeerSpec spec)
    {
        bool isDynamic = !string.IsNullOrEmpty(spec.DynamicASN);
        if (isDynamic && spec.DynamicASN is not ("internal" or "external"))
            pass.Fault(origin, "dynamicASN", $"'{spec.DynamicASN}' is neither internal nor external");
        if (spec.PeerASN is > 0 && isDynamic)
            pass.Fault(origin, "dynamicASN", "not together with peerASN");
        else if (spec.PeerASN is null or 0 && !isDynamic)
            pass.Fault(origin, "peerASN", "peerASN or dynamicASN is required");
        if (spec.EbgpMultiHop == true && spec.PeerASN is > 0 && spec.PeerASN == spec.MyASN)
            pass.Fault(origin, "ebgpMultiHop", "is for routers of another AS only");
    }

    private void CheckPlace(ConfigOrigin origin, BGPPeerSpec spec)
    {
        bool hasInterface = !string.IsNullOrEmpty(spec.Interface), hasAddress = !string.IsNullOrEmpty(spec.PeerAddress);
        if (hasInterface && hasAddress)
            pass.Fault(origin, "interface", "not together with peerAddress");
        else if (!hasInterface && !hasAddress)
            pass.Fault(origin, "peerAddress", "peerAddress or interface is required");
        Address(origin, "peerAddress", spec.PeerAddress, true);
    }

    private void CheckPassword(ConfigOrigin origin, BGPPeerSpec spec)
    {
        if (spec.PasswordSecret?.Name is not { Length: > 0 } name)
            return;
        if (!string.IsNullOrEmpty(spec.Password))
            pass.Fault(origin, "passwordSecret", "not together with password");
        if (pass.Set.Secrets is not { } secrets)
            return;
        if (!secrets.TryGetValue(name, out var secret))
            pass.Fault(origin, "passwordSecret", $"Secret \"{name}\" not found");
        else if (secret.Type != "kubernetes.io/basic-auth")
            pass.Fault(origin, "passwordSecret", $"Secret \"{name}\" is of type {secret.Type}, not kubernetes.io/basic-auth: secret type mismatch");
        else if (!secret.Keys.Contains("password"))
            pass.Fault(origin, "passwordSecret", $"Secret \"{name}\" has no key \"password\"");
    }

    private (TimeSpan? Hold, TimeSpan? Keepalive) Timers(ConfigOrigin origin, BGPPeerSpec spec)
    {
        var hold = Duration(origin, "holdTime", spec.HoldTime);
        var keepalive = Duration(origin, "keepaliveTime", spec.KeepaliveTime);
        if (hold is { } given)
        {
            hold = TimeSpan.FromSeconds(Math.Floor(given.TotalSeconds));
            if (hold.Value > TimeSpan.Zero && hold.Value < TimeSpan.FromSeconds(3) || given > TimeSpan.Zero && hold.Value == TimeSpan.Zero)
                pass.Fault(origin, "holdTime", $"invalid hold time \"{spec.HoldTime}\": it is 0s or at least 3s");
            else if (hold > TimeSpan.FromSeconds(ushort.MaxValue))
                pass.Fault(origin, "holdTime", $"invalid hold time \"{spec.HoldTime}\": it is at most 65535s");
        }
        if (hold is { } both && keepalive is { } shorter && shorter > both)
            pass.Fault(origin, "keepaliveTime", $"invalid keepalive time \"{spec.KeepaliveTime}\": it is longer than the hold time");
        return (hold ?? keepalive * 3, keepalive ?? hold / 3);
    }

    private TimeSpan? ConnectTime(ConfigOrigin origin, string? text)
    {
        var time = Duration(origin, "connectTime", text);
        if (time is { } given && (given.TotalSeconds is < 1 or > 65_535 || given.TotalMilliseconds % 1000 != 0))
            pass.Fault(origin, "connectTime", $"invalid connect time \"{text}\": connect time should be between 1 seconds to 65535, in whole seconds");
        return time;
    }

    private TimeSpan? Duration(ConfigOrigin origin, string path, string? text)
    {
        if (string.IsNullOrEmpty(text))
            return null;
        if (GoDuration.TryParse(text, out var duration))
            return duration;
        pass.Fault(origin, path, $"'{text}' is not a duration such as 90s or 1m30s");
        return null;
    }

    private void Address(ConfigOrigin origin, string path, string? text, bool isPeer)
    {
        if (!string.IsNullOrEmpty(text) && !AddressRange.TryParseAddress(text, out _))
            pass.Fault(origin, path, isPeer ? $"invalid BGPPeer address \"{text}\"" : $"invalid source address \"{text}\"");
    }

    private void Within(ConfigOrigin origin, string path, long? value, long least, long most)
    {
        if (value is { } given && (given < least || given > most))
            pass.Fault(origin, path, $"{given} is not from {least} to {most}");
    }
}
