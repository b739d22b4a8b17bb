using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>How exchanges with DHCP servers end, counted.</summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>Follows a lease's exchange through the client's states. Those it does not name, such as checks of an address, belong to the exchange before.</summary>
    private void CountExchange(LeaseEntry entry, DhcpClientState to)
    {
        string? exchange = entry.Exchange;
        switch (to)
        {
            case DhcpClientState.Requesting:
                entry.Exchange = "acquire";
                return;
            case DhcpClientState.Rebooting:
                entry.Exchange = "reboot";
                return;
            case DhcpClientState.Renewing:
                entry.Exchange = "renew";
                return;
            case DhcpClientState.Rebinding:
                entry.Exchange = "rebind";
                break;
            case DhcpClientState.Bound:
            case DhcpClientState.Init:
            case DhcpClientState.Selecting:
            case DhcpClientState.Releasing:
            case DhcpClientState.Idle:
                entry.Exchange = null;
                break;
            default:
                return;
        }
        bool wasRefused = entry.WasRefused;
        bool wasDeclined = entry.WasDeclined;
        entry.WasRefused = false;
        entry.WasDeclined = false;
        if (exchange is not null && to is not (DhcpClientState.Releasing or DhcpClientState.Idle))
            _metrics.Exchange(exchange, to == DhcpClientState.Bound ? "ack" : wasDeclined ? "declined" : wasRefused ? "nak" : "unanswered");
    }

    private void UpdateNumbers() => _metrics.Observe(
        _byService.Values.Count(e => e.Client.UnansweredRenewals > 0), _macs.Count, Journal.Watchers, Journal.CutOff, _avoided.CountAt(_clock.Now));
}
