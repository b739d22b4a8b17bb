using System.Text.RegularExpressions;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Lab.Networks;

[assembly: CollectionBehavior(MaxParallelThreads = 6)]

namespace DynamicLb.Tests.Network.Support;

/// <summary>A LAN with a real DHCP server and the real address service on a node.</summary>
internal sealed class AddressLab : IAsyncDisposable
{
    private readonly List<DhcpServer> _servers = [];

    private AddressLab(LabNetwork network) => Network = network;

    public LabNetwork Network { get; }

    public DhcpServer Server => _servers[0];

    /// <summary>Where the first server runs; null for the router.</summary>
    public LabHost? ServerHost { get; set; }

    public AddressServiceProcess Service { get; private set; } = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public static Task<AddressLab> StartAsync(string kind, DhcpServerOptions? options = null, params IReadOnlyList<string> arguments) =>
        StartAsync(kind, options, static _ => Task.CompletedTask, arguments);

    /// <param name="kind">The server.</param>
    /// <param name="options">What it is told.</param>
    /// <param name="before">Changes the network before anything runs on it.</param>
    /// <param name="arguments">More flags of the address service.</param>
    public static async Task<AddressLab> StartAsync(string kind, DhcpServerOptions? options, Func<AddressLab, Task> before, params IReadOnlyList<string> arguments)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        var lab = new AddressLab(await LabNetwork.CreateAsync(Cancelled));
        try
        {
            await lab.Network.AddHostAsync("router", 1, Cancelled);
            await lab.Network.AddHostAsync("node1", 11, Cancelled);
            await before(lab);
            await lab.AddServerAsync(kind, lab.ServerHost ?? lab.Network["router"], options);
            lab.Service = await AddressServiceProcess.StartAsync(lab.Network, lab.Network["node1"], Cancelled, arguments);
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    public async Task AddServerAsync(string kind, LabHost host, DhcpServerOptions? options)
    {
        var server = DhcpServer.Create(kind, Network, host, options);
        _servers.Add(server);
        await server.StartAsync(Cancelled);
    }

    /// <summary>Starts a host that grants 10.20.0.99 to everybody who asks another server.</summary>
    public async Task StartRogueAsync(LabHost host)
    {
        Network.StartOurs(host, "rogue", "Lab", "forge-acks", $"{host.Address}", "10.20.0.99");
        var log = Path.Combine(Network.Folder, "rogue.log");
        await Wait.UntilAsync(
            () => Task.FromResult(File.Exists(log) && File.ReadAllText(log).Contains("ready", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "the rogue server", Cancelled);
    }

    /// <summary>The lease of a service.</summary>
    public async Task<LeaseAnswer?> LeaseAsync(string service) =>
        (await Service.StatusAsync(Cancelled)).Allocations.FirstOrDefault(l => l.Service == service);

    /// <summary>Waits for the lease of a service to fulfil a condition.</summary>
    public Task<LeaseAnswer> WaitForLeaseAsync(string service, Func<LeaseAnswer, bool> condition, int seconds, string what) => Wait.ForAsync(
        async () => await LeaseAsync(service) is { } lease && condition(lease) ? lease : null, TimeSpan.FromSeconds(seconds), what, Cancelled);

    /// <summary>Starts recording DHCP messages at the server.</summary>
    public async Task<Capture> CaptureAsync()
    {
        Network.Start(Network["router"], "capture", "tcpdump", "-ni", "eth0", "-vvv", "-l", "udp", "port", "67");
        var file = Path.Combine(Network.Folder, "capture.log");
        await Wait.UntilAsync(() => Task.FromResult(File.Exists(file) && File.ReadAllText(file).Contains("listening on", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "tcpdump", Cancelled);
        return new Capture(file);
    }

    public async ValueTask DisposeAsync()
    {
        Service?.Dispose();
        await Network.DisposeAsync();
    }
}

/// <summary>tcpdump's text.</summary>
internal sealed partial record Capture(string File)
{
    /// <summary>How many messages of a type (Discover, Request, Release) it holds so far.</summary>
    public int Count(string type) => Regex.Count(System.IO.File.ReadAllText(File), $"DHCP-Message.*: {type}", RegexOptions.None);

    /// <summary>The packets of a type, each with all its lines.</summary>
    public IEnumerable<string> Messages(string type) =>
        PacketStart().Split(System.IO.File.ReadAllText(File)).Where(p => Regex.IsMatch(p, $"DHCP-Message.*: {type}", RegexOptions.None));

    [GeneratedRegex(@"^(?=\d\d:\d\d:\d\d\.)", RegexOptions.Multiline)]
    private static partial Regex PacketStart();
}
