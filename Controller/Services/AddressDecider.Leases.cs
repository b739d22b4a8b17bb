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
    private LeaseHolders _holders = new();

    // Address services that could not give a Service its first address: others are asked before it is their turn again.
    private readonly Dictionary<NamespacedName, HashSet<string>> _unable = [];

    /// <summary>The Services that a lease concerns.</summary>
    public IReadOnlyCollection<NamespacedName> HoldersOf(string source, NamespacedName lease)
    {
        lock (_lock)
            return [.. _holders.Of(source, lease), .. _trials.Where(trial => trial.Value.Source == source && trial.Value.Name == lease).Select(static trial => trial.Key)];
    }

    /// <summary>Takes up the lease that a Service has by its annotations, before anything is given out.</summary>
    private void TakeUp(Service service, AddressServiceSource source)
    {
        if (_holders.Get(NamespacedName.Of(service)) is not null)
            return;
        var applicant = ApplicantOf(service);
        var addresses = ServiceStatusWriter.AddressesOf(service);
        var (lease, _) = _holders.Join(applicant, service.Metadata.Uid, source.Name, KnownLease(service, source), []);
        foreach (var address in addresses)
            _holders.Claim(lease, address.AddressFamily, address);
    }

    /// <summary>The lease that a Service had before a restart; null when it had none from this address service.</summary>
    private static HeldLease? KnownLease(Service service, AddressServiceSource source) =>
        HeldLease.Parse(source.Name, service.Metadata.Annotation(Annotations.Lease))
        ?? (service.Metadata.Annotation(Annotations.AllocatedFromPool) == source.Name ? HeldLease.Own(source.Name, NamespacedName.Of(service), service.Metadata.Uid) : null);

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
        if (current.Count > 0)
            return LeasedFrom(service) is { } before && applicant.MayUse(before) && FamiliesFrom(before, request) is not null ? before : null;
        if (FailedLeases(service) is { Source: { } failing } && applicant.MayUse(failing) && FamiliesFrom(failing, request) is not null)
            return failing;
        // What it asked once it goes on asking, as long as nothing speaks against it.
        return _allocator.Get(applicant.Name) is null && _config.Find(_holders.Get(applicant.Name)?.Source) is AddressServiceSource { AutoAssign: true } asked
            && applicant.MayUse(asked) && FamiliesFrom(asked, request) is not null
            ? asked : null;
    }

    /// <summary>The families that an address service gives a Service; null for none that it may have.</summary>
    private static IReadOnlyList<AddressFamily>? FamiliesFrom(AddressServiceSource source, ServiceRequest request) =>
        request.Addresses.Count > 0
            ? request.Addresses.All(address => source.Leases(address.AddressFamily)) ? [.. request.Addresses.Select(static address => address.AddressFamily)] : null
            : request.Wish!.Alternatives.FirstOrDefault(families => families.All(source.Leases));

    /// <summary>Keeps the lease that a Service has while what it asks for is not to be had; null when it has none.</summary>
    private Outcome? HoldLease(Service service, Applicant applicant, ServiceRequest request, IReadOnlyList<IPAddress> current)
    {
        if (current.Count == 0 || LeasedFrom(service) is not { } source || !applicant.MayUse(source) || !current.All(source.MayContain))
            return null;
        var held = request with { Pool = null, Addresses = [] };
        return FamiliesFrom(source, held) is null ? null : Lease(service, applicant, held, source, current, quiet: true);
    }

    private Outcome Lease(
        Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current, bool quiet = false)
    {
        var name = applicant.Name;
        if (brokers.Find(source.Name) is not { } broker)
            return Keep(service, current, false);
        if (FamiliesFrom(source, request) is not { } families)
        {
            TellFailed(service, name, $"address service \"{source.Name}\" leases no addresses for {(request.Addresses.Count > 0 ? string.Join(", ", request.Addresses) : request.Wish)}");
            return Keep(service, current, true);
        }
        var (lease, left) = _holders.Join(applicant, service.Metadata.Uid, source.Name, KnownLease(service, source), request.Addresses);
        GiveBack(left);
        // After a restart the address in the status is the one to ask for: the address service knows it, or gets it again.
        bool ours = service.Metadata.Annotation(Annotations.AllocatedFromPool) == source.Name;
        if (ours && current.FirstOrDefault(address => _holders.IsOthers(lease, address)) is { } others)
            Tell(service, name, "ClearAssignment", $"current IP {others} of \"{name}\" is not acceptable any more, a new one will be attempted: Services that it cannot share with have it", warning: false);
        var failed = FailedLeases(service) is { Source: { } failing } known && failing == source ? known.Addresses : [];
        var (addresses, failures) = (new List<IPAddress>(), new List<IPAddress>());
        var macs = new List<LeasedMac>();
        DateTimeOffset? validUntil = null, lookAgain = null;
        string? cause = null;
        bool isPending = false, isUnable = false;
        foreach (var family in families)
        {
            var id = lease.IdOf(family);
            var before = new TenureBefore(
                ours ? current.FirstOrDefault(address => address.AddressFamily == family && !_holders.IsOthers(lease, address)) : null, WrittenEnd(service), failed.FirstOrDefault(address => address.AddressFamily == family),
                request.Addresses.FirstOrDefault(address => address.AddressFamily == family));
            var view = Checked(broker.Want(id, lease.UidOf(family), before.Named, before.Held), lease, family);
            var tenure = LeasePolicy.Judge(source.OnLeaseChange, view, before, time.GetUtcNow());
            if (tenure.Address is not null && _holders.Claim(lease, family, tenure.Address) is not null)
                tenure = tenure with { Address = null };
            else if (tenure.Address is null)
                _holders.Claim(lease, family, null);
            TellStep(service, name, source, family, before, tenure, quiet);
            // Its end has passed without a word.
            if (view.Phase == LeasePhase.Leased && tenure.Step is LeaseStep.Expired or LeaseStep.Pending)
                broker.AskAgain(id);
            isPending |= tenure.Address is null;
            isUnable |= tenure.Address is null && tenure.Cause is not null && tenure.Failed is null;
            cause ??= tenure.Cause;
            if (tenure.Failed is { } lost)
                failures.Add(lost);
            if (tenure.Address is not { } address)
                continue;
            addresses.Add(address);
            // While nobody can say what it is, it is what it was.
            if (source.AnnouncedMac == AnnouncedMac.Lease && (address.Equals(view.Address) ? view.Mac : LeasedMac.Find(service, address)) is { } mac)
                macs.Add(new LeasedMac(address, mac));
            lookAgain = Earlier(lookAgain, tenure.ValidUntil);
            validUntil = Earlier(validUntil, tenure.ValidUntil);
        }
        foreach (var family in new[] { AddressFamily.InterNetwork, AddressFamily.InterNetworkV6 }.Except(families))
            broker.Release(lease.IdOf(family));
        return Conclude(service, applicant, request, source, current, addresses, failures, quiet, new Conclusion(lease, ours, families.Count, isPending, isUnable, cause, validUntil, lookAgain, macs));
    }

    private Outcome Conclude(
        Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current, List<IPAddress> addresses, List<IPAddress> failures,
        bool quiet, Conclusion found)
    {
        var name = applicant.Name;
        // What it has stays in front; a second address comes after it.
        if (found.Ours)
            addresses.Sort((left, right) => Place(left).CompareTo(Place(right)));
        // One that has none takes both at once where it must have both.
        bool needsAll = request.Addresses.Count > 0 || request.Wish!.Alternatives.Count == 1;
        if (needsAll && addresses.Count < found.Wanted && !addresses.Any(current.Contains))
            addresses.Clear();
        if (addresses.Count == 0)
        {
            if (!found.Ours && current.Count > 0)
            {
                TellPending(service, name, source, found.Cause, quiet);
                return Keep(service, current, true);
            }
            if (failures.Count == 0)
            {
                if (found.IsUnable && current.Count == 0 && request is { Pool: null, Addresses.Count: 0 } && Elsewhere(service, applicant, request, source) is { } other)
                    return other;
                TellPending(service, name, source, found.Cause, quiet);
            }
        }
        else
        {
            _allocator.Release(name);
            _unable.Remove(name);
            var named = request.Addresses.FirstOrDefault(asked => !addresses.Contains(asked));
            if (named is not null && addresses.Find(address => address.AddressFamily == named.AddressFamily) is { } given)
            {
                Tell(service, name, "AddressDiffers", $"asked for {named}, but DHCP gave {given} through \"{source.Name}\"");
                _refused.TryAdd(name, (string.Join(", ", request.Addresses), time.GetTimestamp()));
            }
            else if (!found.Ours || !addresses.TrueForAll(current.Contains))
                TellAssigned(service, name, addresses);
            else if (!quiet)
                Forgive(name, "");
            if (found is { IsPending: true, Cause: { } cause } && !quiet)
                Tell(service, name, "AdditionalAssignFailed", $"\"{source.Name}\" has no second address: {cause}", warning: false, slot: "second");
        }
        return new Outcome(addresses, addresses.Count > 0 ? source.Name : null, found.ValidUntil, true)
        {
            Lease = found.Lease.Annotation(name),
            FailedLease = failures.Count == 0 ? null : string.Join(',', failures.Select(address => $"{source.Name}/{address}")),
            Cause = found.Cause,
            LookAgain = found.LookAgain,
            LeaseMacs = LeasedMac.Write(found.Macs.Where(entry => addresses.Contains(entry.Address))),
        };

        int Place(IPAddress address) => current.Contains(address) ? 0 : 1;
    }

    /// <summary>Tries the other sources, when one that was asked cannot give a Service its first address.</summary>
    private Outcome? Elsewhere(Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source)
    {
        var unable = _unable.TryGetValue(applicant.Name, out var known) ? known : _unable[applicant.Name] = [];
        unable.Add(source.Name);
        var result = _allocator.Allocate(applicant, request.Wish!, null, candidate => !unable.Contains(candidate.Name) && brokers.Find(candidate.Name)?.IsReachable == true);
        if (result.Refusal is null && result.AddressService is null)
        {
            _unable.Remove(applicant.Name);
            ReleaseLeases(applicant.Name);
            var assignment = _allocator.Get(applicant.Name)!;
            TellAssigned(service, applicant.Name, assignment.Addresses);
            return new Outcome(assignment.Addresses, assignment.Pool, null, true);
        }
        if (result.AddressService is { } next && !unable.Contains(next.Name))
            return Lease(service, applicant, request, next, []);
        unable.Clear();
        return null;
    }

    /// <summary>An address that is another's, or a pool's, is not taken, whatever DHCP says.</summary>
    private LeaseView Checked(LeaseView view, HeldLease lease, AddressFamily family)
    {
        if (view.Address is not { } address)
            return view;
        if (_config.AddressPools.FirstOrDefault(pool => pool.MayContain(address)) is { } pool)
            return LeaseView.Failed($"leased {address}, which is of pool \"{pool.Name}\"");
        return _holders.Claim(lease, family, address) is { } other ? LeaseView.Failed($"leased {address}, which is that of \"{other.Name}\" already") : view;
    }

    /// <summary>Leaves a Service what it has.</summary>
    private static Outcome Keep(Service service, IReadOnlyList<IPAddress> current, bool satisfied) => new(
        current, current.Count == 0 ? null : service.Metadata.Annotation(Annotations.AllocatedFromPool), current.Count == 0 ? null : WrittenEnd(service), satisfied)
    {
        Lease = service.Metadata.Annotation(Annotations.Lease),
        FailedLease = service.Metadata.Annotation(Annotations.FailedLease),
        LeaseMacs = current.Count == 0 ? null : service.Metadata.Annotation(Annotations.LeaseMacs),
    };

    private static DateTimeOffset? WrittenEnd(Service service) => DateTimeOffset.TryParse(
        service.Metadata.Annotation(Annotations.ValidUntil), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var end)
        ? end : null;

    private static DateTimeOffset? Earlier(DateTimeOffset? left, DateTimeOffset? right) => left is null ? right : right is null || left < right ? left : right;

    private AddressServiceSource? LeasedFrom(Service service) => _config.Find(service.Metadata.Annotation(Annotations.AllocatedFromPool)) as AddressServiceSource;

    /// <summary>The addresses that a Service lost without getting others, and the address service that had them.</summary>
    private (AddressServiceSource? Source, List<IPAddress> Addresses) FailedLeases(Service service)
    {
        var addresses = new List<IPAddress>();
        AddressServiceSource? source = null;
        foreach (string part in (service.Metadata.Annotation(Annotations.FailedLease) ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            int slash = part.IndexOf('/', StringComparison.Ordinal);
            if (slash <= 0 || _config.Find(part[..slash]) is not AddressServiceSource named || !IPAddress.TryParse(part.AsSpan(slash + 1), out var address))
                continue;
            source = named;
            addresses.Add(address);
        }
        return (source, addresses);
    }

    private void ReleaseLeases(NamespacedName name)
    {
        lock (_lock)
        {
            _unable.Remove(name);
            _refused.Remove(name);
            DropTrial(name);
            GiveBack(_holders.Leave(name));
        }
    }

    private void GiveBack(HeldLease? lease)
    {
        if (lease is null || brokers.Find(lease.Source) is not { } broker)
            return;
        broker.Release(lease.Name);
        if (lease.Apart is { } other)
            broker.Release(other.Name);
    }

    private sealed record Conclusion(
        HeldLease Lease, bool Ours, int Wanted, bool IsPending, bool IsUnable, string? Cause, DateTimeOffset? ValidUntil, DateTimeOffset? LookAgain, IReadOnlyList<LeasedMac> Macs);
}
