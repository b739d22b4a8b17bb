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

    /// <summary>Whether what a Service asks for is another address than it has, which its lease cannot become.</summary>
    private bool AsksForAnother(Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current) =>
        request.Addresses.Any(asked => current.Any(address => address.AddressFamily == asked.AddressFamily)) && !request.Addresses.Any(current.Contains)
        && FamiliesFrom(source, request) is not null && !request.Addresses.All(asked => _holders.MayHave(applicant, source.Name, asked));

    private Outcome Try(Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current)
    {
        var name = applicant.Name;
        if (brokers.Find(source.Name) is not { } broker)
            return Keep(service, current, false);
        string wanted = string.Join(", ", request.Addresses);
        if (_refused.TryGetValue(name, out var refused) && refused.Asked == wanted && time.GetElapsedTime(refused.At) is var elapsed && elapsed < TryAgainAfter)
            return Stay(service, applicant, request, source, current, TryAgainAfter - elapsed);

        var trial = HeldLease.Trial(source.Name, name, service.Metadata.Uid, wanted, _holders.Get(name)?.Name);
        if (_trials.TryGetValue(name, out var before) && before != trial)
            GiveBack(before);
        _trials[name] = trial;
        string? cause = null, difference = null;
        bool isPending = false;
        foreach (var asked in request.Addresses)
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
            _refused[name] = (wanted, time.GetTimestamp());
            Tell(service, name, "AddressDiffers", $"{difference}: {string.Join(", ", current)} is kept");
            return Stay(service, applicant, request, source, current, TryAgainAfter);
        }
        if (isPending)
        {
            Tell(
                service, name, "AddressPending", $"waiting for {wanted} from \"{source.Name}\", {string.Join(", ", current)} is kept until then{(cause is null ? "" : $": {cause}")}", warning: cause is not null);
            return Stay(service, applicant, request, source, current, null);
        }
        _trials.Remove(name);
        _refused.Remove(name);
        GiveBack(_holders.Leave(name));
        _holders.Join(applicant, service.Metadata.Uid, source.Name, trial, []);
        return Lease(service, applicant, request, source, []);
    }

    /// <summary>Of a Service that has leased addresses of both families, and asks for one of them and another in place of the other: that one. Else null.</summary>
    private IPAddress? OtherAskedFor(Service service, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current)
    {
        var name = NamespacedName.Of(service);
        if (request.Addresses.Count != 2 || current.Count != 2 || LeasedFrom(service)?.Name != source.Name || _holders.Get(name)?.Source != source.Name || !_holders.IsAlone(name))
            return null;
        return request.Addresses.Except(current).ToList() is [var asked] && FamiliesFrom(source, request) is not null && !_holders.Has(name, asked) ? asked : null;
    }

    /// <summary>Leases an address beside those of both families that a Service has, of which it is to replace one.</summary>
    private Outcome TryOne(Service service, Applicant applicant, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current, IPAddress asked)
    {
        var name = applicant.Name;
        var replaced = current.First(address => address.AddressFamily == asked.AddressFamily);
        if (brokers.Find(source.Name) is not { } broker)
            return Keep(service, current, false);
        string wanted = string.Join(", ", request.Addresses);
        if (_refused.TryGetValue(name, out var refused) && refused.Asked == wanted && time.GetElapsedTime(refused.At) is var elapsed && elapsed < TryAgainAfter)
            return Stay(service, applicant, request, source, current, TryAgainAfter - elapsed);

        var held = _holders.Get(name)!;
        var trial = HeldLease.Trial(source.Name, name, service.Metadata.Uid, asked.ToString(), held.IdOf(asked.AddressFamily).Name);
        if (_trials.TryGetValue(name, out var before) && before != trial)
            GiveBack(before);
        _trials[name] = trial;
        var view = Checked(broker.Want(new LeaseId(trial.Name, asked.AddressFamily), trial.Uid, asked), trial, asked.AddressFamily);
        if (view.Address is null)
        {
            Tell(
                service, name, "AddressPending", $"waiting for {asked} from \"{source.Name}\", {replaced} is kept until then{(view.Cause is null ? "" : $": {view.Cause}")}",
                warning: view.Cause is not null);
            return Stay(service, applicant, request, source, current, null);
        }
        if (!view.Address.Equals(asked))
        {
            DropTrial(name);
            _refused[name] = (wanted, time.GetTimestamp());
            Tell(service, name, "AddressDiffers", $"asked for {asked}, but DHCP gave {view.Address} through \"{source.Name}\": {replaced} is kept");
            return Stay(service, applicant, request, source, current, TryAgainAfter);
        }
        _trials.Remove(name);
        _refused.Remove(name);
        broker.Release(held.IdOf(asked.AddressFamily));
        _holders.Leave(name);
        _holders.Join(applicant, service.Metadata.Uid, source.Name, held.With(asked.AddressFamily, trial), []);
        return Lease(service, applicant, request, source, [.. current.Where(address => !address.Equals(replaced))]);
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
