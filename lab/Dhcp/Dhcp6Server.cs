using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Dhcp;

/// <summary>
/// A real DHCPv6 server in a namespace of the lab, for fd77::/64. ISC dhcpd and Kea have another link, fd88::/64, for relay agents. None sends router
/// advertisements.
/// </summary>
public static class Dhcp6Server
{
    /// <summary>The names that <see cref="StartAsync"/> knows.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["dnsmasq", "isc", "kea"];

    /// <summary>Starts a server and returns when it listens.</summary>
    /// <param name="kind">One of the <see cref="Kinds"/>.</param>
    /// <param name="network">The lab.</param>
    /// <param name="host">The host to run on.</param>
    /// <param name="addresses">Size of the range, which begins with fd77::1:0.</param>
    /// <param name="validSeconds">Valid lifetime; dnsmasq has none shorter than 120 s.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public static async Task<ChildProcess> StartAsync(
        string kind, LabNetwork network, LabHost host, int addresses, int validSeconds, CancellationToken cancellationToken)
    {
        await host.Namespace.IpAsync("-6 address add fd77::1/64 dev eth0 nodad", cancellationToken);
        await UsableAsync(host, cancellationToken);
        var folder = Directory.CreateDirectory(Path.Combine(network.Folder, "dhcp6")).FullName;
        var (program, arguments) = Prepare(kind, folder, $"fd77::1:{addresses - 1:x}", validSeconds);
        var process = network.Start(host, "dhcp6", program, arguments);
        await Wait.UntilAsync(
            async () => !process.HasExited && (await host.Namespace.RunAsync("ss", ["-Hlnup", "sport = :547"], cancellationToken)).Contains($"pid={process.Id},", StringComparison.Ordinal),
            TimeSpan.FromSeconds(60), $"{kind} to listen", cancellationToken);
        return process;
    }

    /// <summary>The addresses that a server started by <see cref="StartAsync"/> holds for clients, by its own lease file; Kea's and dnsmasq's can be read.</summary>
    public static IReadOnlyList<string> Leases(string kind, LabNetwork network)
    {
        using var file = new FileStream(Path.Combine(network.Folder, "dhcp6", "leases"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        string[] lines = new StreamReader(file).ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (kind == "dnsmasq")
        {
            // Expiry, IAID, address, name, DUID: those of IPv6 follow the line of the server's own DUID.
            return [.. lines.SkipWhile(line => !line.StartsWith("duid ", StringComparison.Ordinal)).Skip(1).Select(line => line.Split(' ')[2])];
        }
        var leases = new SortedSet<string>(StringComparer.Ordinal);
        // address,duid,valid_lifetime,...: appended, a lifetime of 0 frees. The state, 0 for one that is held, is the 14th.
        foreach (var fields in lines.Skip(1).Select(line => line.Split(',')).Where(fields => fields.Length >= 14))
        {
            if (fields[2] != "0" && fields[13] == "0")
                leases.Add(fields[0]);
            else
                leases.Remove(fields[0]);
        }
        return [.. leases];
    }

    /// <summary>Waits until duplicate address detection of the host's own addresses is over.</summary>
    public static Task UsableAsync(LabHost host, CancellationToken cancellationToken) =>
        Wait.UntilAsync(
            async () => (await host.Namespace.IpAsync("-6 address show dev eth0 scope link -tentative", cancellationToken)).Contains("fe80:", StringComparison.Ordinal),
            TimeSpan.FromSeconds(60), "the link-local address", cancellationToken);

    private static (string Program, string[] Arguments) Prepare(string kind, string folder, string last, int valid)
    {
        string leases = Path.Combine(folder, "leases");
        string configuration = Path.Combine(folder, "server.conf");
        switch (kind)
        {
            case "dnsmasq":
                return ("dnsmasq", ["-k", "-p", "0", "--conf-file=/dev/null", "-i", "eth0", $"--dhcp-range=fd77::1:0,{last},64,{valid}", $"--dhcp-leasefile={leases}",
                    "--pid-file=", "-u", "root", "--log-dhcp", "--log-facility=-", "--dhcp-authoritative"]);
            case "isc":
                File.WriteAllText(leases, "");
                File.WriteAllText(configuration, $$"""
                    authoritative; ddns-update-style none; default-lease-time {{valid}}; preferred-lifetime {{valid / 2}};
                    subnet6 fd77::/64 { range6 fd77::1:0 {{last}}; }
                    subnet6 fd88::/64 { range6 fd88::1:0 fd88::1:ff; }
                    """);
                return (CopyOf("/usr/sbin/dhcpd", folder), ["-6", "-d", "-cf", configuration, "-lf", leases, "--no-pid", "eth0"]);
            case "kea":
                File.WriteAllText(configuration, $$"""
                    { "Dhcp6": {
                      "interfaces-config": { "interfaces": ["eth0", "eth0/fd77::1"] }, "server-id": { "type": "LL", "persist": false },
                      "lease-database": { "type": "memfile", "persist": true, "name": "{{leases}}", "lfc-interval": 0 },
                      "valid-lifetime": {{valid}}, "preferred-lifetime": {{valid / 2}},
                      "subnet6": [ { "id": 1, "subnet": "fd77::/64", "interface": "eth0", "rapid-commit": true, "pools": [ { "pool": "fd77::1:0 - {{last}}" } ] },
                        { "id": 2, "subnet": "fd88::/64", "pools": [ { "pool": "fd88::1:0 - fd88::1:ff" } ] } ],
                      "loggers": [ { "name": "kea-dhcp6", "severity": "WARN", "output_options": [ { "output": "stderr" } ] } ]
                    } }
                    """);
                return ("env", [$"KEA_PIDFILE_DIR={folder}", "KEA_LOCKFILE_DIR=none", $"KEA_DHCP_DATA_DIR={folder}", CopyOf("/usr/sbin/kea-dhcp6", folder), "-c", configuration]);
            default:
                throw new ArgumentException($"unknown DHCPv6 server {kind}; there are {string.Join(", ", Kinds)}", nameof(kind));
        }
    }

    // AppArmor profiles of Debian's servers are bound to the program's path and allow only the packaged folders.
    private static string CopyOf(string program, string folder)
    {
        var copy = Path.Combine(folder, Path.GetFileName(program));
        File.Copy(program, copy, overwrite: true);
        return copy;
    }
}
