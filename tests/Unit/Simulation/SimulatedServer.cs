using DynamicLb.AddressService.Leasing;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>
/// What DHCP servers of both families have in common: a range, leases that end, and habits. It gives a client the address it had, and writes a lease before
/// it answers. Clients are known by their MAC or DUID, as text.
/// </summary>
/// <param name="size">Addresses of the range, which are numbered from 0.</param>
internal abstract class SimulatedServer(int size)
{
    /// <summary>Whose the declined addresses are.</summary>
    private const string Nobody = $"{StrangersOf4}ff:ff:ff:ff";
    private const string StrangersOf4 = "02:ff:";
    private const string StrangersOf6 = "0003000102ff";
    private static readonly TimeSpan OfferStands = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan DeclineStands = TimeSpan.FromHours(24);

    private readonly Dictionary<int, (string Holder, TimeSpan Until)> _leases = [];
    private readonly Dictionary<int, (string Holder, TimeSpan Until)> _offers = [];
    private readonly HashSet<(string, int)> _passedOver = [];
    private int _strangers;

    /// <summary>By which clients and their leases name it.</summary>
    public abstract string Name { get; }

    public abstract LeaseFamily Family { get; }

    public uint LeaseSeconds { get; set; } = 600;

    public bool IsUp { get; set; } = true;

    /// <summary>Refuses what it does not know, also another server's.</summary>
    public bool IsAuthoritative { get; set; }

    /// <summary>Grants an unknown client the free address that it says it has, as dnsmasq and ISC dhcpd do.</summary>
    public bool Recreates { get; set; }

    public bool SendsTimers { get; set; }

    /// <summary>Forgets a DECLINE but for the client that sent it, as dnsmasq does.</summary>
    public bool ForgetsDeclines { get; set; }

    /// <summary>Told of every grant before it is sent: holder, address, end.</summary>
    public Action<string, string, TimeSpan> Granted { get; set; } = (_, _, _) => { };

    /// <summary>Whether a client is none of ours.</summary>
    public static bool IsStranger(string holder) => holder.StartsWith(StrangersOf4, StringComparison.Ordinal) || holder.StartsWith(StrangersOf6, StringComparison.Ordinal);

    /// <summary>An address of the range.</summary>
    public abstract string AddressOf(int place);

    /// <summary>Its number, or -1 if it is none of the range.</summary>
    public abstract int PlaceOf(string address);

    /// <summary>Who has an address, or null.</summary>
    public string? HolderOf(string address, TimeSpan now) => HolderOf(PlaceOf(address), now);

    public IEnumerable<(string Holder, string Address, TimeSpan Until)> Active(TimeSpan now) =>
        _leases.Where(l => l.Value.Until > now).Select(l => (l.Value.Holder, AddressOf(l.Key), l.Value.Until));

    /// <summary>Loses its memory, as with a wiped database.</summary>
    public void Wipe()
    {
        _leases.Clear();
        _offers.Clear();
    }

    /// <summary>Somebody else takes an address.</summary>
    public void Squat(TimeSpan now)
    {
        string holder = $"{(Family == LeaseFamily.IPv4 ? StrangersOf4 : StrangersOf6)}{++_strangers:x8}";
        if (Choose(holder, -1, now) is { } place)
            _leases[place] = (holder, now + TimeSpan.FromSeconds(LeaseSeconds));
    }

    public void EvictStrangers(TimeSpan now)
    {
        foreach (int place in _leases.Where(l => l.Value.Until > now && IsStranger(l.Value.Holder)).Select(l => l.Key).ToList())
            _leases[place] = (_leases[place].Holder, now);
    }

    protected bool Has(int place) => place >= 0 && place < size;

    protected string? HolderOf(int place, TimeSpan now) => _leases.TryGetValue(place, out var lease) && lease.Until > now ? lease.Holder : null;

    /// <summary>Whether it remembers a client's lease of an address, be it that it has ended.</summary>
    protected bool Knows(string client, int place) => _leases.TryGetValue(place, out var lease) && lease.Holder == client;

    protected void Offer(string client, int place, TimeSpan now) => _offers[place] = (client, now + OfferStands);

    protected void ForgetOffers(string client)
    {
        foreach (int place in _offers.Where(o => o.Value.Holder == client).Select(o => o.Key).ToList())
            _offers.Remove(place);
    }

    protected void Grant(string client, int place, TimeSpan now)
    {
        var until = now + TimeSpan.FromSeconds(LeaseSeconds);
        // A lease may not end before what it was promised until.
        if (_leases.TryGetValue(place, out var before) && before.Holder == client && before.Until > until)
            until = before.Until;
        _offers.Remove(place);
        _leases[place] = (client, until);
        Granted(client, AddressOf(place), until);
    }

    protected void Free(string client, int place, TimeSpan now)
    {
        if (HolderOf(place, now) == client)
            _leases[place] = (client, now);
    }

    protected void Decline(string client, int place, TimeSpan now)
    {
        if (HolderOf(place, now) != client)
            return;
        _passedOver.Add((client, place));
        _leases[place] = ForgetsDeclines ? (client, now) : (Nobody, now + DeclineStands);
    }

    /// <summary>The client's own address, the one it asks for, one nobody had, the one that has been free for longest.</summary>
    protected int? Choose(string client, int requested, TimeSpan now)
    {
        int? own = null;
        foreach (var (place, lease) in _leases)
        {
            if (lease.Holder != client || _passedOver.Contains((client, place)))
                continue;
            if (lease.Until > now)
                return place;
            if (own is null || lease.Until > _leases[own.Value].Until)
                own = place;
        }
        if (IsFreeFor(client, requested, now) && !_passedOver.Contains((client, requested)))
            return requested;
        if (own is { } last && IsFreeFor(client, last, now))
            return last;
        int? oldest = null;
        for (int place = 0; place < size; place++)
        {
            if (!IsFreeFor(client, place, now) || _passedOver.Contains((client, place)))
                continue;
            if (!_leases.TryGetValue(place, out var lease))
                return place;
            if (oldest is null || lease.Until < _leases[oldest.Value].Until)
                oldest = place;
        }
        return oldest;
    }

    protected bool IsFreeFor(string client, int place, TimeSpan now) =>
        Has(place)
        && !(_leases.TryGetValue(place, out var lease) && lease.Until > now && lease.Holder != client)
        && !(_offers.TryGetValue(place, out var offer) && offer.Until > now && offer.Holder != client);
}
