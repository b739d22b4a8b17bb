using System.Globalization;
using System.Security.Cryptography;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>Addresses of the range that other hosts have; one class for each server, so that they run beside each other.</summary>
public abstract class TakenAddressTests(string kind, string transport = "nic")
{
    private const string Taken = "10.20.0.66";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Fault", "A17")]
    public async Task Case26_an_address_that_another_host_has_is_declined_and_avoided()
    {
        await using var lab = await AddressLab.StartAsync(kind, new DhcpServerOptions { First = 66, Last = 69 }, "--transport", transport);
        var host = await lab.Network.AddHostAsync("static", 66, Cancelled);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        // The servers differ in which address they give first; they honour a wish.
        var answer = await lab.Service.AcquireAsync(new AcquireAddressRequest("demo/web", Ip: Taken), Cancelled);
        Assert.NotEqual(Taken, answer.Ip);
        var decline = await capture.FirstAsync(DhcpMessageType.Decline);
        Assert.Equal(Taken, decline.Message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var declined) ? declined.ToString() : "");
        Assert.Equal($"address in use by {await host.MacAsync(Cancelled)}", decline.Message.Options.GetText(DhcpOptionCode.Message), ignoreCase: true);
        // udhcpd notes it as held by nobody.
        Assert.Equal("00:00:00:00:00:00", (await lab.Server.LeaseOfAsync(Taken, Cancelled))?.Mac ?? "00:00:00:00:00:00");
        if (kind == "isc")
            Assert.Contains("binding state abandoned", await File.ReadAllTextAsync(Path.Combine(lab.Server.Folder, "leases"), Cancelled), StringComparison.Ordinal);

        // Whoever asks next is not led there, be it that the server has forgotten. Ten seconds pass after a DECLINE (RFC 2131 section 3.1): several take longer than a call waits.
        var next = await Task.WhenAll(Enumerable.Range(0, 2).Select(i => lab.Service.AcquirePatientlyAsync(new AcquireAddressRequest($"demo/s{i}", Ip: Taken), Cancelled)));
        Assert.DoesNotContain(Taken, next.Select(n => n.Ip));
        var status = await lab.Service.StatusAsync(Cancelled);
        // dnsmasq forgets, looks from the hash of a MAC on for the first address that is free, and begins one further on after each DECLINE. So for the second Service of
        // the four addresses it may come to the taken one twice, for the third, when two others are in use, three times.
        Assert.InRange(status.Counters["lease.declined"], 1, kind == "dnsmasq" ? 1 + 2 + 3 : 1);
        Assert.All(status.Allocations, l => Assert.Equal("bound", l.State));
    }
}

public sealed class DnsmasqTakenAddressTests() : TakenAddressTests("dnsmasq");

public sealed class IscTakenAddressTests() : TakenAddressTests("isc");

public sealed class KeaTakenAddressTests() : TakenAddressTests("kea");

public sealed class KeaFullClientTakenAddressTests() : TakenAddressTests("kea", "chaddr");

public sealed class UdhcpdTakenAddressTests() : TakenAddressTests("udhcpd");

