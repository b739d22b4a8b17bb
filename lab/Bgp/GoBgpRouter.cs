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
    public static async Task<GoBgpRouter> StartAsync(LabNetwork network, LabHost host, string configuration, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(host);
        var file = Path.Combine(network.Folder, $"gobgpd-{host.Name}.toml");
        await File.WriteAllTextAsync(file, configuration, cancellationToken);
        var process = network.Start(host, $"gobgpd-{host.Name}", "gobgpd", "-f", file, "--api-hosts", "127.0.0.1:50051");
        var router = new GoBgpRouter(host, process);
        await Wait.UntilAsync(
            async () => (await router.ShowAsync("global", cancellationToken)).Contains("AS:", StringComparison.Ordinal), TimeSpan.FromSeconds(20), $"gobgpd\n{process.LogTail()}", cancellationToken);
        return router;
    }

    /// <summary>Asks gobgp.</summary>
    public async Task<string> ShowAsync(string command, CancellationToken cancellationToken)
    {
        try
        {
            return await _host.Namespace.RunAsync("gobgp", command.Split(' '), cancellationToken);
        }
        catch (InvalidOperationException e)
        {
            return e.Message;
        }
    }
}
