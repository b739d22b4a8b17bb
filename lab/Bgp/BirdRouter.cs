using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Bgp;

/// <summary>BIRD 2 on a host of the lab.</summary>
public sealed class BirdRouter
{
    private readonly LabHost _host;
    private readonly string _socket;

    private BirdRouter(LabHost host, string socket) => (_host, _socket) = (host, socket);

    /// <summary>Starts it.</summary>
    public static async Task<BirdRouter> StartAsync(LabNetwork network, LabHost host, string configuration, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(host);
        var folder = Directory.CreateDirectory(Path.Combine(network.Folder, $"bird-{host.Name}")).FullName;
        string file = Path.Combine(folder, "bird.conf"), socket = Path.Combine(folder, "bird.ctl");
        await File.WriteAllTextAsync(file, $"log stderr all;\n{configuration}", cancellationToken);
        var bird = network.Start(host, $"bird-{host.Name}", "bird", "-f", "-c", file, "-s", socket, "-P", Path.Combine(folder, "bird.pid"));
        await Wait.UntilAsync(() => Task.FromResult(File.Exists(socket)), TimeSpan.FromSeconds(60), $"bird\n{bird.LogTail()}", cancellationToken);
        return new BirdRouter(host, socket);
    }

    /// <summary>Asks birdc.</summary>
    public Task<string> ShowAsync(string command, CancellationToken cancellationToken) =>
        RouterShell.AskAsync(_host, "birdc", ["-s", _socket, .. command.Split(' ')], cancellationToken);
}
