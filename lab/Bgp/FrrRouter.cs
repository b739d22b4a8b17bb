using System.Text.Json;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Bgp;

/// <summary>FRR on a host of the lab: zebra and bgpd with paths of their own. Routes it learns go into the host's routing table.</summary>
public sealed class FrrRouter
{
    private const string Programs = "/usr/lib/frr";
    private readonly LabHost _host;
    private readonly string _sockets;

    private FrrRouter(LabHost host, string sockets, ChildProcess bgpd) => (_host, _sockets, Bgpd) = (host, sockets, bgpd);

    /// <summary>Where the daemons' sockets are, for <c>vtysh --vty_socket</c>.</summary>
    public string Sockets => _sockets;

    /// <summary>The BGP daemon.</summary>
    public ChildProcess Bgpd { get; }

    /// <summary>Starts it.</summary>
    /// <param name="network">The lab.</param>
    /// <param name="host">The host.</param>
    /// <param name="configuration">bgpd's configuration.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="bfd">bfdd's configuration; null to do without it.</param>
    public static async Task<FrrRouter> StartAsync(LabNetwork network, LabHost host, string configuration, CancellationToken cancellationToken, string? bfd = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(host);
        var folder = Directory.CreateDirectory(Path.Combine(network.Folder, $"frr-{host.Name}")).FullName;
        var file = Path.Combine(folder, "bgpd.conf");
        await File.WriteAllTextAsync(file, $"log stdout informational\n{configuration}", cancellationToken);
        await File.WriteAllTextAsync(Path.Combine(folder, "zebra.conf"), "log stdout informational\n", cancellationToken);
        if (bfd is not null)
            await File.WriteAllTextAsync(Path.Combine(folder, "bfdd.conf"), $"log stdout informational\n{bfd}\n", cancellationToken);
        // The daemons give up root before they make their sockets.
        await host.Namespace.RunAsync("chown", ["-R", "frr:frr", folder], cancellationToken);
        string[] common = ["-P", "0", "-z", Path.Combine(folder, "zserv.api"), "--vty_socket", folder];
        network.Start(host, $"zebra-{host.Name}", $"{Programs}/zebra", [.. common, "-f", Path.Combine(folder, "zebra.conf"), "-i", Path.Combine(folder, "zebra.pid")]);
        await Wait.UntilAsync(
            () => Task.FromResult(File.Exists(Path.Combine(folder, "zserv.api")) && File.Exists(Path.Combine(folder, "zebra.vty"))), TimeSpan.FromSeconds(60), "zebra", cancellationToken);
        if (bfd is not null)
        {
            network.Start(
                host, $"bfdd-{host.Name}", $"{Programs}/bfdd",
                [.. common, "-f", Path.Combine(folder, "bfdd.conf"), "-i", Path.Combine(folder, "bfdd.pid"), "--bfdctl", Path.Combine(folder, "bfdd.sock")]);
            await Wait.UntilAsync(() => Task.FromResult(File.Exists(Path.Combine(folder, "bfdd.vty"))), TimeSpan.FromSeconds(60), "bfdd", cancellationToken);
        }
        var bgpd = network.Start(host, $"bgpd-{host.Name}", $"{Programs}/bgpd", [.. common, "-f", file, "-i", Path.Combine(folder, "bgpd.pid")]);
        var router = new FrrRouter(host, folder, bgpd);
        await Wait.UntilAsync(() => Task.FromResult(File.Exists(Path.Combine(folder, "bgpd.vty"))), TimeSpan.FromSeconds(60), $"bgpd\n{bgpd.LogTail()}", cancellationToken);
        return router;
    }

    /// <summary>Asks vtysh; several commands, such as those that configure, are lines.</summary>
    public Task<string> ShowAsync(string command, CancellationToken cancellationToken) =>
        RouterShell.AskAsync(_host, "vtysh", ["--vty_socket", _sockets, .. command.Split('\n').SelectMany(static line => (string[])["-c", line])], cancellationToken);

    /// <summary>What <c>show bgp neighbors</c> says of one: <c>bgpState</c>, <c>connectionsEstablished</c> and more.</summary>
    /// <param name="address">The neighbor's address, as configured.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<JsonElement> NeighborAsync(string address, CancellationToken cancellationToken)
    {
        using var neighbors = JsonDocument.Parse(await ShowAsync($"show bgp neighbors {address} json", cancellationToken));
        return neighbors.RootElement.GetProperty(address).Clone();
    }

    /// <summary>How many sessions with a neighbor have been established so far. Times of FRR are of no use to tell sessions apart: they are whole seconds, made of two clocks.</summary>
    /// <param name="address">The neighbor's address, as configured.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<int> SessionsAsync(string address, CancellationToken cancellationToken) =>
        (await NeighborAsync(address, cancellationToken)).GetProperty("connectionsEstablished").GetInt32();
}
