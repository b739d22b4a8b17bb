using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Dhcp;

/// <summary>What a DHCP server is told.</summary>
public sealed record DhcpServerOptions
{
    /// <summary>The interface it serves.</summary>
    public string Interface { get; init; } = "eth0";

    /// <summary>The subnets it leases from, by their first three numbers; through a relay it may serve others than its interface's.</summary>
    public IReadOnlyList<string> Subnets { get; init; } = ["10.20.0"];

    /// <summary>Makes it tell clients apart by MAC alone; udhcpd always does.</summary>
    public bool IgnoresClientIds { get; init; }

    /// <summary>Last number of the first address of the range, in each subnet.</summary>
    public int First { get; init; } = 100;

    /// <summary>Last number of the last address.</summary>
    public int Last { get; init; } = 199;

    /// <summary>Kea and dnsmasq only: 10.20.16.0 to 10.20.127.255 instead, for tens of thousands of leases.</summary>
    public bool IsLarge { get; init; }

    /// <summary>How long leases are. dnsmasq has none shorter than 120 s.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(600);

    /// <summary>Tells the server's files and log from another's on the same host.</summary>
    public string Name { get; init; } = "dhcp";
}

/// <summary>A real DHCP server in a namespace of the lab.</summary>
public abstract class DhcpServer : IAsyncDisposable
{
    private readonly LabNetwork _network;
    private ChildProcess? _process;

    private protected DhcpServer(LabNetwork network, LabHost host, DhcpServerOptions options)
    {
        (_network, Host, Options) = (network, host, options);
        Folder = Directory.CreateDirectory(Path.Combine(network.Folder, options.Name)).FullName;
    }

    /// <summary>The names that <see cref="Create"/> knows.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["dnsmasq", "isc", "kea", "udhcpd"];

    /// <summary>Name of the software, for people.</summary>
    public abstract string Software { get; }

    /// <summary>The host it runs on.</summary>
    public LabHost Host { get; }

    /// <summary>Its folder: configuration and lease file.</summary>
    public string Folder { get; }

    /// <summary>What it was told.</summary>
    protected DhcpServerOptions Options { get; }

    /// <summary>The running process; null when stopped.</summary>
    protected ChildProcess? Process => _process;

    /// <summary>Of the running server.</summary>
    public int ProcessId => _process?.Id ?? throw new InvalidOperationException("The server does not run.");

    /// <summary>First address of the range.</summary>
    protected string First => $"{Options.Subnets[0]}.{Options.First}";

    /// <summary>Last address of the range.</summary>
    protected string Last => $"{Options.Subnets[0]}.{Options.Last}";

    /// <summary>Lease time in seconds.</summary>
    protected long LeaseSeconds => (long)Options.Lease.TotalSeconds;

    /// <summary>A server of one of the <see cref="Kinds"/>, not started.</summary>
    public static DhcpServer Create(string kind, LabNetwork network, LabHost host, DhcpServerOptions? options = null) => kind switch
    {
        "dnsmasq" => new DnsmasqServer(network, host, options ?? new()),
        "isc" => new IscServer(network, host, options ?? new()),
        "kea" => new KeaServer(network, host, options ?? new()),
        "udhcpd" => new UdhcpdServer(network, host, options ?? new()),
        _ => throw new ArgumentException($"unknown DHCP server {kind}; there are {string.Join(", ", Kinds)}", nameof(kind)),
    };

    /// <summary>Starts it and returns when it listens. Leases of an earlier start are kept.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var (program, arguments) = Prepare();
        _process = _network.Start(Host, Options.Name, program, arguments);
        try
        {
            // Every one of them holds UDP port 67 when it is ready, ISC and Kea besides their packet sockets.
            await Wait.UntilAsync(
                async () => !_process.HasExited && (await Host.Namespace.RunAsync("ss", ["-Hlnup"], cancellationToken)).Contains($"pid={_process.Id},", StringComparison.Ordinal),
                TimeSpan.FromSeconds(60), $"{Software} to listen", cancellationToken);
        }
        catch (TimeoutException e)
        {
            throw new InvalidOperationException($"{Software} did not start: {_process.LogTail()}", e);
        }
    }

    /// <summary>Sends it a signal, such as STOP or CONT.</summary>
    public void Signal(string name) => _process!.Signal(name);

    /// <summary>Kills it.</summary>
    public async Task StopAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
            _process = null;
        }
    }

    /// <summary>Kills it, deletes its leases and starts it again.</summary>
    public async Task StartForgetfulAsync(CancellationToken cancellationToken)
    {
        await StopAsync();
        foreach (string file in Directory.GetFiles(Folder, "leases*"))
            File.Delete(file);
        await StartAsync(cancellationToken);
    }

    /// <summary>Reads the server's own table: the newest entry of each address.</summary>
    public abstract Task<IReadOnlyList<DhcpLease>> LeasesAsync(CancellationToken cancellationToken);

    /// <summary>The active entry of an address, or null.</summary>
    public async Task<DhcpLease?> LeaseOfAsync(string ip, CancellationToken cancellationToken) =>
        (await LeasesAsync(cancellationToken)).FirstOrDefault(l => l.Active && string.Equals(l.Ip, ip, StringComparison.Ordinal));

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Writes what the server needs and says how to run it.</summary>
    private protected abstract (string Program, string[] Arguments) Prepare();

    /// <summary>Makes an empty lease file unless there is one.</summary>
    private protected string LeaseFile(string name)
    {
        var path = Path.Combine(Folder, name);
        using (File.Open(path, FileMode.OpenOrCreate))
        {
            return path;
        }
    }

    // AppArmor profiles of Debian's servers are bound to the program's path and allow only the packaged folders.
    private protected string CopyOf(string program)
    {
        var copy = Path.Combine(Folder, Path.GetFileName(program));
        File.Copy(program, copy, overwrite: true);
        return copy;
    }

    /// <summary>Reads a file that the server writes anew each time: until it was the same twice. While it is written, some or all of it is missing.</summary>
    private protected static async Task<string> ReadSettledAsync(string path, CancellationToken cancellationToken)
    {
        const int Most = 100;
        var pause = TimeSpan.FromMilliseconds(30);
        string text = ReadShared(path);
        for (int i = 0; i < Most; i++)
        {
            await Task.Delay(pause, TimeProvider.System, cancellationToken);
            string again = ReadShared(path);
            if (string.Equals(again, text, StringComparison.Ordinal))
                break;
            text = again;
        }
        return text;
    }

    // The servers write while we read.
    private protected static string ReadShared(string path)
    {
        if (!File.Exists(path))
        {
            return "";
        }

        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        return reader.ReadToEnd();
    }
}
