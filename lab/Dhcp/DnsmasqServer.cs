using System.Globalization;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Dhcp;

internal sealed class DnsmasqServer(LabNetwork network, LabHost host, DhcpServerOptions options) : DhcpServer(network, host, options)
{
    public override string Software => "dnsmasq";

    public override async Task<IReadOnlyList<DhcpLease>> LeasesAsync(CancellationToken cancellationToken)
    {
        // expiry mac ip name client-id; an entry goes when the address is free.
        var leases = from line in (await ReadSettledAsync(Path.Combine(Folder, "leases"), cancellationToken)).Split('\n')
                     let fields = line.Split(' ')
                     where fields.Length == 5
                     let expiry = DateTimeOffset.FromUnixTimeSeconds(long.Parse(fields[0], CultureInfo.InvariantCulture))
                     select new DhcpLease(fields[2], fields[1], fields[3] == "*" ? "" : fields[3], true, expiry);
        return [.. leases];
    }

    private protected override (string Program, string[] Arguments) Prepare() => ("dnsmasq",
    [
        "-k", "-p", "0", "--conf-file=/dev/null", "-i", Options.Interface, "--bind-interfaces", "--dhcp-lease-max=50000",
        .. Options.IsLarge
            ? new[] { $"--dhcp-range=10.20.16.0,10.20.127.255,255.255.0.0,{LeaseSeconds}" }
            : Options.Subnets.Select(subnet => $"--dhcp-range={subnet}.{Options.First},{subnet}.{Options.Last},255.255.255.0,{LeaseSeconds}"),
        .. Options.IgnoresClientIds ? new[] { "--dhcp-ignore-clid" } : [],
        $"--dhcp-leasefile={LeaseFile("leases")}", "--pid-file=", "-u", "root", "--log-dhcp", "--log-facility=-", "--dhcp-authoritative", "--no-ping",
    ]);
}
