using System.Collections.Concurrent;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>Addresses that we look for on the LAN before we use them for the first time, and who turned out to have them. Thread-safe.</summary>
internal sealed class FirstUseProbes
{
    private readonly ConcurrentDictionary<HostAddress, Sought> _sought = new();
    private volatile int _count;

    /// <summary>The addresses that are looked for now, and on which interfaces (null for all).</summary>
    public IEnumerable<(HostAddress Address, IReadOnlySet<string>? Interfaces)> Now => _sought.Select(static entry => (entry.Key, entry.Value.Interfaces));

    /// <summary>Begins to listen for an address.</summary>
    /// <param name="address">The address.</param>
    /// <param name="interfaces">Where; null for everywhere. Who has it on another LAN does not matter.</param>
    public void Begin(HostAddress address, IReadOnlySet<string>? interfaces)
    {
        _sought[address] = new Sought(interfaces, MacAddress.Zero);
        _count = _sought.Count;
    }

    /// <summary>Ends listening. Who has the address; null for nobody that was heard.</summary>
    public MacAddress? End(HostAddress address)
    {
        bool was = _sought.TryRemove(address, out var sought);
        _count = _sought.Count;
        return was && sought.Mac != MacAddress.Zero ? sought.Mac : null;
    }

    /// <summary>Another machine showed that it has an address, or is about to use it.</summary>
    /// <param name="address">The address.</param>
    /// <param name="mac">The machine.</param>
    /// <param name="interface">Where it was heard.</param>
    public void Hear(HostAddress address, MacAddress mac, string @interface)
    {
        if (_count > 0 && _sought.TryGetValue(address, out var known) && known.Interfaces?.Contains(@interface) != false)
            _sought.TryUpdate(address, known with { Mac = mac }, known);
    }

    private readonly record struct Sought(IReadOnlySet<string>? Interfaces, MacAddress Mac);
}

/// <summary>
/// When an address is asked for before its first use: three times within 0.4 s, and 0.3 s are waited after that (RFC 5227's procedure in a tenth of its time, as the address service
/// does it for leases). Silence tells nothing where no question left, so it then begins again. A pure machine on a monotonic clock. Not thread-safe.
/// </summary>
internal sealed class ProbeSchedule
{
    /// <summary>Times that an address is asked for.</summary>
    public const int Count = 3;

    /// <summary>Pause between two questions.</summary>
    public static readonly TimeSpan Every = TimeSpan.FromMilliseconds(200);

    /// <summary>How long is listened after the last.</summary>
    public static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(300);

    private readonly Dictionary<HostAddress, Search> _searches = [];
    private readonly PriorityQueue<Search, TimeSpan> _due = new();

    /// <summary>When <see cref="TryTake"/> has something next; null for never.</summary>
    public TimeSpan? NextDue
    {
        get
        {
            // What was replaced is still in the queue.
            while (_due.TryPeek(out var search, out _) && _searches.GetValueOrDefault(search.Address) != search)
                _due.Dequeue();
            return _due.TryPeek(out _, out var due) ? due : null;
        }
    }

    /// <summary>Begins; in the place of what is under way for the address, whose end would tell nothing of this.</summary>
    public void Add(HostAddress address, IReadOnlySet<string>? interfaces, TimeSpan at)
    {
        var search = new Search(address, interfaces);
        _searches[address] = search;
        _due.Enqueue(search, at);
    }

    /// <summary>A question about an address left.</summary>
    public void Asked(HostAddress address)
    {
        if (_searches.TryGetValue(address, out var search))
            search.HasAsked = true;
    }

    /// <summary>The next step that is due, if one is; the last one (<see cref="Step.Left"/> is 0) ends the wait.</summary>
    public bool TryTake(TimeSpan now, out Step step)
    {
        step = default;
        if (NextDue is not { } due || due > now)
            return false;
        var search = _due.Dequeue();
        step = new Step(search.Address, search.Interfaces, search.Left, search.HasAsked);
        if (search.Left == 0)
            _searches.Remove(search.Address);
        else
            _due.Enqueue(search, now + (search.Left-- > 1 ? Every : Quiet));
        return true;
    }

    /// <summary>A question, or the end.</summary>
    /// <param name="Address">The address.</param>
    /// <param name="Interfaces">Where; null for everywhere.</param>
    /// <param name="Left">Questions left, this one included.</param>
    /// <param name="HasAsked">Whether any question before this step left.</param>
    public readonly record struct Step(HostAddress Address, IReadOnlySet<string>? Interfaces, int Left, bool HasAsked)
    {
        /// <summary>Whether this is the first question.</summary>
        public bool IsFirst => Left == Count;
    }

    private sealed class Search(HostAddress address, IReadOnlySet<string>? interfaces)
    {
        public HostAddress Address => address;

        public IReadOnlySet<string>? Interfaces => interfaces;

        public int Left { get; set; } = Count;

        public bool HasAsked { get; set; }
    }
}
