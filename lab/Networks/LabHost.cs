using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace DynamicLb.Lab.Networks;

/// <summary>A host on the lab's networks.</summary>
public sealed partial class LabHost(LabNetwork network, NetworkNamespace @namespace, string name, IPAddress address, IPAddress managementAddress)
{
    private static readonly TimeSpan RelayPatience = TimeSpan.FromSeconds(60);
    private readonly HashSet<string> _relays = new(StringComparer.Ordinal);

    /// <summary>Its name in the lab.</summary>
    public string Name => name;

    /// <summary>Its namespace.</summary>
    public NetworkNamespace Namespace => @namespace;

    /// <summary>Address on the LAN.</summary>
    public IPAddress Address => address;

    /// <summary>Address on the management network.</summary>
    public IPAddress ManagementAddress => managementAddress;

    /// <summary>MAC of eth0, in lower case with colons.</summary>
    public async Task<string> MacAsync(CancellationToken cancellationToken) =>
        MacAddress().Match(await @namespace.IpAsync("-o link show dev eth0", cancellationToken)).Groups["mac"].Value;

    /// <summary>Asks the LAN for the MAC of an address with arping(8); null when nobody answers within a second. More than one answer is a fault.</summary>
    public async Task<string?> ResolveAsync(string wanted, CancellationToken cancellationToken, string device = "eth0")
    {
        string output;
        try
        {
            // The program ends with 1 when nothing answered; -b keeps all its requests broadcast.
            output = await @namespace.RunAsync("sh", ["-c", $"arping -b -c 1 -w 1 -I {device} {wanted} || test $? = 1"], cancellationToken);
        }
        catch (InvalidOperationException) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException(cancellationToken);
        }

        var answers = ArpAnswer().Matches(output).Select(m => m.Groups["mac"].Value.ToLowerInvariant()).Distinct(StringComparer.Ordinal).ToArray();
        return answers.Length switch
        {
            0 => null,
            1 => answers[0],
            _ => throw new InvalidOperationException($"{wanted} is answered by {string.Join(" and ", answers)}"),
        };
    }

    /// <summary>Fetches a page with curl; null when that fails within <paramref name="seconds"/>.</summary>
    public async Task<string?> FetchAsync(string url, int seconds, CancellationToken cancellationToken)
    {
        try
        {
            return await @namespace.RunAsync("curl", ["-fsS", "--noproxy", "*", "-m", seconds.ToString(CultureInfo.InvariantCulture), url], cancellationToken);
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>
    /// An HTTP client whose connections are made in this host's namespace: a relay there listens on a Unix socket, which both sides see.
    /// </summary>
    public HttpClient CreateHttpClient(Uri baseAddress)
    {
        ArgumentNullException.ThrowIfNull(baseAddress);
#pragma warning disable CA2000 // The handler belongs to the client.
        var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(1),
            ConnectCallback = Connector(baseAddress.Host, baseAddress.Port),
        };
#pragma warning restore CA2000
        return new HttpClient(handler) { BaseAddress = baseAddress, Timeout = TimeSpan.FromSeconds(90) };
    }

    /// <summary>Makes an HTTP handler's connections in this host's namespace, to the given host and port.</summary>
    public Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>> Connector(string host, int port)
    {
        var socket = BeginRelay(host, port);
        return async (_, token) =>
        {
            // It is there when the relay runs, and takes connections a moment later.
            var connection = await Wait.ForAsync(() => TryConnectAsync(socket, token), RelayPatience, $"the relay to {host}:{port}", token);
            return new NetworkStream(connection, ownsSocket: true);
        };
    }

    /// <summary>Path of a Unix socket whose connections go on from this namespace to the given host and port.</summary>
    public string StartRelay(string host, int port)
    {
        var socket = BeginRelay(host, port);
        Wait.For(() => File.Exists(socket), RelayPatience, $"the relay to {host}:{port}");
        return socket;
    }

    private string BeginRelay(string host, int port)
    {
        var socket = Path.Combine(network.Folder, $"{name}-{port}.sock");
        lock (_relays)
        {
            if (_relays.Add(socket))
                network.Start(this, $"relay-{name}-{port}", "dotnet", [Programs.PathOf("Lab"), "relay", socket, host, port.ToString(CultureInfo.InvariantCulture)]);
        }

        return socket;
    }

    private static async Task<Socket?> TryConnectAsync(string path, CancellationToken cancellationToken)
    {
        var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await connection.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
            return connection;
        }
        catch (Exception e)
        {
            connection.Dispose();
            if (e is SocketException)
                return null;
            throw;
        }
    }

    [GeneratedRegex("link/ether (?<mac>[0-9a-f:]{17})", RegexOptions.ExplicitCapture)]
    private static partial Regex MacAddress();

    [GeneratedRegex("reply from [0-9.]+ \\[(?<mac>[0-9A-Fa-f:]{17})\\]", RegexOptions.ExplicitCapture)]
    private static partial Regex ArpAnswer();
}
