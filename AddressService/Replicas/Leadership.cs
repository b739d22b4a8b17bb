using System.Diagnostics.Metrics;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Store;
using DynamicLb.Kubernetes.LeaderElection;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Replicas;

/// <summary>
/// Whether this process is the one that leases, asked before every message, every write and every call. A process that stood still (SIGSTOP, a frozen
/// machine) finds its claim run out when it wakes, by the boot clock, and sends nothing. Thread-safe.
/// </summary>
internal sealed partial class Leadership : IStoreFence
{
    private readonly LeaderElector? _elector;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly ILogger<Leadership> _logger;
    private volatile bool _serves;
    private volatile string? _lost;

    /// <param name="options">The settings in force.</param>
    /// <param name="electors">The election, if there is one; without, the lock on the data folder says who leads.</param>
    /// <param name="lifetime">Ends the program.</param>
    /// <param name="meters">Metrics.</param>
    /// <param name="logger">Log.</param>
    public Leadership(
        AddressServiceOptions options, IEnumerable<LeaderElector> electors, IHostApplicationLifetime lifetime, IMeterFactory meters, ILogger<Leadership> logger)
    {
        _elector = electors.FirstOrDefault();
        _lifetime = lifetime;
        _logger = logger;
        _serves = _elector is null && !options.Standby;
        meters.Create("DynamicLb.AddressService").CreateObservableGauge(
            "dynamiclb_address_service_leader", () => Refusal is null ? 1 : 0, description: "1 while this replica leases, 0 while it stands by.");
    }

    /// <summary>Why calls are refused now; null when this process serves them.</summary>
    public string? Refusal => IsLost ? "this replica no longer leads, and ends"
        : _serves && Claim != LeaderClaim.None ? null
        : _elector is null ? "standby: another process uses the data folder"
        : $"standby: {(string.IsNullOrEmpty(_elector.Holder) ? "nobody" : _elector.Holder)} leads";

    /// <summary>Whether the program ends because another leads, or may lead.</summary>
    public bool IsLost => _lost is not null;

    string? IStoreFence.Refusal => Claim switch
    {
        LeaderClaim.Confirmed => null,
        LeaderClaim.Unconfirmed => "the API server does not confirm that this replica leads",
        _ => "this replica does not lead",
    };

    private LeaderClaim Claim => IsLost ? LeaderClaim.None : _elector?.Claimed ?? LeaderClaim.Confirmed;

    /// <summary>The leases are loaded: calls are served from now on.</summary>
    public void Begin() => _serves = true;

    /// <summary>
    /// Whether a message may leave now. While nobody confirms that we lead, only what keeps a lease that we hold: another leader would send the same,
    /// and it does no harm twice.
    /// </summary>
    public bool MaySend(DhcpMessage message) => MaySend(message.Type == DhcpMessageType.Request && message.ServerId.IsAny);

    /// <summary>The same for DHCPv6; null for what is no message, but looks whether an address is in use.</summary>
    public bool MaySend(Dhcp6Message? message) => MaySend(message?.Type is Dhcp6MessageType.Renew or Dhcp6MessageType.Rebind);

    private bool MaySend(bool keepsLease)
    {
        var claim = Claim;
        if (claim == LeaderClaim.None)
            Fenced("its claim has run out: the process stood still, or another leads");
        return claim == LeaderClaim.Confirmed || (claim == LeaderClaim.Unconfirmed && keepsLease);
    }

    /// <summary>Whether an ARP probe may leave now: a new address is for the confirmed leader only.</summary>
    public bool MayProbe => Claim == LeaderClaim.Confirmed;

    /// <summary>Ends the program, with nothing released, and exit code 1: whoever supervises it starts it again, as a standby.</summary>
    public void Fenced(string cause)
    {
        if (IsLost || _lifetime.ApplicationStopping.IsCancellationRequested)
            return;
        _lost = cause;
        Log.Fenced(_logger, cause);
        _lifetime.StopApplication();
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Critical, Message = "This replica leads no longer and ends; leases stay as they are: {Cause}")]
        public static partial void Fenced(ILogger logger, string cause);
    }
}
