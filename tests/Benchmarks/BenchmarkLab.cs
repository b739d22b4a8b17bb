using System.Diagnostics;
using System.Globalization;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>A LAN with a real Kea that has addresses for everybody, and the real address service on a node.</summary>
internal sealed class BenchmarkLab : IAsyncDisposable
{
    /// <summary>Limits of the REST API out of the way: it is measured, not protected.</summary>
    private static readonly string[] _unlimited =
    [
        "--requests-per-second", "100000", "--request-burst", "100000", "--concurrent-requests", "10000", "--max-leases", "100000", "--log-level", "warn",
        // Else each new lease would wait 0.7 s for answers by ARP.
        "--probe", "off",
    ];

    private BenchmarkLab(LabNetwork network) => Network = network;

    public LabNetwork Network { get; }

    public DhcpServer Server { get; private set; } = null!;

    public AddressServiceProcess Service { get; private set; } = null!;

    /// <summary>Calls of the REST API with as little work on the caller's side as can be.</summary>
    public LeanHttpClient Http { get; private set; } = null!;

    /// <summary>The host beside the node, for perfdhcp.</summary>
    public LabHost Rival => Network["rival"];

    public static async Task<BenchmarkLab> StartAsync(TimeSpan lease, CancellationToken cancellationToken, params IReadOnlyList<string> arguments)
    {
        var lab = new BenchmarkLab(await LabNetwork.CreateAsync(cancellationToken));
        try
        {
            await lab.Network.AddHostAsync("router", 1, cancellationToken);
            await lab.Network.AddHostAsync("node1", 11, cancellationToken);
            await lab.Network.AddHostAsync("rival", 12, cancellationToken);
            lab.Server = DhcpServer.Create("kea", lab.Network, lab.Network["router"], new DhcpServerOptions { Lease = lease, IsLarge = true });
            await lab.Server.StartAsync(cancellationToken);
            lab.Service = await AddressServiceProcess.StartAsync(lab.Network, lab.Network["node1"], cancellationToken, [.. _unlimited, .. arguments]);
            lab.Http = new LeanHttpClient(lab.Network["node1"], lab.Service);
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    /// <summary>Leases for services of this name, several at a time, at a rate if one is given; the addresses.</summary>
    public async Task<string[]> AcquireAsync(string name, int count, int atOnce, CancellationToken cancellationToken, double perSecond = double.PositiveInfinity)
    {
        string[] addresses = new string[count];
        int next = -1;
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, Math.Min(atOnce, count)).Select(_ => Task.Run(
            async () =>
            {
                using var connection = await Http.ConnectAsync(cancellationToken);
                for (int i = Interlocked.Increment(ref next); i < count; i = Interlocked.Increment(ref next))
                {
                    var early = TimeSpan.FromSeconds(i / perSecond) - watch.Elapsed;
                    if (early > TimeSpan.FromMilliseconds(1))
                        await Task.Delay(early, TimeProvider.System, cancellationToken);
                    addresses[i] = await connection.AcquireAsync($"bench/{name}{i.ToString(CultureInfo.InvariantCulture)}", cancellationToken);
                }
            },
            cancellationToken)));
        return addresses;
    }

    /// <summary>How often something happened to leases, by the service's own count.</summary>
    public async Task<long> TotalAsync(string name, CancellationToken cancellationToken) =>
        (await Service.StatusAsync(cancellationToken)).Counters.GetValueOrDefault(name);

    public async ValueTask DisposeAsync()
    {
        Service?.Dispose();
        await Network.DisposeAsync();
    }
}
