using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;

namespace DynamicLb.Controller.AddressServices;

/// <summary>The lease that a Service has, or shares.</summary>
/// <param name="Source">The address service.</param>
/// <param name="Name">Its name there: that of the Service that asked first, mostly.</param>
/// <param name="Uid">Its UID there.</param>
internal sealed record HeldLease(string Source, NamespacedName Name, string? Uid)
{
    private const int LongestName = 63;

    /// <summary>The lease of one family, where that goes by another name, since the Service asked for another address of that family alone.</summary>
    public LeasePart? Apart { get; init; }

    /// <summary>The lease of a family.</summary>
    public LeaseId IdOf(AddressFamily family) => new(Apart?.Family == family ? Apart.Name : Name, family);

    /// <summary>The UID of the lease of a family.</summary>
    public string? UidOf(AddressFamily family) => Apart?.Family == family ? Apart.Uid : Uid;

    /// <summary>The same with that of another lease in one family.</summary>
    public HeldLease With(AddressFamily family, HeldLease lease) => Apart is null || Apart.Family == family
        ? this with { Apart = new LeasePart(family, lease.Name, lease.Uid) }
        : lease with { Apart = Apart };

    /// <summary>The lease under a Service's own name.</summary>
    public static HeldLease Own(string source, NamespacedName service, string? uid) => new(source, service, uid);

    /// <summary>Another one for a Service whose name is taken, by what others share since a Service of that name was there.</summary>
    public static HeldLease Other(string source, NamespacedName service, string? uid)
    {
        var other = Marked(source, service, uid, (uid ?? "").Replace("-", "", StringComparison.Ordinal).PadRight(8, '0')[..8]);
        return other with { Uid = uid is null ? null : $"{uid}/2" };
    }

    /// <summary>One beside the lease that a Service has, for an address that it asks for. The same again after a restart.</summary>
    /// <param name="source">The address service.</param>
    /// <param name="service">The Service.</param>
    /// <param name="uid">Its UID.</param>
    /// <param name="asked">What it asks for.</param>
    /// <param name="taken">The name of the lease it has.</param>
    public static HeldLease Trial(string source, NamespacedName service, string? uid, string asked, NamespacedName? taken)
    {
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{uid} {asked}")));
        var first = Marked(source, service, uid, hash[..8]);
        return first.Name == taken ? Marked(source, service, uid, hash[8..16]) : first;
    }

    /// <summary>As it is written to a Service that goes by it, unless it goes by the Service's own name; else null.</summary>
    public string? Annotation(NamespacedName service) => Apart is { } other ? $"{Name}@{Uid},{(other.Family == AddressFamily.InterNetwork ? 4 : 6)}={other.Name}@{other.Uid}"
        : Name == service ? null : $"{Name}@{Uid}";

    private static HeldLease Marked(string source, NamespacedName service, string? uid, string mark)
    {
        string name = service.Name.Length + mark.Length < LongestName ? service.Name : service.Name[..(LongestName - mark.Length - 1)].TrimEnd('-');
        return new HeldLease(source, service with { Name = $"{name}-{mark}" }, uid is null ? null : $"{uid}/{mark}");
    }

    /// <summary>Reads what <see cref="Annotation"/> wrote; null when there is nothing to read.</summary>
    public static HeldLease? Parse(string source, string? annotation)
    {
        string[] parts = (annotation ?? "").Split(',');
        if (ParsePart(parts[0]) is not { } first)
            return null;
        var family = parts is not [_, ['4' or '6', '=', ..]] ? AddressFamily.Unspecified : parts[1][0] == '4' ? AddressFamily.InterNetwork : AddressFamily.InterNetworkV6;
        return new HeldLease(source, first.Name, first.Uid)
        {
            Apart = family != AddressFamily.Unspecified && ParsePart(parts[1][2..]) is { } other ? new LeasePart(family, other.Name, other.Uid) : null,
        };
    }

    private static (NamespacedName Name, string? Uid)? ParsePart(string text)
    {
        int at = text.IndexOf('@');
        return at > 0 && NamespacedName.TryParse(text[..at], out var name) ? (name, at + 1 < text.Length ? text[(at + 1)..] : null) : null;
    }
}

