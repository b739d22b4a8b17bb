using System.Globalization;

namespace DynamicLb.Contracts.Configuration;

/// <summary>A BGP community (RFC 1997) or large community (RFC 8092). Standard ones sort as large ones whose last two parts are 0.</summary>
/// <param name="IsLarge">Whether it is a large one.</param>
/// <param name="Global">Of a large one the global administrator; of a standard one all its 32 bits.</param>
/// <param name="First">Local data of a large one.</param>
/// <param name="Second">More local data of a large one.</param>
public readonly record struct BgpCommunity(bool IsLarge, uint Global, uint First, uint Second)
{
    /// <summary>Reads <c>65000:1</c> or <c>large:65000:1:2</c>.</summary>
    /// <param name="text">The text.</param>
    /// <param name="community">The community.</param>
    /// <param name="mayBeAlias">Whether the text, when it is no community, has not even the form of one.</param>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryParse(string text, out BgpCommunity community, out bool mayBeAlias)
    {
        community = default;
        mayBeAlias = false;
        string[] parts = text.Split(':');
        if (parts.Length == 2)
        {
            foreach (string part in parts)
            {
                if (!ushort.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out _))
                    return $"invalid community value: invalid section \"{part}\" of community \"{text}\"";
            }
            community = new BgpCommunity(false, ((uint)Number(parts[0]) << 16) | Number(parts[1]), 0, 0);
            return null;
        }
        if (parts.Length == 4)
        {
            if (parts[0] != "large")
                return $"invalid community value: expected community to be of format large, not \"{text}\"";
            foreach (string part in parts[1..])
            {
                if (!uint.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out _))
                    return $"invalid community value: invalid section \"{part}\" of community \"{text}\"";
            }
            community = new BgpCommunity(true, Number(parts[1]), Number(parts[2]), Number(parts[3]));
            return null;
        }
        mayBeAlias = true;
        return $"invalid community format: \"{text}\" is neither of the form 65000:1 nor large:65000:1:2";
    }

    /// <summary>Communities that have a name everywhere (IANA "BGP Well-known Communities"). A Community of the same name goes before.</summary>
    public static IReadOnlyDictionary<string, BgpCommunity> WellKnown { get; } = new Dictionary<string, BgpCommunity>
    {
        ["internet"] = new(false, 0, 0, 0),
        ["graceful-shutdown"] = new(false, 0xffff0000, 0, 0),
        ["accept-own"] = new(false, 0xffff0001, 0, 0),
        ["llgr-stale"] = new(false, 0xffff0006, 0, 0),
        ["no-llgr"] = new(false, 0xffff0007, 0, 0),
        ["blackhole"] = new(false, 0xffff029a, 0, 0),
        ["no-export"] = new(false, 0xffffff01, 0, 0),
        ["no-advertise"] = new(false, 0xffffff02, 0, 0),
        ["no-export-subconfed"] = new(false, 0xffffff03, 0, 0),
        ["local-as"] = new(false, 0xffffff03, 0, 0),
        ["no-peer"] = new(false, 0xffffff04, 0, 0),
    };

    /// <summary>What communities are sorted by.</summary>
    public (uint Global, uint First, uint Second) SortKey => (Global, First, Second);

    /// <inheritdoc/>
    public override string ToString() => IsLarge ? $"large:{Global}:{First}:{Second}" : $"{Global >> 16}:{Global & 0xffff}";

    private static uint Number(string text) => uint.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);
}
