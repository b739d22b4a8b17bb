using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Controller.AddressServices;

/// <content>The calls, and what their answers come to.</content>
internal sealed partial class LeaseBroker
{
    /// <summary>Reads the status once; null when the service cannot be reached.</summary>
    public async Task<StatusAnswer?> ReadStatusAsync(CancellationToken cancellationToken)
    {
        try
        {
            var status = await _client.GetStatusAsync(cancellationToken);
            IsReachable = true;
            LastSeen = new AddressServiceView(
                await ReadCidrsAsync(cancellationToken) ?? LastSeen?.Cidrs, status.Allocations.Count, status.AvailableMacs.Count,
                status.Allocations.Select(static lease => lease.LastError).FirstOrDefault(static error => error is not null));
            return status.Status == AnswerStatus.Success ? status : null;
        }
        catch (AddressServiceUnavailableException e)
        {
            IsReachable = false;
            LastSeen = new AddressServiceView(LastSeen?.Cidrs, LastSeen?.Leased, LastSeen?.FreeMacs, e.Message);
            LogUnreachable(_logger, Source.Name, e.Message);
            return null;
        }
    }

    /// <summary>The networks it says it leases from; null when it is not time to ask, or it does not say.</summary>
    private async Task<IReadOnlyList<string>?> ReadCidrsAsync(CancellationToken cancellationToken)
    {
        if (LastSeen is not null && _time.GetElapsedTime(_configRead) < ConfigEvery)
            return null;
        _configRead = _time.GetTimestamp();
        try
        {
            return (await _client.GetConfigAsync(cancellationToken)).Cidrs;
        }
        catch (AddressServiceUnavailableException)
        {
            return null;
        }
    }

    /// <summary>Has leases listed as ownerless, for an operator to decide on.</summary>
    public async Task ReportOrphansAsync(IReadOnlyCollection<LeaseId> leases, CancellationToken cancellationToken)
    {
        try
        {
            var answer = await _client.ReportOrphansAsync(new OrphansRequest([.. leases.Select(static lease => lease.Name.ToString()).Distinct()]), cancellationToken);
            if (answer.Status != AnswerStatus.Success)
                LogNotReported(_logger, Source.Name, answer.Detail ?? answer.Status);
        }
        catch (AddressServiceUnavailableException e)
        {
            LogNotReported(_logger, Source.Name, e.Message);
        }
    }

    private async Task AcquireAsync(LeaseId lease, Entry entry, CancellationToken cancellationToken)
    {
        LeaseView view;
        try
        {
            var answer = await _client.AcquireAsync(
                new AcquireAddressRequest(
                    lease.Name.ToString(), entry.Uid, (entry.Asked ?? entry.Held)?.ToString(), Source.Interface, entry.Held?.ToString(),
                    lease.Family == AddressFamily.InterNetworkV6 ? AddressFamilies.IPv6 : null),
                cancellationToken);
            IsReachable = true;
            view = answer.Status != AnswerStatus.Success ? LeaseView.Failed(answer.Detail ?? answer.Status)
                : !IPAddress.TryParse(answer.Ip, out var address) || address.AddressFamily != lease.Family ? LeaseView.Failed($"answered with \"{answer.Ip}\", which is not an address of the family")
                : RefusalOf(address) is { } refusal ? Refused(refusal)
                : LeaseView.Leased(address, answer.ValidUntil, OwnMac(answer.Mac, answer.SharesMac));
        }
        catch (AddressServiceUnavailableException e)
        {
            IsReachable = false;
            view = LeaseView.Failed(e.Message);
        }
        lock (_lock)
        {
            // The wish may have changed meanwhile; then it is in the queue again.
            if (!_entries.TryGetValue(lease, out var current) || current.Uid != entry.Uid || !Equals(current.Asked, entry.Asked))
                return;
            if (view.Phase == LeasePhase.Leased)
            {
                _queue.Forget(lease);
            }
            else
            {
                // A lease that we know of goes on while it cannot be confirmed, and one that is lost does not come back by it.
                _queue.AddRateLimited(lease);
                if (current.View.Phase is LeasePhase.Leased or LeasePhase.Lost)
                    return;
            }
            _entries[lease] = current with { View = view, AnsweredAs = ++_answers };
            if (current.View == view)
                return;
        }
        _changed(lease.Name);
    }

    private LeaseView Refused(string refusal)
    {
        _metrics?.Outside(Source.Name);
        return LeaseView.Failed(refusal);
    }

    private async Task ReleaseAsync(LeaseId lease, CancellationToken cancellationToken)
    {
        try
        {
            // The family is left out where there is but one, for address services that do not know it.
            string? family = lease.Family == AddressFamily.InterNetworkV6 ? AddressFamilies.IPv6 : Source.LeasesIPv6 ? AddressFamilies.IPv4 : null;
            var answer = await _client.ReleaseAsync(new ReleaseAddressRequest(Service: lease.Name.ToString(), Family: family), cancellationToken);
            IsReachable = true;
            if (answer.Status != AnswerStatus.Success && !answer.NotFound)
            {
                LogNotReleased(_logger, Source.Name, lease.ToString(), answer.Detail ?? answer.Status);
                _queue.AddRateLimited(lease);
                return;
            }
            LogReleased(_logger, Source.Name, lease.ToString(), answer.Ip, answer.Detail ?? answer.Status);
            lock (_lock)
                _releasing.Remove(lease);
            _queue.Forget(lease);
        }
        catch (AddressServiceUnavailableException e)
        {
            IsReachable = false;
            LogNotReleased(_logger, Source.Name, lease.ToString(), e.Message);
            _queue.AddRateLimited(lease);
        }
    }

    [LoggerMessage(1, LogLevel.Information, "{AddressService}: the lease of {Service} was given back: {Address} {Detail}")]
    private static partial void LogReleased(ILogger logger, string addressService, string service, string address, string detail);

    [LoggerMessage(2, LogLevel.Warning, "{AddressService}: the lease of {Service} could not be given back, next try follows: {Cause}")]
    private static partial void LogNotReleased(ILogger logger, string addressService, string service, string cause);

    [LoggerMessage(6, LogLevel.Warning, "{AddressService}: the leases without an owner could not be reported: {Cause}")]
    private static partial void LogNotReported(ILogger logger, string addressService, string cause);

    [LoggerMessage(3, LogLevel.Warning, "{AddressService} cannot be reached: {Cause}")]
    private static partial void LogUnreachable(ILogger logger, string addressService, string cause);
}