/// <summary>The lease of one family of a Service whose other address goes by another name.</summary>
/// <param name="Family">The family.</param>
/// <param name="Name">The name of the lease.</param>
/// <param name="Uid">Its UID.</param>
internal sealed record LeasePart(AddressFamily Family, NamespacedName Name, string? Uid);

/// <summary>
/// Which Services have which lease, and which address it is: Services that may share an address share a lease. Pure. Not thread-safe.
/// </summary>
internal sealed class LeaseHolders
{
    private readonly Dictionary<NamespacedName, HeldLease> _of = [];
    private readonly Dictionary<(string Source, NamespacedName Name), Use> _uses = [];
    private readonly Dictionary<(string Source, NamespacedName Name), Use> _parts = [];
    private readonly Dictionary<IPAddress, HeldLease> _addresses = [];

    /// <summary>The lease that a Service has, or null.</summary>
    public HeldLease? Get(NamespacedName service) => _of.GetValueOrDefault(service);

    /// <summary>The Services that have a lease.</summary>
    public IReadOnlyCollection<NamespacedName> Of(string source, NamespacedName lease) =>
        _uses.TryGetValue((source, lease), out var use) || _parts.TryGetValue((source, lease), out use) ? [.. use.Holders.Keys] : [];

    /// <summary>Whether a Service has its lease alone; false when it has none.</summary>
    public bool IsAlone(NamespacedName service) => Get(service) is { } lease && _uses[(lease.Source, lease.Name)].Holders.Count == 1;

    /// <summary>Gives a Service a lease: the one it has, if nobody who cannot share with it has it too; else one that it can share; else a new one.</summary>
    /// <param name="applicant">The Service.</param>
    /// <param name="uid">Its UID.</param>
    /// <param name="source">The address service.</param>
    /// <param name="known">The lease that it had before a restart, or null.</param>
    /// <param name="asked">The addresses it asks for; empty for any.</param>
    /// <returns>The lease, and the one that nobody has any more because of it.</returns>
    public (HeldLease Lease, HeldLease? Left) Join(Applicant applicant, string? uid, string source, HeldLease? known, IReadOnlyList<IPAddress> asked)
    {
        var before = Get(applicant.Name);
        var lease = before?.Source == source && IsOpen(before, applicant) && Suits(before, applicant, asked) && !IsOfPredecessor(before, applicant.Name, uid) ? before
            : known is not null && IsOpen(known, applicant) ? Existing(known) : null;
        if (lease is null && applicant.Sharing is not null)
        {
            lease = _uses.Values
                .Where(use => use.Lease.Source == source && use.Holders.Count > 0 && use.Holders.Any(holder => holder.Key != applicant.Name) && use.Permits(applicant)
                    && asked.All(address => address.Equals(use.Of(address.AddressFamily))))
                .MinBy(static use => use.Lease.Name)?.Lease;
        }
        if (lease is null)
        {
            var own = HeldLease.Own(source, applicant.Name, uid);
            lease = IsFree(own, applicant.Name) ? own : HeldLease.Other(source, applicant.Name, uid);
        }
        var left = before is not null && before != lease ? Leave(applicant.Name) : null;
        if (!_uses.TryGetValue((source, lease.Name), out var joined))
        {
            _uses[(source, lease.Name)] = joined = new Use(lease);
            if (lease.Apart is { } other)
                _parts[(source, other.Name)] = joined;
        }
        joined.Holders[applicant.Name] = applicant;
        _of[applicant.Name] = lease;
        return (lease, left);
    }

    /// <summary>Takes a Service's lease from it. The lease, when nobody else has it.</summary>
    public HeldLease? Leave(NamespacedName service)
    {
        if (!_of.Remove(service, out var lease) || !_uses.TryGetValue((lease.Source, lease.Name), out var use))
            return null;
        use.Holders.Remove(service);
        if (use.Holders.Count > 0)
            return null;
        _uses.Remove((lease.Source, lease.Name));
        if (lease.Apart is { } other)
            _parts.Remove((lease.Source, other.Name));
        foreach (var family in (ReadOnlySpan<AddressFamily>)[AddressFamily.InterNetwork, AddressFamily.InterNetworkV6])
            Claim(use, family, null);
        return lease;
    }

