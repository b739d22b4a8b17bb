using DynamicLb.AddressService.Store;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Which interface a lease is on.</summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>The interfaces, the first of which is taken when nothing says which.</summary>
    public IReadOnlyList<LeaseLink> Links { get; }

    /// <summary>The link is back: everything on it is verified or asked for again, paced, the lease that ends first before the others.</summary>
    public void LinkReturned(LeaseLink link)
    {
        var now = _clock.Now;
        foreach (var entry in _byService.Values.Concat(_releasing).Where(e => e.Link == link))
        {
            entry.Client.Hurry(now);
            Reschedule(entry);
        }
    }

    /// <summary>
    /// The interface for a new lease: the one that the request names, or that its namespace is for, or whose ranges hold the address it asks for.
    /// </summary>
    /// <returns>Null when the request names one that there is not.</returns>
    private LeaseLink? LinkFor(AcquireCall call)
    {
        if (call.Interface is { } name)
            return Links.FirstOrDefault(link => link.Name == name);
        string @namespace = ServiceName.Namespace(call.Service);
        return Links.FirstOrDefault(link => link.Options.Namespaces.Contains(@namespace, StringComparer.Ordinal))
            ?? (call.Ip is { } ip ? Links.FirstOrDefault(link => link.Options.Has(ip)) : null)
            ?? Links.FirstOrDefault(link => link.Options.Namespaces.Count == 0)
            ?? Links[0];
    }

    /// <summary>The interface of a stored lease; null when it is not among the configured ones any more, or not for the lease's family.</summary>
    private LeaseLink? LinkOf(LeaseRecord record)
    {
        var link = record.Interface is null ? Links[0] : Links.FirstOrDefault(candidate => candidate.Options.Name == record.Interface);
        return link?.Serves(record.Family) == true ? link : null;
    }

    private string LinkNames() => string.Join(", ", Links.Select(link => link.Name));
}
