namespace DynamicLb.Networking.Bgp;

/// <summary>How a session is doing. Immutable.</summary>
/// <param name="State">The state of the machine.</param>
/// <param name="LastError">Why there is no session, or why the last one ended; empty for no cause.</param>
/// <param name="Told">Prefixes that the peer has been told of.</param>
/// <param name="Pending">Prefixes that it has not been told of yet.</param>
/// <param name="NotCarried">Prefixes that the session cannot carry.</param>
public sealed record BgpSessionStatus(BgpState State, string LastError, int Told, int Pending, int NotCarried)
{
    /// <summary>What was agreed on; null without a session.</summary>
    public BgpEstablished? Session { get; init; }

    /// <summary>Our end; empty without a session.</summary>
    public string Local { get; init; } = "";

    /// <summary>Since when, UTC; null without a session.</summary>
    public DateTimeOffset? Since { get; init; }
}
