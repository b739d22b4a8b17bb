using System.Buffers.Binary;
using System.Net;
using System.Text;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Dhcp;

internal sealed class UdhcpdServer(LabNetwork network, LabHost host, DhcpServerOptions options) : DhcpServer(network, host, options)
{
    private const int HeaderSize = 8;
    private const int RecordSize = 36;

    public override string Software => "udhcpd";

    public override async Task<IReadOnlyList<DhcpLease>> LeasesAsync(CancellationToken cancellationToken)
    {
        var path = Path.Combine(Folder, "leases");
        if (Process is { HasExited: false })
        {
            // It writes its table when told. The file goes away first, so that its return is the sign; it is written in one go.
            File.Delete(path);
            Process.Signal("USR1");
            await Wait.UntilAsync(() => Task.FromResult(File.Exists(path) && new FileInfo(path).Length >= HeaderSize), TimeSpan.FromSeconds(60), "udhcpd's lease file", cancellationToken);
        }

        var table = await File.ReadAllBytesAsync(path, cancellationToken);
        var leases = new List<DhcpLease>();
        if (table.Length < HeaderSize)
        {
            return leases;
        }

        var written = DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadInt64BigEndian(table));
        for (var at = HeaderSize; at + RecordSize <= table.Length; at += RecordSize)
        {
            var record = table.AsSpan(at, RecordSize);
            var remaining = BinaryPrimitives.ReadUInt32BigEndian(record);
            var mac = string.Join(':', record.Slice(8, 6).ToArray().Select(b => $"{b:x2}"));
            leases.Add(new DhcpLease(new IPAddress(record.Slice(4, 4)).ToString(), mac, Encoding.ASCII.GetString(record.Slice(14, 20)).TrimEnd('\0'),
                remaining > 0, written + TimeSpan.FromSeconds(remaining)));
        }

        return leases;
    }

    private protected override (string Program, string[] Arguments) Prepare()
    {
        var configuration = Path.Combine(Folder, "udhcpd.conf");
        File.WriteAllText(configuration, $"""
            start {First}
            end {Last}
            max_leases 254
            interface eth0
            lease_file {LeaseFile("leases")}
            pidfile {Path.Combine(Folder, "pid")}
            opt lease {LeaseSeconds}
            opt subnet 255.255.255.0
            opt router 10.20.0.1

            """);
        return ("udhcpd", ["-f", "-a", "0", configuration]);
    }
}
