namespace DynamicLb.Lab.Networks;

/// <summary>A network namespace of the lab; deleted, with everything that runs in it, on disposal.</summary>
public sealed class NetworkNamespace : IAsyncDisposable
{
    private NetworkNamespace(string name) => Name = name;

    /// <summary>Its name under /run/netns.</summary>
    public string Name { get; }

    /// <summary>Makes the namespace and brings up its loopback interface.</summary>
    public static async Task<NetworkNamespace> CreateAsync(string name, CancellationToken cancellationToken)
    {
        await ChildProcess.OutputOfAsync("ip", ["netns", "add", name], cancellationToken);
        var created = new NetworkNamespace(name);
        await created.IpAsync("link set lo up", cancellationToken);
        return created;
    }

    /// <summary>Runs ip(8) on the namespace; the arguments are separated by blanks.</summary>
    public Task<string> IpAsync(string arguments, CancellationToken cancellationToken) =>
        ChildProcess.OutputOfAsync("ip", ["-n", Name, .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)], cancellationToken);

    /// <summary>Runs a program in the namespace to its end and returns its output.</summary>
    public Task<string> RunAsync(string program, IReadOnlyList<string> arguments, CancellationToken cancellationToken) =>
        ChildProcess.OutputOfAsync("ip", ["netns", "exec", Name, program, .. arguments], cancellationToken);

    /// <summary>Starts a program in the namespace.</summary>
    public ChildProcess Start(string program, IReadOnlyList<string> arguments, string logFile, IReadOnlyDictionary<string, string>? environment = null) =>
        ChildProcess.Start(program, arguments, logFile, environment, Name);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await Leftovers.RemoveNamespaceAsync(Name, CancellationToken.None);
}
