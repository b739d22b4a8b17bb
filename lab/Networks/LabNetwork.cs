using System.Collections.Concurrent;
using System.Net;

namespace DynamicLb.Lab.Networks;

/// <summary>
/// Two switches in a namespace of their own and hosts on them, each a namespace: eth0 is on the LAN (10.20.0.0/24), mgmt0 on the network
/// of the Kubernetes API and the pods (10.88.0.0/24). Nothing is connected to the machine's own network. Not thread-safe while hosts are added.
/// </summary>
public sealed class LabNetwork : IAsyncDisposable
{
    private static readonly Lazy<Task> _sweep = new(() => Leftovers.SweepAsync(CancellationToken.None));
    private static int _labs;
    private readonly Dictionary<string, LabHost> _hosts = new(StringComparer.Ordinal);
    private readonly ConcurrentStack<ChildProcess> _processes = new();
    private readonly NetworkNamespace _switch;

    private LabNetwork(NetworkNamespace @switch, string prefix, string folder) => (_switch, Prefix, Folder) = (@switch, prefix, folder);

    /// <summary>The start of the names of this lab's namespaces.</summary>
    public string Prefix { get; }

    /// <summary>Folder for logs and data; gone after disposal.</summary>
    public string Folder { get; }

    /// <summary>The namespace with the switches; the port of host h on the LAN is p-h.</summary>
    public NetworkNamespace Switch => _switch;

    /// <summary>The host that was added as <paramref name="name"/>.</summary>
    public LabHost this[string name] => _hosts[name];

    /// <summary>Sweeps leftovers of dead labs and makes the switches.</summary>
    public static async Task<LabNetwork> CreateAsync(CancellationToken cancellationToken)
    {
        await _sweep.Value.WaitAsync(cancellationToken);
        var prefix = Leftovers.Prefix(Interlocked.Increment(ref _labs));
        var folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), prefix)).FullName;
        var @switch = await NetworkNamespace.CreateAsync($"{prefix}-switch", cancellationToken);
        var network = new LabNetwork(@switch, prefix, folder);
        foreach (var bridge in new[] { "lan", "mgmt" })
        {
            await @switch.IpAsync($"link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0", cancellationToken);
            await @switch.IpAsync($"link set {bridge} up", cancellationToken);
        }

        return network;
    }

    /// <summary>Adds a host with 10.20.0.<paramref name="number"/> and 10.88.0.<paramref name="number"/>; its default route is on the LAN.</summary>
    public async Task<LabHost> AddHostAsync(string name, int number, CancellationToken cancellationToken)
    {
        var created = await NetworkNamespace.CreateAsync($"{Prefix}-{name}", cancellationToken);
        var host = new LabHost(this, created, name, IPAddress.Parse($"10.20.0.{number}"), IPAddress.Parse($"10.88.0.{number}"));
        _hosts.Add(name, host);
        await AttachAsync(created, name, "lan", "p", "eth0", $"10.20.0.{number}", cancellationToken);
        await AttachAsync(created, name, "mgmt", "m", "mgmt0", $"10.88.0.{number}", cancellationToken);
        if (number != 1)
        {
            await created.IpAsync("route add default via 10.20.0.1 dev eth0", cancellationToken);
        }

        // Hosts of a load balancer forward to pods; answers for addresses of the other interface would confuse the ARP checks.
        await created.RunAsync("sysctl", ["-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.rp_filter=0"], cancellationToken);
        return host;
    }

    /// <summary>Starts a program on a host; it ends with the lab at the latest. Its output is in <see cref="Folder"/>/<paramref name="log"/>.log.</summary>
    public ChildProcess Start(LabHost host, string log, string program, params IReadOnlyList<string> arguments)
    {
        var process = host.Namespace.Start(program, arguments, Path.Combine(Folder, $"{log}.log"), new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["DOTNET_NOLOGO"] = "1",
            ["DOTNET_gcServer"] = "0",
            ["KUBECONFIG"] = "",
        });
        _processes.Push(process);
        return process;
    }

    /// <summary>Takes two hosts off the LAN's switch and connects them by a <see cref="VlanCable"/>: the first untagged, the second tagged.</summary>
    public async Task ConnectByVlanAsync(string access, string trunk, int vlan, CancellationToken cancellationToken)
    {
        foreach (var host in new[] { access, trunk })
            await _switch.IpAsync($"link set p-{host} nomaster promisc on", cancellationToken);
        var log = Path.Combine(Folder, "vlan-cable.log");
        _processes.Push(_switch.Start(
            "dotnet", [Programs.PathOf("Lab"), "vlan-cable", $"p-{access}", $"p-{trunk}", $"{vlan}"], log, new Dictionary<string, string>(StringComparer.Ordinal)));
        await Wait.UntilAsync(
            () => Task.FromResult(File.Exists(log) && File.ReadAllText(log).Contains("ready", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "the VLAN cable", cancellationToken);
    }

    /// <summary>Starts one of our programs on a host.</summary>
    public ChildProcess StartOurs(LabHost host, string log, string project, params IReadOnlyList<string> arguments) =>
        Start(host, log, "dotnet", [Programs.PathOf(project), .. arguments]);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes)
        {
            await process.DisposeAsync();
        }

        foreach (var host in _hosts.Values)
        {
            await host.Namespace.DisposeAsync();
        }

        await _switch.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }

    private async Task AttachAsync(NetworkNamespace host, string name, string bridge, string port, string link, string address, CancellationToken cancellationToken)
    {
        await _switch.IpAsync($"link add {port}-{name} type veth peer name {link} netns {host.Name}", cancellationToken);
        await _switch.IpAsync($"link set {port}-{name} master {bridge} up", cancellationToken);
        await host.IpAsync($"link set {link} up", cancellationToken);
        await host.IpAsync($"address add {address}/24 dev {link}", cancellationToken);
    }
}
