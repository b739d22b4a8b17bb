using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Bgp;

/// <summary>GoBGP on a host of the lab.</summary>
public sealed class GoBgpRouter
{
    private readonly LabHost _host;

    private GoBgpRouter(LabHost host, ChildProcess process) => (_host, Process) = (host, process);

    /// <summary>The daemon.</summary>
    public ChildProcess Process { get; }

    /// <summary>Starts it.</summary>
    /// <param name="network">The lab.</param>
    /// <param name="host">The host.</param>
    /// <param name="configuration">gobgpd's configuration, TOML.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="logLevel">How much it logs: "info", as it does by itself, or "warn" and so on.</param>
    public static async Task<GoBgpRouter> StartAsync(LabNetwork network, LabHost host, string configuration, CancellationToken cancellationToken, string logLevel = "info")
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(host);
        var file = Path.Combine(network.Folder, $"gobgpd-{host.Name}.toml");
        await File.WriteAllTextAsync(file, configuration, cancellationToken);
        var process = network.Start(host, $"gobgpd-{host.Name}", "gobgpd", "-f", file, "--api-hosts", "127.0.0.1:50051", "-l", logLevel);
        var router = new GoBgpRouter(host, process);
        await Wait.UntilAsync(
            async () => (await router.ShowAsync("global", cancellationToken)).Contains("AS:", StringComparison.Ordinal), TimeSpan.FromSeconds(60), $"gobgpd\n{process.LogTail()}", cancellationToken);
        return router;
    }

    /// <summary>Asks gobgp.</summary>
    public Task<string> ShowAsync(string command, CancellationToken cancellationToken) =>
        RouterShell.AskAsync(_host, "gobgp", command.Split(' '), cancellationToken);
}
