using System.Security.Cryptography;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>One side forgets all it knew; one class for each server, so that they run beside each other.</summary>
public abstract class RecoveryTests(string kind)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case29_without_the_store_a_service_gets_its_address_again_when_MACs_follow_from_names()
    {
        string key = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(key, RandomNumberGenerator.GetHexString(64, lowercase: true), Cancelled);
            await using var lab = await AddressLab.StartAsync(kind, null, "--mac-key", "name", "--mac-key-file", key);
            var before = await AcquireAsync(lab, "first");
            await lab.Service.LoseStoreAsync();
            await lab.Service.StartAgainAsync(Cancelled);
            Assert.Empty((await lab.Service.StatusAsync(Cancelled)).Allocations);
            var after = await AcquireAsync(lab, "second");
            Assert.Equal(before.Select(a => (a.Ip, a.Mac)), after.Select(a => (a.Ip, a.Mac)));
        }
        finally
        {
            File.Delete(key);
        }

        static Task<AcquireAddressAnswer[]> AcquireAsync(AddressLab lab, string uid) => Task.WhenAll(
            Enumerable.Range(0, 5).Select(i => lab.Service.AcquireAsync(new AcquireAddressRequest($"demo/s{i}", $"{uid}-{i}"), Cancelled)));
    }

    [Fact]
    public async Task Case30_a_server_that_lost_its_leases_grants_the_same_addresses_and_nothing_is_lost()
    {
        // dnsmasq has no short leases: there, the cable is pulled and the lease verified as at T1.
        bool isShort = kind != "dnsmasq";
        await using var lab = await AddressLab.StartAsync(kind, new DhcpServerOptions { Lease = TimeSpan.FromSeconds(isShort ? 20 : 120) });
        var before = await lab.Service.AcquireAllAsync(Enumerable.Range(0, 5).Select(static i => $"demo/s{i}"), Cancelled);
        await lab.Server.StartForgetfulAsync(Cancelled);
        if (!isShort)
        {
            await lab.Network.Switch.IpAsync("link set p-node1 down", Cancelled);
            await Wait.UntilAsync(
                () => Task.FromResult(lab.Service.Process!.LogTail(50).Contains("cannot carry DHCP now", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "the loss to be noticed", Cancelled);
            await lab.Network.Switch.IpAsync("link set p-node1 up", Cancelled);
        }
        foreach (var answer in before)
        {
            await Wait.ForAsync(() => lab.Server.LeaseOfAsync(answer.Ip, Cancelled), TimeSpan.FromSeconds(60), $"{answer.Ip} in the server's table", Cancelled);
        }
        for (int i = 0; i < before.Length; i++)
        {
            var lease = await lab.WaitForLeaseAsync($"demo/s{i}", l => l.State == "bound" && l.ValidUntil > before[i].ValidUntil, 60, "the lease");
            Assert.Equal(before[i].Ip, lease.Ip);
        }
        Assert.DoesNotContain("lease.lost", (await lab.Service.StatusAsync(Cancelled)).Counters.Keys);
        Assert.DoesNotContain("lease.changed", (await lab.Service.StatusAsync(Cancelled)).Counters.Keys);
    }
}

public sealed class DnsmasqRecoveryTests() : RecoveryTests("dnsmasq");

public sealed class IscRecoveryTests() : RecoveryTests("isc");

public sealed class KeaRecoveryTests() : RecoveryTests("kea")
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case12_a_lease_without_end_of_Kea_never_ends_and_is_confirmed_after_a_restart()
    {
        await using var lab = await AddressLab.StartAsync("kea", new DhcpServerOptions { Lease = TimeSpan.FromSeconds(uint.MaxValue) });
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["node1"]);
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        Assert.Null(answer.ValidUntil);
        var lease = (await lab.LeaseAsync("demo/web"))!;
        Assert.Equal(("bound", null, null, null, null), (lease.State, lease.LeaseSeconds, lease.T1, lease.T2, lease.ValidUntil));
        await lab.Service.KillAsync();
        await lab.Service.StartAgainAsync(Cancelled);
        lease = await lab.WaitForLeaseAsync("demo/web", l => l.Verified, 60, "the confirmation");
        Assert.Equal((answer.Ip, null), (lease.Ip, lease.ValidUntil));
        Assert.Equal(1, capture.Count(DhcpMessageType.Discover));
    }
}

public sealed class UdhcpdRecoveryTests() : RecoveryTests("udhcpd");
