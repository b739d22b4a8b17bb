using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>How DHCPv6 clients behave; one object for all clients. Immutable. Timers are those of RFC 8415 §7.6 and are no settings.</summary>
public sealed record Dhcp6ClientSettings
{
    /// <summary>The defaults.</summary>
    public static Dhcp6ClientSettings Default { get; } = new();

    /// <summary>Longest random pause before the first Solicit, and before the first Rebind after a restart (SOL_MAX_DELAY, CNF_MAX_DELAY).</summary>
    public TimeSpan FirstDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Takes the first usable Advertise instead of collecting them for a second. A preference of 255 always ends the collecting.</summary>
    public bool TakeFirstAdvertise { get; init; }

    /// <summary>Offers to have the lease in two messages. With several servers each of them commits an address.</summary>
    public bool RapidCommit { get; init; }

    /// <summary>If not empty, only servers whose link-local address lies inside are listened to.</summary>
    public IReadOnlyList<IPv6Network> AllowedServers { get; init; } = [];

    /// <summary>An address with a shorter valid lifetime is not used.</summary>
    public TimeSpan MinimumLease { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How often a lease without end is confirmed.</summary>
    public TimeSpan InfiniteRecheck { get; init; } = TimeSpan.FromHours(24);

    /// <summary>How long duplicate address detection waits for an answer before a new address is used; zero leaves it out.</summary>
    public TimeSpan DuplicateDetection { get; init; }

    /// <summary>From <see cref="Dhcp6Client.Release(TimeSpan)"/> to the first Release, for the announcers to fall silent.</summary>
    public TimeSpan ReleaseDelay { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Longest pause after repeated refusals: 0, 1, 2, 4 s and so on up to this.</summary>
    public TimeSpan BackoffLimit { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>Who a client is towards the servers.</summary>
/// <param name="Duid">One for each lease: every lease is a client of its own.</param>
/// <param name="Iaid">Number of its identity association.</param>
/// <param name="Name">Name for DNS (option 39): complete if it has a dot, to be completed by the server if not; null for none.</param>
public sealed record Dhcp6ClientIdentity(Dhcp6Duid Duid, uint Iaid = 1, string? Name = null);
