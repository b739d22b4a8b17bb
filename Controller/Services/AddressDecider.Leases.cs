using System.Globalization;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <content>Addresses that are leased.</content>
internal sealed partial class AddressDecider
{
    /// <summary>The address service that is to serve a Service for certain; null when the order of the sources decides.</summary>
    private AddressServiceSource? ServiceFor(Service service, Applicant applicant, ServiceRequest request, IReadOnlyList<IPAddress> current)
    {
        if (request.Pool is { } pool)
            return _config.Find(pool) is AddressServiceSource named && applicant.MayUse(named) ? named : null;
        if (request.Addresses.Count > 0)
        {
            // A pool first: it holds the address for certain. An address service only where it says so by its cidrs.
            if (_config.AddressPools.Any(candidate => request.Addresses.All(candidate.MayContain)))
                return null;
            return _config.AddressServices.FirstOrDefault(source => source.Cidrs.Count > 0 && request.Addresses.All(source.MayContain) && applicant.MayUse(source));
        }
        if (current.Count > 0 && LeasedFrom(service) is { } before && applicant.MayUse(before))
            return before;
        // What it asked once it goes on asking, as long as nothing speaks against it.
        return _allocator.Get(applicant.Name) is null
            ? _config.AddressServices.FirstOrDefault(source => brokers.Find(source.Name)?.Serves(applicant.Name) == true && source.AutoAssign && applicant.MayUse(source))
            : null;
    }

    /// <summary>Keeps the lease that a Service has while what it asks for is not to be had; null when it has none.</summary>
    private Outcome? HoldLease(Service service, Applicant applicant, ServiceRequest request, IReadOnlyList<IPAddress> current)
    {
        if (current.Count == 0 || !request.Families.Contains(AddressFamily.InterNetwork)
            || LeasedFrom(service) is not { } source || !applicant.MayUse(source) || !current.All(source.MayContain))
            return null;
        return Lease(service, applicant, request with { Pool = null, Addresses = [] }, source, current, quiet: true);
    }

    private Outcome Lease(
        Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current, bool quiet = false)
    {
        var name = applicant.Name;
        bool ours = service.Metadata.Annotation(Annotations.AllocatedFromPool) == source.Name;
        if (brokers.Find(source.Name) is not { } broker)
            return Keep(service, current, false);
        if (!request.Wish!.Alternatives.Any(static families => families is [AddressFamily.InterNetwork]))
        {
            TellFailed(service, name, $"address service \"{source.Name}\" leases IPv4 addresses only");
            return Keep(service, current, true);
        }
        foreach (var other in brokers.All.Where(other => other != broker))
            other.Release(name);

        // After a restart the address in the status is the one to ask for: the address service knows it, or gets it again.
        var named = request.Addresses is [var first, ..] ? first : null;
        var asked = named ?? (ours && current is [var held, ..] ? held : null);
        var lease = broker.Want(name, service.Metadata.Uid, named, asked);
        switch (lease.Phase)
        {
            case LeasePhase.Leased:
                _allocator.Release(name);
                IPAddress[] addresses = [lease.Address!];
                if (request.Addresses.Count > 0 && !request.Addresses.Contains(lease.Address!))
                    Tell(service, name, "AddressDiffers", $"asked for {request.Addresses[0]}, but DHCP gave {lease.Address} through \"{source.Name}\"");
                else if (!current.SequenceEqual(addresses))
                    TellAssigned(service, name, addresses);
                else if (!quiet)
                    _told.TryRemove(name, out _);
                return new Outcome(addresses, source.Name, lease.ValidUntil, true);
            case LeasePhase.Failed when asked is null || !ours:
                Tell(service, name, "AddressPending", $"waiting for an address from \"{source.Name}\": {lease.Cause}");
                return Keep(service, current, true);
            case LeasePhase.Failed when quiet:
                return Keep(service, current, true);
            case LeasePhase.Failed:
                Tell(service, name, "AddressUnconfirmed", $"the lease of {asked} cannot be confirmed by \"{source.Name}\": {lease.Cause}");
                return Keep(service, current, true);
            default:
                if (current.Count == 0)
                    Tell(service, name, "AddressPending", $"waiting for an address from \"{source.Name}\"", warning: false);
                return Keep(service, current, true);
        }
    }

    /// <summary>Leaves a Service what it has.</summary>
    private static Outcome Keep(Service service, IReadOnlyList<IPAddress> current, bool satisfied)
    {
        if (current.Count == 0)
            return Outcome.Nothing(satisfied);
        var validUntil = DateTimeOffset.TryParse(
            service.Metadata.Annotation(Annotations.ValidUntil), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var end)
            ? end
            : (DateTimeOffset?)null;
        return new Outcome(current, service.Metadata.Annotation(Annotations.AllocatedFromPool), validUntil, satisfied);
    }

    private AddressServiceSource? LeasedFrom(Service service) => _config.Find(service.Metadata.Annotation(Annotations.AllocatedFromPool)) as AddressServiceSource;

    private void ReleaseLeases(NamespacedName name)
    {
        foreach (var broker in brokers.All)
            broker.Release(name);
    }
}
