using System.Collections.Concurrent;

namespace DynamicLb.Networking.Addresses;

/// <summary>
/// Addresses that are held here, and which other hosts were heard to use: the passive part of address conflict detection (RFC 5227 §2.4). Each pair of
/// address and host is told at most once in ten seconds, and of all hosts together a bounded number. Thread-safe.
/// </summary>
/// <typeparam name="TAddress">An address as a value.</typeparam>
/// <param name="time">Clock.</param>
public sealed class AddressWatch<TAddress>(TimeProvider time)
    where TAddress : struct, IEquatable<TAddress>
{
    /// <summary>How long a pair that was told is not told again (RFC 5227 §1.1, DEFEND_INTERVAL).</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    /// <summary>Pairs remembered; beyond it nothing is told until some are old.</summary>
    public const int Most = 256;

    private readonly ConcurrentDictionary<TAddress, bool> _held = new();
    private readonly ConcurrentDictionary<MacAddress, bool> _trusted = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<(TAddress Address, MacAddress Host), long> _told = [];

    /// <summary>An address is held from now on.</summary>
    public void Add(TAddress address) => _held[address] = true;

    /// <summary>It is not any more.</summary>
    public void Remove(TAddress address) => _held.TryRemove(address, out _);

    /// <summary>A host may use any of the addresses.</summary>
    public void Trust(MacAddress host) => _trusted[host] = true;

    /// <summary>It may not any more.</summary>
    public void Distrust(MacAddress host) => _trusted.TryRemove(host, out _);

    /// <summary>A host was heard to use an address.</summary>
    /// <returns>Whether that is news.</returns>
    public bool IsNews(TAddress address, MacAddress host)
    {
        if (!_held.ContainsKey(address) || _trusted.ContainsKey(host))
            return false;
        lock (_lock)
        {
            if (_told.TryGetValue((address, host), out long at) && time.GetElapsedTime(at) < Interval)
                return false;
            if (_told.Count >= Most)
                Forget();
            if (_told.Count >= Most && !_told.ContainsKey((address, host)))
                return false;
            _told[(address, host)] = time.GetTimestamp();
            return true;
        }
    }

    private void Forget()
    {
        foreach (var pair in _told.Where(told => time.GetElapsedTime(told.Value) >= Interval).Select(told => told.Key).ToList())
            _told.Remove(pair);
    }
}
