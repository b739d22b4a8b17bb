using System.Diagnostics;
using System.Net;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Lab.Networks;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>Two replicas on two nodes, before a real DHCP server.</summary>
public sealed class ReplicaTests
{
    private const int Leases = 100;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Fault", "A16")]
    public async Task Case32_a_leader_that_is_killed_with_a_hundred_leases_is_replaced_and_every_lease_verified()
    {
        await using var lab = await ReplicaLab.StartAsync("kea", new DhcpServerOptions { First = 50, Last = 199 });
        var before = await lab.First.AcquireAllAsync(Enumerable.Range(0, Leases).Select(static i => $"demo/s{i}"), Cancelled);
        using (var refused = await lab.Second.Http.GetAsync("/v1/status", Cancelled))
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        var capture = await lab.Capture("all", "udp port 67");

        var watch = Stopwatch.StartNew();
        await lab.First.KillAsync();
        var after = await lab.VerifiedAsync(lab.Second, Leases);

        TestContext.Current.TestOutputHelper?.WriteLine($"all verified after {watch.Elapsed.TotalSeconds:F1} s");
        Assert.InRange(watch.Elapsed.TotalSeconds, 0, 15 + (Leases / 50.0));
        Assert.Equal(
            before.OrderBy(a => a.Id, StringComparer.Ordinal).Select(a => $"{a.Id} {a.Ip} {a.Mac}"),
            after.OrderBy(l => l.Id, StringComparer.Ordinal).Select(l => $"{l.Id} {l.Ip} {l.Mac}"));
        Assert.Equal(0, capture.Count("Release"));
        Assert.Equal(0, capture.Count("Discover"));
        Assert.Equal(Leases, (await lab.Server.LeasesAsync(Cancelled)).Count(l => l.Active));
    }

    [Fact]
    public async Task Case33_a_leader_that_was_paused_sends_nothing_after_it_wakes_and_releases_nothing()
    {
        await using var lab = await ReplicaLab.StartAsync("kea", new DhcpServerOptions { Lease = TimeSpan.FromSeconds(30) });
        var before = await lab.First.AcquireAllAsync(Enumerable.Range(0, 10).Select(static i => $"demo/s{i}"), Cancelled);
        lab.First.Process!.Signal("STOP");
        await lab.VerifiedAsync(lab.Second, 10);
        // Until it has renewals to send.
        await Task.Delay(TimeSpan.FromSeconds(8), TimeProvider.System, Cancelled);
        var capture = await lab.Capture("woken", $"ether src {await lab.Network["node1"].MacAsync(Cancelled)} and udp port 67");

        // It waits in the kernel until the process wakes.
        var release = lab.First.ReleaseAsync(before[0].Ip, Cancelled);
        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, Cancelled);
        lab.First.Process!.Signal("CONT");
        await lab.First.Process.WaitForExitAsync(Cancelled).WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancelled);
        int? status = await release.ContinueWith(static task => task.IsCompletedSuccessfully ? task.Result : (int?)null, TaskScheduler.Default);

        Assert.NotEqual(200, status);
        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, Cancelled);
        Assert.DoesNotContain("BOOTP/DHCP", await File.ReadAllTextAsync(capture.File, Cancelled), StringComparison.Ordinal);
        Assert.Equal(10, (await lab.Second.StatusAsync(Cancelled)).Allocations.Count);
    }

    private sealed class ReplicaLab : IAsyncDisposable
    {
        private ReplicaLab(LabNetwork network) => Network = network;

        public LabNetwork Network { get; }

        public DhcpServer Server { get; private set; } = null!;

        /// <summary>The leader at first.</summary>
        public AddressServiceProcess First { get; private set; } = null!;

        public AddressServiceProcess Second { get; private set; } = null!;

        public static async Task<ReplicaLab> StartAsync(string kind, DhcpServerOptions options)
        {
            Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
            var lab = new ReplicaLab(await LabNetwork.CreateAsync(Cancelled));
            try
            {
                var router = await lab.Network.AddHostAsync("router", 1, Cancelled);
                await lab.Network.AddHostAsync("node1", 11, Cancelled);
                await lab.Network.AddHostAsync("node2", 12, Cancelled);
                lab.Server = DhcpServer.Create(kind, lab.Network, router, options);
                await lab.Server.StartAsync(Cancelled);
                string config = Path.Combine(lab.Network.Folder, "kubeconfig");
                lab.Network.StartOurs(router, "kube-api", "KubeApi", "--listen", $"http://{router.ManagementAddress}:6443", "--kubeconfig-out", config);
                await Wait.UntilAsync(() => Task.FromResult(File.Exists(config)), TimeSpan.FromSeconds(60), "the API server", Cancelled);
                string[] arguments = ["--store", "kubernetes", "--kubeconfig", config, "--namespace", "default"];
                lab.First = await AddressServiceProcess.StartAsync(lab.Network, lab.Network["node1"], Cancelled, arguments);
                await Wait.UntilAsync(() => lab.LeadsAsync(lab.First), TimeSpan.FromSeconds(60), "the first replica to lead", Cancelled);
                lab.Second = await AddressServiceProcess.StartAsync(lab.Network, lab.Network["node2"], Cancelled, arguments);
                return lab;
            }
            catch
            {
                await lab.DisposeAsync();
                throw;
            }
        }

        /// <summary>Waits until a replica leads and the server has confirmed so many leases to it.</summary>
        public async Task<IReadOnlyList<LeaseAnswer>> VerifiedAsync(AddressServiceProcess replica, int count)
        {
            IReadOnlyList<LeaseAnswer> leases = [];
            await Wait.UntilAsync(
                async () => await LeadsAsync(replica) && (leases = (await replica.StatusAsync(Cancelled)).Allocations).Count(l => l.Verified) == count,
                TimeSpan.FromSeconds(60), "every lease to be verified", Cancelled);
            return leases;
        }

        public async Task<Capture> Capture(string name, string filter)
        {
            Network.Start(Network["router"], name, "tcpdump", ["-ni", "eth0", "-vvv", "-l", .. filter.Split(' ')]);
            string file = Path.Combine(Network.Folder, $"{name}.log");
            await Wait.UntilAsync(
                () => Task.FromResult(File.Exists(file) && File.ReadAllText(file).Contains("listening on", StringComparison.Ordinal)),
                TimeSpan.FromSeconds(60), "tcpdump", Cancelled);
            return new Capture(file);
        }

        public async ValueTask DisposeAsync()
        {
            First?.Dispose();
            Second?.Dispose();
            await Network.DisposeAsync();
        }

        private async Task<bool> LeadsAsync(AddressServiceProcess replica)
        {
            using var answer = await replica.Http.GetAsync("/v1/status", Cancelled);
            return answer.IsSuccessStatusCode;
        }
    }
}
