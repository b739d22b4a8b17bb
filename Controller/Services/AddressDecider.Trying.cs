using System.Net;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <content>
/// A Service that has an address and asks for another one of an address service: DHCP cannot be asked to exchange an address, so the other one is leased beside it, under a name of its
/// own, and takes its place when DHCP has given that very address. Until then, and when DHCP gives another or none, the Service keeps what works.
/// </content>
internal sealed partial class AddressDecider
{
    // A server that gave another address does not think better of it at once, and each try is an address that it has to find.
    private static readonly TimeSpan TryAgainAfter = TimeSpan.FromMinutes(10);

    private readonly Dictionary<NamespacedName, HeldLease> _trials = [];
    private readonly Dictionary<NamespacedName, (string Asked, long At)> _refused = [];

    /// <summary>What a Service asks for that the lease it has cannot become: all of it, or, where it has leased addresses of both families and asks for one of them, the other. Null for nothing.</summary>
    private IReadOnlyList<IPAddress>? Sought(Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current)
    {
        if (!request.Addresses.Any(asked => current.Any(address => address.AddressFamily == asked.AddressFamily)) || FamiliesFrom(source, request) is null)
            return null;
        if (!request.Addresses.Any(current.Contains))
            return request.Addresses.All(asked => _holders.MayHave(applicant, source.Name, asked)) ? null : request.Addresses;
        // With others it shares both addresses, or none.
        return request.Addresses.Count == 2 && current.Count == 2 && LeasedFrom(service)?.Name == source.Name
            && _holders.Get(applicant.Name)?.Source == source.Name && _holders.IsAlone(applicant.Name)
            && request.Addresses.Except(current).ToList() is [var asked] && !_holders.Has(applicant.Name, asked) ? [asked] : null;
    }

    private Outcome Try(
        Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current, IReadOnlyList<IPAddress> sought)
    {
        var name = applicant.Name;
        if (brokers.Find(source.Name) is not { } broker)
            return Keep(service, current, false);
        string requested = string.Join(", ", request.Addresses), wanted = string.Join(", ", sought);
        if (_refused.TryGetValue(name, out var refused) && refused.Asked == requested && time.GetElapsedTime(refused.At) is var elapsed && elapsed < TryAgainAfter)
            return Stay(service, applicant, request, source, current, TryAgainAfter - elapsed);

        bool isPart = sought.Count < request.Addresses.Count;
        var replaced = isPart ? [.. current.Where(address => address.AddressFamily == sought[0].AddressFamily)] : current;
        var trial = HeldLease.Trial(source.Name, name, service.Metadata.Uid, wanted, _holders.Get(name)?.IdOf(sought[0].AddressFamily).Name);
        if (_trials.TryGetValue(name, out var before) && before != trial)
            GiveBack(before);
        _trials[name] = trial;
        string? cause = null, difference = null;
        bool isPending = false;
        foreach (var asked in sought)
        {
            var view = Checked(broker.Want(new LeaseId(trial.Name, asked.AddressFamily), trial.Uid, asked), trial, asked.AddressFamily);
            isPending |= view.Address is null;
            cause ??= view.Cause;
            if (view.Address is { } given && !given.Equals(asked))
                difference ??= $"asked for {asked}, but DHCP gave {given} through \"{source.Name}\"";
        }
        if (difference is not null)
        {
            DropTrial(name);
            _refused[name] = (requested, time.GetTimestamp());
            Tell(service, name, "AddressDiffers", $"{difference}: {string.Join(", ", replaced)} is kept");
            return Stay(service, applicant, request, source, current, TryAgainAfter);
        }
        if (isPending)
        {
            Tell(
                service, name, "AddressPending", $"waiting for {wanted} from \"{source.Name}\", {string.Join(", ", replaced)} is kept until then{(cause is null ? "" : $": {cause}")}",
                warning: cause is not null);
            return Stay(service, applicant, request, source, current, null);
        }
        _trials.Remove(name);
        _refused.Remove(name);
        var left = _holders.Leave(name);
        if (isPart)
            broker.Release(left!.IdOf(sought[0].AddressFamily));
        else
            GiveBack(left);
        _holders.Join(applicant, service.Metadata.Uid, source.Name, isPart ? left!.With(sought[0].AddressFamily, trial) : trial, []);
        return Lease(service, applicant, request, source, [.. current.Except(replaced)]);
    }

    /// <summary>Leaves a Service what it has, from a lease or a pool; when that is not to be had any more, what it asks for is all there is to wait for.</summary>
    private Outcome Stay(Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current, TimeSpan? lookAgain)
    {
        var outcome = HoldLease(service, applicant, request, current);
        if (outcome is null && Confirm(service, applicant, request with { Pool = null, Addresses = [] }, current).Held is { } held)
            outcome = new Outcome(held.Addresses, held.Pool, null, true);
        if (outcome is null)
        {
            DropTrial(applicant.Name);
            return Lease(service, applicant, request, source, []);
        }
        return outcome with { LookAgain = Earlier(outcome.LookAgain, lookAgain is { } pause ? time.GetUtcNow() + pause : null) };
    }

    /// <summary>Gives back what was leased beside the lease that a Service has.</summary>
    private void DropTrial(NamespacedName name)
    {
        if (_trials.Remove(name, out var trial))
            GiveBack(trial);
    }
}