/// <summary>When addresses are looked for, and when not.</summary>
public sealed class ConflictTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case27_our_own_node_that_answers_for_an_address_declines_nothing_at_restarts_and_losses_of_the_store()
    {
        string key = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(key, RandomNumberGenerator.GetHexString(64, lowercase: true), Cancelled);
            // Long enough for a restart on a busy machine: one that has ended is sought anew, and then looked for.
            await using var lab = await AddressLab.StartAsync("kea", new DhcpServerOptions { Lease = TimeSpan.FromSeconds(30) }, "--mac-key", "name", "--mac-key-file", key);
            var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
            var speaker = await lab.Network.AddHostAsync("node2", 12, Cancelled);
            await speaker.Namespace.IpAsync($"address add {answer.Ip}/32 dev eth0", Cancelled);
            string mac = await speaker.MacAsync(Cancelled);
            await Wait.UntilAsync(
                async () => await lab.Network["router"].ResolveAsync(answer.Ip, Cancelled) == mac, TimeSpan.FromSeconds(60), $"{mac} to answer for {answer.Ip}", Cancelled);
            var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);

            await lab.Service.KillAsync();
            await lab.Service.StartAgainAsync(Cancelled);
            var lease = await lab.WaitForLeaseAsync("demo/web", l => l.Verified, 60, "the confirmation");
            Assert.Equal(answer.Ip, lease.Ip);
            // A renewal, too.
            await lab.WaitForLeaseAsync("demo/web", l => l.ValidUntil > lease.ValidUntil, 60, "a renewal");

            // As the controller asks when it knows the address and the address service does not any more.
            await lab.Service.LoseStoreAsync();
            await lab.Service.StartAgainAsync(Cancelled);
            var again = await lab.Service.AcquireAsync(new AcquireAddressRequest("demo/web", Ip: answer.Ip, Held: answer.Ip), Cancelled);
            Assert.Equal(answer.Ip, again.Ip);
            Assert.Equal(0, capture.Count(DhcpMessageType.Decline));
        }
        finally
        {
            File.Delete(key);
        }
    }

    [Fact]
    public async Task A_host_that_takes_a_leased_address_later_is_told_with_its_MAC_and_a_speaker_is_not()
    {
        const string Speaker = "02:00:00:00:00:77";
        await using var lab = await AddressLab.StartAsync(
            "kea", null, static lab => lab.Network.AddHostAsync("node2", 12, Cancelled), "--speaker-macs", Speaker);
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        await UseAsync("node2", Speaker);
        Assert.Null((await lab.LeaseAsync("demo/web"))!.LastError);
        await lab.Network.AddHostAsync("intruder", 13, Cancelled);
        await UseAsync("intruder", "02:00:00:00:00:66");
        var lease = await lab.WaitForLeaseAsync("demo/web", l => l.LastError is not null, 60, "the conflict");
        Assert.Equal(("bound", $"{answer.Ip} is used by 02:00:00:00:00:66, too"), (lease.State, lease.LastError));
        string history = await lab.Service.Http.GetStringAsync(new Uri($"/v1/leases/{answer.Ip}", UriKind.Relative), Cancelled);
        Assert.Contains("\"type\":\"conflict\"", history, StringComparison.Ordinal);
        Assert.Equal(1, (await lab.Service.StatusAsync(Cancelled)).Counters["lease.conflict"]);

        // Announces it, as a host does that comes up with an address.
        async Task UseAsync(string host, string mac)
        {
            var space = lab.Network[host].Namespace;
            await space.IpAsync($"link set eth0 address {mac}", Cancelled);
            await space.IpAsync($"address add {answer.Ip}/24 dev eth0", Cancelled);
            await space.RunAsync("sh", ["-c", $"arping -U -c 1 -w 2 -I eth0 -s {answer.Ip} {answer.Ip} || test $? = 1"], Cancelled);
        }
    }

    [Theory]
    [InlineData("on", 0.7, 3)]
    [InlineData("off", 0, 0)]
    public async Task A_lease_waits_for_its_probes(string probe, double seconds, int probes)
    {
        await using var lab = await AddressLab.StartAsync("kea", null, "--probe", probe);
        long begun = TimeProvider.System.GetTimestamp();
        await lab.Service.AcquireAsync("demo/web", Cancelled);
        Assert.InRange(TimeProvider.System.GetElapsedTime(begun).TotalSeconds, seconds, 30);
        string metrics = await lab.Service.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative), Cancelled);
        string? line = metrics.Split('\n').FirstOrDefault(l => l.StartsWith("dynamiclb_address_service_arp_probes_total", StringComparison.Ordinal));
        Assert.Equal(probes, line is null ? 0 : double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
    }
}
