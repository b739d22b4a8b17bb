using System.Collections.Concurrent;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>Addresses that we look for on the LAN before we use them for the first time, and who turned out to have them. Thread-safe.</summary>
internal sealed class FirstUseProbes
{
    private readonly ConcurrentDictionary<HostAddress, MacAddress> _sought = new();
    private volatile int _count;

    /// <summary>Begins to listen for an address.</summary>
    public void Begin(HostAddress address)
    {
        _sought[address] = MacAddress.Zero;
        _count = _sought.Count;
    }

    /// <summary>Ends listening. Who has the address; null for nobody that was heard.</summary>
    public MacAddress? End(HostAddress address)
    {
        bool was = _sought.TryRemove(address, out var mac);
        _count = _sought.Count;
        return was && mac != MacAddress.Zero ? mac : null;
    }

    /// <summary>Another machine showed that it has an address, or is about to use it.</summary>
    public void Hear(HostAddress address, MacAddress mac)
    {
        if (_count > 0 && _sought.TryGetValue(address, out var known))
            _sought.TryUpdate(address, mac, known);
    }
}

/// <summary>
/// When an address is asked for before its first use: three times within 0.4 s, and 0.3 s are waited after that (RFC 5227's procedure in a tenth of its time, as the address service
/// does it for leases). A pure machine on a monotonic clock. Not thread-safe.
/// </summary>
internal sealed class ProbeSchedule
{
    /// <summary>Times that an address is asked for.</summary>
    public const int Count = 3;

    /// <summary>Pause between two questions.</summary>
    public static readonly TimeSpan Every = TimeSpan.FromMilliseconds(200);

    /// <summary>How long is listened after the last.</summary>
    public static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(300);

    private readonly PriorityQueue<Step, TimeSpan> _due = new();

    /// <summary>When <see cref="TryTake"/> has something next; null for never.</summary>
    public TimeSpan? NextDue => _due.TryPeek(out _, out var due) ? due : null;

    /// <summary>Begins.</summary>
    public void Add(HostAddress address, IReadOnlySet<string>? interfaces, TimeSpan at) => _due.Enqueue(new Step(address, interfaces, Count), at);

    /// <summary>The next step that is due, if one is; the last one (<see cref="Step.Left"/> is 0) ends the wait.</summary>
    public bool TryTake(TimeSpan now, out Step step)
    {
        if (!_due.TryPeek(out step, out var due) || due > now)
            return false;
        _due.Dequeue();
        if (step.Left > 0)
            _due.Enqueue(step with { Left = step.Left - 1 }, now + (step.Left > 1 ? Every : Quiet));
        return true;
    }

    /// <summary>A question, or the end.</summary>
    /// <param name="Address">The address.</param>
    /// <param name="Interfaces">Where; null for everywhere.</param>
    /// <param name="Left">Questions left, this one included.</param>
    public readonly record struct Step(HostAddress Address, IReadOnlySet<string>? Interfaces, int Left)
    {
        /// <summary>Whether this is the first question.</summary>
        public bool IsFirst => Left == Count;
    }
}