    /// <summary>Notes the address that a lease has. Null, or the lease that has it already: two never have one.</summary>
    public HeldLease? Claim(HeldLease lease, AddressFamily family, IPAddress? address)
    {
        if (address is not null && _addresses.TryGetValue(address, out var other) && other.Name != lease.Name)
            return other;
        if (_uses.TryGetValue((lease.Source, lease.Name), out var use))
            Claim(use, family, address);
        return null;
    }

    /// <summary>Whether an address is already that of a lease which a Service has, or may share.</summary>
    public bool MayHave(Applicant applicant, string source, IPAddress address) =>
        _addresses.TryGetValue(address, out var lease) && lease.Source == source
        && (lease == Get(applicant.Name) || (applicant.Sharing is not null && _uses.TryGetValue((source, lease.Name), out var use) && use.Permits(applicant)));

    /// <summary>Whether an address is that of the lease which a Service has.</summary>
    public bool Has(NamespacedName service, IPAddress address) => _addresses.TryGetValue(address, out var lease) && lease == Get(service);

    /// <summary>Whether an address is that of another lease.</summary>
    public bool IsOthers(HeldLease lease, IPAddress address) => _addresses.TryGetValue(address, out var other) && other.Name != lease.Name;

    /// <summary>Forgets the leases of address services that are not there any more. The Services that had them.</summary>
    public IReadOnlyList<NamespacedName> Keep(IReadOnlySet<string> sources)
    {
        var gone = _of.Where(entry => !sources.Contains(entry.Value.Source)).Select(static entry => entry.Key).ToList();
        gone.ForEach(service => Leave(service));
        return gone;
    }

    private void Claim(Use use, AddressFamily family, IPAddress? address)
    {
        if (Equals(use.Of(family), address))
            return;
        if (use.Of(family) is { } before)
            _addresses.Remove(before);
        use.Set(family, address);
        if (address is not null)
            _addresses[address] = use.Lease;
    }

    private HeldLease Existing(HeldLease lease) => _uses.TryGetValue((lease.Source, lease.Name), out var use) ? use.Lease : lease;

    /// <summary>Whether whoever else has a lease shares it with the applicant.</summary>
    private bool IsOpen(HeldLease lease, Applicant applicant) => !_uses.TryGetValue((lease.Source, lease.Name), out var use) || use.Permits(applicant);

    /// <summary>Whether a lease that others have too is one of those asked for: what one has alone can still become it.</summary>
    private bool Suits(HeldLease lease, Applicant applicant, IReadOnlyList<IPAddress> asked) =>
        asked.Count == 0 || !_uses.TryGetValue((lease.Source, lease.Name), out var use) || use.Holders.Keys.All(holder => holder == applicant.Name)
        || asked.All(address => address.Equals(use.Of(address.AddressFamily)));

    private bool IsFree(HeldLease lease, NamespacedName service) => !_uses.TryGetValue((lease.Source, lease.Name), out var use) || use.Holders.Keys.All(holder => holder == service);

    /// <summary>Whether a lease under the Service's own name is that of another Service of that name, which was deleted.</summary>
    private static bool IsOfPredecessor(HeldLease lease, NamespacedName service, string? uid) => lease.Name == service && lease.Uid != uid;

    private sealed class Use(HeldLease lease)
    {
        private IPAddress? _v4;
        private IPAddress? _v6;

        public HeldLease Lease => lease;

        public Dictionary<NamespacedName, Applicant> Holders { get; } = new(1);

        public bool Permits(Applicant applicant) => Holders.All(holder => holder.Key == applicant.Name || applicant.SharesWith(holder.Value));

        public IPAddress? Of(AddressFamily family) => family == AddressFamily.InterNetwork ? _v4 : _v6;

        public void Set(AddressFamily family, IPAddress? address)
        {
            if (family == AddressFamily.InterNetwork)
                _v4 = address;
            else
                _v6 = address;
        }
    }
}
