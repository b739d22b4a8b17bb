using System.Net.Sockets;
using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Controller.Allocation;

/// <summary>
/// The free addresses of one range as a sorted set of intervals: taking the lowest, taking a given one and giving back cost O(log n) in the number of
/// intervals, whatever the size of the range. Not thread-safe.
/// </summary>
internal sealed class FreeAddresses
{
    private readonly SortedSet<(UInt128 First, UInt128 Last)> _intervals = [];
    private readonly bool _avoidBuggy;

    /// <param name="range">All are free at first.</param>
    /// <param name="avoidBuggy">Whether IPv4 addresses that end in .0 or .255 are left out.</param>
    public FreeAddresses(AddressRange range, bool avoidBuggy)
    {
        Range = range;
        _avoidBuggy = avoidBuggy && range.Family == AddressFamily.InterNetwork;
        Add(range.First, range.Last);
    }

    public AddressRange Range { get; }

    /// <summary>The lowest free address; null when there is none.</summary>
    public UInt128? Lowest => _intervals.Count == 0 ? null : _intervals.Min.First;

    /// <summary>Takes a given address; false when it is not free.</summary>
    public bool Take(UInt128 address)
    {
        if (Containing(address) is not { } interval)
            return false;
        _intervals.Remove(interval);
        if (interval.First < address)
            Add(interval.First, address - 1);
        if (address < interval.Last)
            Add(address + 1, interval.Last);
        return true;
    }

    /// <summary>Gives back an address that was taken.</summary>
    public void Return(UInt128 address)
    {
        UInt128 first = address, last = address;
        if (address > Range.First && Containing(address - 1) is { } below)
        {
            _intervals.Remove(below);
            first = below.First;
        }
        if (address < Range.Last && Containing(address + 1) is { } above)
        {
            _intervals.Remove(above);
            last = above.Last;
        }
        Add(first, last);
    }

    /// <summary>Whether an address is never given.</summary>
    public bool IsAvoided(UInt128 address) => _avoidBuggy && ((uint)address & 0xff) is 0 or 0xff;

    private (UInt128 First, UInt128 Last)? Containing(UInt128 address)
    {
        if (_intervals.Count == 0 || _intervals.Min.First > address)
            return null;
        var candidate = _intervals.GetViewBetween((UInt128.MinValue, UInt128.MinValue), (address, UInt128.MaxValue)).Max;
        return candidate.Last >= address ? candidate : null;
    }

    /// <summary>Adds an interval without avoided addresses at its ends, so that the lowest is always one that can be given.</summary>
    private void Add(UInt128 first, UInt128 last)
    {
        // At most two in a row are avoided; the highest address of all is its own end.
        while (first < last && IsAvoided(first))
            first++;
        while (first < last && IsAvoided(last))
            last--;
        if (first <= last && !IsAvoided(first))
            _intervals.Add((first, last));
    }
}
