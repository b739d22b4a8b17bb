namespace DynamicLb.Networking.Bgp;

/// <summary>A large community (RFC 8092).</summary>
/// <param name="Global">Global administrator: an AS number.</param>
/// <param name="First">Local data.</param>
/// <param name="Second">More local data.</param>
public readonly record struct BgpLargeCommunity(uint Global, uint First, uint Second) : IComparable<BgpLargeCommunity>
{
    /// <summary>Bytes on the wire.</summary>
    public const int Length = 12;

    /// <inheritdoc/>
    public int CompareTo(BgpLargeCommunity other) => (Global, First, Second).CompareTo((other.Global, other.First, other.Second));

    /// <summary>Whether the left community sorts before the right one.</summary>
    public static bool operator <(BgpLargeCommunity left, BgpLargeCommunity right) => left.CompareTo(right) < 0;

    /// <summary>Whether the left community sorts behind the right one.</summary>
    public static bool operator >(BgpLargeCommunity left, BgpLargeCommunity right) => left.CompareTo(right) > 0;

    /// <summary>Whether the left community does not sort behind the right one.</summary>
    public static bool operator <=(BgpLargeCommunity left, BgpLargeCommunity right) => left.CompareTo(right) <= 0;

    /// <summary>Whether the left community does not sort before the right one.</summary>
    public static bool operator >=(BgpLargeCommunity left, BgpLargeCommunity right) => left.CompareTo(right) >= 0;

    /// <summary>Three numbers.</summary>
    public override string ToString() => $"{Global}:{First}:{Second}";
}

/// <summary>
/// What is said of a route to every peer alike; origin, AS path and next hop follow from the session. Routes of equal attributes share messages. Immutable and thread-safe;
/// equality is by value.
/// </summary>
public sealed class BgpRouteAttributes : IEquatable<BgpRouteAttributes>
{
    private readonly uint[] _communities;
    private readonly BgpLargeCommunity[] _large;
    private readonly int _hash;

    /// <summary>Creates attributes. Communities are sorted, and each is taken once.</summary>
    /// <param name="localPref">LOCAL_PREF, which peers of our own AS see.</param>
    /// <param name="communities">Communities (RFC 1997).</param>
    /// <param name="largeCommunities">Large communities.</param>
    public BgpRouteAttributes(uint localPref, IEnumerable<uint> communities, IEnumerable<BgpLargeCommunity> largeCommunities)
    {
        LocalPref = localPref;
        _communities = [.. communities.Distinct().Order()];
        _large = [.. largeCommunities.Distinct().Order()];
        var hash = new HashCode();
        hash.Add(localPref);
        foreach (uint community in _communities)
            hash.Add(community);
        foreach (var community in _large)
            hash.Add(community);
        _hash = hash.ToHashCode();
    }

    /// <summary>LOCAL_PREF.</summary>
    public uint LocalPref { get; }

    /// <summary>Communities, sorted.</summary>
    public ReadOnlySpan<uint> Communities => _communities;

    /// <summary>Large communities, sorted.</summary>
    public ReadOnlySpan<BgpLargeCommunity> LargeCommunities => _large;

    /// <inheritdoc/>
    public bool Equals(BgpRouteAttributes? other) => ReferenceEquals(this, other)
        || (other is not null && _hash == other._hash && LocalPref == other.LocalPref && Communities.SequenceEqual(other.Communities)
            && LargeCommunities.SequenceEqual(other.LargeCommunities));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as BgpRouteAttributes);

    /// <inheritdoc/>
    public override int GetHashCode() => _hash;
}
