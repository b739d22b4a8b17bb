using DynamicLb.AddressService.Webhooks;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.AddressService.Configuration;

/// <summary>Whose source address DHCP frames bear.</summary>
internal enum TransportMode
{
    /// <summary>The interface's own MAC; only <c>chaddr</c> is generated.</summary>
    Nic = 0,

    /// <summary>The generated MAC.</summary>
    ChAddr,

    /// <summary>None: UDP from this host's own address, as a relay agent.</summary>
    Relay,
}

/// <summary>What tells leases apart for DHCP servers.</summary>
internal enum IdentityMode
{
    /// <summary>A MAC each.</summary>
    Mac = 0,

    /// <summary>A client identifier each, and the interface's own MAC for all.</summary>
    ClientId,
}

/// <summary>Where MACs come from.</summary>
internal enum MacSource
{
    Generate = 0,
    Pool,
    PoolThenGenerate,
}

/// <summary>Where leases are kept.</summary>
internal enum StoreKind
{
    /// <summary>In a folder, which one process uses at a time.</summary>
    Files = 0,

    /// <summary>As AddressLease objects in Kubernetes; of several replicas the elected one leases.</summary>
    Kubernetes,
}

/// <summary>The settings in force. Set once at start by <see cref="Settings"/>, validated as a whole, then only read.</summary>
internal sealed class AddressServiceOptions
{
    /// <summary>The only interface, or what the listed ones start from.</summary>
    public InterfaceOptions Interface { get; } = new();

    /// <summary>The list of interfaces as it was written.</summary>
    public IReadOnlyList<ListedInterface> Listed { get; set; } = [];

    /// <summary>The interfaces in force, at least one.</summary>
    public IReadOnlyList<InterfaceOptions> Interfaces => field ??= Listed.Count == 0 ? [Interface] : [.. Listed.Select(entry => entry.On(Interface))];

    public string Listen { get; set; } = "http://0.0.0.0:8080";

    public StoreKind Store { get; set; }

    public string Data { get; set; } = "/var/lib/dynamiclb";

    /// <summary>Data folder whose leases the first leader takes over into Kubernetes.</summary>
    public string? ImportFrom { get; set; }

    /// <summary>Wait while another process uses the data folder, and take over from it.</summary>
    public bool Standby { get; set; }

    /// <summary>Where the leases are in Kubernetes; without one the Pod's own namespace.</summary>
    public string? Namespace { get; set; }

    /// <summary>How long a leader that died is waited for.</summary>
    public TimeSpan LeaderLease { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Files of those who may call; see <see cref="Security.AccessEntry"/>.</summary>
    public IReadOnlyList<string> TokenFiles { get; set; } = [];

    public bool AllowAnonymous { get; set; }

    /// <summary>How long a POST waits for DHCP.</summary>
    public TimeSpan RequestTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long the search for a first address goes on after the last POST for it.</summary>
    public TimeSpan AbandonAfter { get; set; } = TimeSpan.FromMinutes(10);

    public MacSource MacSource { get; set; }

    public uint MacPrefix { get; set; } = 0x024c42;

    /// <summary>Whether generated MACs follow from the Service's UID, where there is one, or always from its name.</summary>
    public bool MacFromName { get; set; }

    public IReadOnlyList<MacAddress> Macs { get; set; } = [];

    /// <summary>File with the secret behind generated MACs; without one it is made and kept in the data folder.</summary>
    public string? MacKeyFile { get; set; }

    public TimeSpan ReleaseDelay { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>Readers of the event stream at once.</summary>
    public int Watchers { get; set; } = 64;

    public LimitOptions Limits { get; } = new();

    public IReadOnlyList<WebhookOptions> Webhooks { get; set; } = [];

    public TlsOptions Tls { get; } = new();

    public TokenReviewOptions TokenReview { get; } = new();

    /// <summary>Kubeconfig; null for the pod's service account and the usual places.</summary>
    public string? KubeConfig { get; set; }

    public LogLevel LogLevel { get; set; } = LogLevel.Information;
}
