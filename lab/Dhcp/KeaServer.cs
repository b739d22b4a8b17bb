using System.Globalization;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Dhcp;

internal sealed class KeaServer(LabNetwork network, LabHost host, DhcpServerOptions options) : DhcpServer(network, host, options)
{
    public override string Software => "Kea";

    public override Task<IReadOnlyList<DhcpLease>> LeasesAsync(CancellationToken cancellationToken)
    {
        var leases = new Dictionary<string, DhcpLease>(StringComparer.Ordinal);

        // address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,...: appended, a lifetime of 0 frees.
        foreach (var fields in ReadShared(Path.Combine(Folder, "leases.csv")).Split('\n').Skip(1).Select(l => l.Split(',')).Where(f => f.Length >= 10))
        {
            leases[fields[0]] = new DhcpLease(fields[0], fields[1], fields[8], fields[3] != "0" && fields[9] == "0",
                DateTimeOffset.FromUnixTimeSeconds(long.Parse(fields[4], CultureInfo.InvariantCulture)));
        }

        return Task.FromResult<IReadOnlyList<DhcpLease>>([.. leases.Values]);
    }

    private protected override (string Program, string[] Arguments) Prepare()
    {
        var configuration = Path.Combine(Folder, "kea.json");
        var subnets = Options.IsLarge
            ? [("10.20.0.0/16", "10.20.16.0 - 10.20.127.255")]
            : Options.Subnets.Select(each => ($"{each}.0/24", $"{each}.{Options.First} - {each}.{Options.Last}"));
        File.WriteAllText(configuration, $$"""
            { "Dhcp4": {
              "interfaces-config": { "interfaces": ["{{Options.Interface}}"] },
              "lease-database": { "type": "memfile", "persist": true, "name": "{{Path.Combine(Folder, "leases.csv")}}", "lfc-interval": 0 },
              "valid-lifetime": {{LeaseSeconds}}, "authoritative": true,
              "match-client-id": {{(Options.IgnoresClientIds ? "false" : "true")}},
              "subnet4": [ {{string.Join(", ", subnets.Select((each, i) => $$"""{ "id": {{i + 1}}, "subnet": "{{each.Item1}}", "pools": [ { "pool": "{{each.Item2}}" } ] }"""))}} ],
              "loggers": [ { "name": "kea-dhcp4", "severity": "WARN", "output_options": [ { "output": "stderr" } ] } ]
            } }
            """);
        return ("env", [$"KEA_PIDFILE_DIR={Folder}", "KEA_LOCKFILE_DIR=none", CopyOf("/usr/sbin/kea-dhcp4"), "-c", configuration]);
    }
}
