using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>How exchanges with DHCP servers end, counted.</summary>
internal sealed partial class LeaseKeeper
{
    /// <param name="entry">The lease.</param>
    /// <param name="from">What the client did.</param>
    /// <param name="to">What it does now.</param>
    private void CountExchange(LeaseEntry entry, DhcpClientState from, DhcpClientState to)
    {
        string? exchange = from switch
        {
            DhcpClientState.Requesting => "acquire",
            DhcpClientState.Rebooting => "reboot",
            DhcpClientState.Renewing => "renew",
            DhcpClientState.Rebinding => "rebind",
            _ => null,
        };
        bool wasRefused = entry.WasRefused;
        entry.WasRefused = false;
        if (exchange is null || to is DhcpClientState.Releasing or DhcpClientState.Idle)
            return;
        _metrics.Exchange(exchange, to == DhcpClientState.Bound ? "ack" : wasRefused ? "nak" : "unanswered");
    }

    private void UpdateNumbers() => _metrics.Observe(
        _byService.Values.Count(e => e.Client.UnansweredRenewals > 0), _macs.Count, Journal.Watchers, Journal.CutOff);
}
