using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// Whether another host has the address that was granted (RFC 5227; RFC 2131 §4.4.1). Asked once, before the address is first used: later, our own
/// hosts answer for it.
/// </summary>
public sealed partial class DhcpClient
{
    // RFC 5227 §1.1: MAX_CONFLICTS, RATE_LIMIT_INTERVAL.
    private const int ManyConflicts = 10;
    private static readonly TimeSpan PauseAfterManyConflicts = TimeSpan.FromSeconds(60);

    // RFC 2131 §3.1 step 5 has ten seconds; the first time somebody waits for the address, and the server has others.
    private static readonly TimeSpan PauseAfterConflict = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan PauseAfterFirstConflict = TimeSpan.FromSeconds(1);

    private DhcpLease? _granted;
    private int _conflicts;

    /// <summary>
    /// Another host has an address, or probes it, too: it is declined if it is the one being probed, and the search begins anew after a pause.
    /// The owner leaves out what its own hosts say.
    /// </summary>
    /// <param name="address">The address.</param>
    /// <param name="host">Who has it; zero where that is not known.</param>
    /// <param name="now">The clock.</param>
    /// <returns>Whether it mattered.</returns>
    public bool Conflict(IPv4Address address, MacAddress host, TimeSpan now)
    {
        if (State != DhcpClientState.Probing || _granted is not { } declined || declined.Address != address)
            return false;
        EndExchange();
        if (_lease is not null && _suspectUntil is null)
        {
            // A renewal brought the address: the server has given up the one we hold.
            DoubtLease(now);
        }
        else if (_wanted == address)
        {
            _wanted = IPv4Address.Any;
        }
        Attempt!.Decline(declined, host);
        _conflicts++;
        _nextSend = now + (_conflicts == 1 ? PauseAfterFirstConflict * _random.NextDouble()
            : _conflicts < ManyConflicts ? PauseAfterConflict : PauseAfterManyConflicts);
        _effects.Send(this, DhcpMessages.Decline(Identity, _ids.Next(), address, declined.ServerId, $"address in use by {NameOf(host)}"), DhcpDestination.Broadcast);
        _effects.Declined(this, declined, host);
        Enter(DhcpClientState.Init);
        return true;
    }

    /// <summary>A host that has an address, for people; zero is one that answered from behind a router.</summary>
    public static string NameOf(MacAddress host) => host == MacAddress.Zero ? "a host that answers ping" : host.ToString();

    private void BeginProbing(DhcpLease lease, TimeSpan now)
    {
        EndExchange();
        // A renewal brings another address without a search; that may be in use, or the old lease end meanwhile.
        Attempt ??= new DhcpAttempt(now);
        _granted = lease;
        var delay = _settings.Probe!.MaximumDelay;
        _nextSend = now + (delay * _random.NextDouble());
        Enter(DhcpClientState.Probing);
        if (delay == TimeSpan.Zero)
            ProbeOn(now);
    }

    private void ProbeOn(TimeSpan now)
    {
        var timing = _settings.Probe!;
        if (_transmissions < timing.Count)
        {
            _transmissions++;
            _nextSend = now + (_transmissions < timing.Count
                ? timing.MinimumInterval + ((timing.MaximumInterval - timing.MinimumInterval) * _random.NextDouble()) : timing.Quiet);
            _effects.Probe(this, _granted!.Address);
            return;
        }
        var lease = _granted!;
        if (lease.ExpiresAt > now || lease.ExpiresAt is null)
        {
            Bind(lease, now);
            return;
        }
        // It took longer than the lease was.
        EndExchange();
        if (_lease is not null)
            StartRenewal(now, DhcpClientState.Renewing);
        else
            StartDiscovery(now);
    }
}
