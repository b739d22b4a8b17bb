using System.Globalization;
using System.Text.RegularExpressions;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Dhcp;

internal sealed partial class IscServer(LabNetwork network, LabHost host, DhcpServerOptions options) : DhcpServer(network, host, options)
{
    public override string Software => "ISC dhcpd";

    public override Task<IReadOnlyList<DhcpLease>> LeasesAsync(CancellationToken cancellationToken)
    {
        var leases = new Dictionary<string, DhcpLease>(StringComparer.Ordinal);
        foreach (Match match in Entry().Matches(ReadShared(Path.Combine(Folder, "leases"))))
        {
            var body = match.Groups["body"].Value;
            var ip = match.Groups["ip"].Value;
            var ends = Ends().Match(body).Groups["time"].Value;
            leases[ip] = new DhcpLease(ip, Hardware().Match(body).Groups["mac"].Value, HostName().Match(body).Groups["name"].Value,
                body.Contains("\n  binding state active;", StringComparison.Ordinal),
                ends.Length == 0 ? DateTimeOffset.MaxValue : DateTimeOffset.ParseExact(ends, "yyyy/MM/dd HH:mm:ss", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal));
        }

        return Task.FromResult<IReadOnlyList<DhcpLease>>([.. leases.Values]);
    }

    private protected override (string Program, string[] Arguments) Prepare()
    {
        var configuration = Path.Combine(Folder, "dhcpd.conf");

        // It does not start without a declaration of the subnet it stands in.
        var own = Options.Interface == "eth0" ? "10.20.0" : "10.88.0";
        File.WriteAllText(configuration, $$"""
            authoritative; ddns-update-style none; ping-check false;
            default-lease-time {{LeaseSeconds}}; max-lease-time {{LeaseSeconds}}; min-lease-time 1;
            {{(Options.IgnoresClientIds ? "ignore-client-uids true;" : "")}}
            {{string.Join('\n', Options.Subnets.Select(subnet => $"subnet {subnet}.0 netmask 255.255.255.0 {{ range {subnet}.{Options.First} {subnet}.{Options.Last}; option routers {subnet}.1; }}"))}}
            {{(Options.Subnets.Contains(own) ? "" : $"subnet {own}.0 netmask 255.255.255.0 {{ }}")}}

            """);
        return (CopyOf("/usr/sbin/dhcpd"), ["-4", "-d", "-cf", configuration, "-lf", LeaseFile("leases"), "-pf", Path.Combine(Folder, "pid"), "--no-pid", Options.Interface]);
    }

    [GeneratedRegex("^lease (?<ip>[0-9.]+) \\{(?<body>.*?)^\\}", RegexOptions.Multiline | RegexOptions.Singleline | RegexOptions.ExplicitCapture)]
    private static partial Regex Entry();

    [GeneratedRegex("^  ends \\d (?<time>[0-9/]+ [0-9:]+);", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Ends();

    [GeneratedRegex("hardware ethernet (?<mac>[0-9a-f:]+);", RegexOptions.ExplicitCapture)]
    private static partial Regex Hardware();

    [GeneratedRegex("client-hostname \"(?<name>[^\"]*)\";", RegexOptions.ExplicitCapture)]
    private static partial Regex HostName();
}
