using System.Globalization;
using System.Text;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>What servers make of the names and options that are sent.</summary>
public sealed class NameTests
{
    private static readonly string Long = new('a', 63);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case45_dnsmasq_stores_the_name_of_a_service_whose_names_have_63_characters_each()
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq");
        var first = await lab.Service.AcquireAsync($"{Long}/{Long}", Cancelled);
        var second = await lab.Service.AcquireAsync($"{Long[..62]}1/{Long}", Cancelled);
        Assert.NotEqual(first.Hostname, second.Hostname);
        foreach (var answer in new[] { first, second })
        {
            Assert.Equal(63, answer.Hostname!.Length);
            var entry = await Wait.ForAsync(() => lab.Server.LeaseOfAsync(answer.Ip, Cancelled), TimeSpan.FromSeconds(60), "the server's entry", Cancelled);
            Assert.Equal(answer.Hostname, entry.HostName);
        }
    }

    [Theory]
    [InlineData("kea")]
    [InlineData("dnsmasq")]
    public async Task Case46_with_a_domain_the_FQDN_is_sent_and_no_host_name_in_any_message(string kind)
    {
        // dnsmasq has no shorter leases: there, the lease is renewed by a restart.
        await using var lab = await AddressLab.StartAsync(
            kind, new DhcpServerOptions { Lease = TimeSpan.FromSeconds(kind == "kea" ? 12 : 120) }, "--domain", "lab.example", "--hostname", "{name}");
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        var answer = await lab.Service.AcquireAsync("demo/svc9", Cancelled);
        Assert.Equal("svc9.lab.example", answer.Hostname);
        if (kind == "dnsmasq")
        {
            await lab.Service.KillAsync();
            await lab.Service.StartAgainAsync(Cancelled);
        }
        await Wait.UntilAsync(() => Task.FromResult(capture.Count(DhcpMessageType.Request) > 1), TimeSpan.FromSeconds(60), "another REQUEST", Cancelled);
        var entry = await Wait.ForAsync(() => lab.Server.LeaseOfAsync(answer.Ip, Cancelled), TimeSpan.FromSeconds(60), "the server's entry", Cancelled);
        Assert.StartsWith("svc9", entry.HostName, StringComparison.Ordinal);
        Assert.Equal(200, await lab.Service.ReleaseAsync(answer.Ip, Cancelled));
        await capture.FirstAsync(DhcpMessageType.Release);

        var ours = capture.Frames().Where(f => !f.Message.IsReply).ToList();
        Assert.All(ours, f => Assert.False(f.Message.Options.Contains(DhcpOptionCode.HostName)));
        Assert.All(ours.Where(f => f.Type is DhcpMessageType.Discover or DhcpMessageType.Request), f =>
        {
            Assert.True(f.Message.Options.TryGet(DhcpOptionCode.Fqdn, out var name));
            Assert.Equal("0500000473766339036C6162076578616D706C6500", Convert.ToHexString(name));
        });
    }

    [Fact]
    public async Task Options_by_configuration_are_sent_in_every_question()
    {
        await using var lab = await AddressLab.StartAsync("isc", new DhcpServerOptions { Lease = TimeSpan.FromSeconds(12) }, "--dhcp-options", "77=text:lb,151=hex:0a0b,152=ips:10.0.0.1 10.0.0.2");
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        await lab.Service.AcquireAsync("demo/web", Cancelled);
        await Wait.UntilAsync(() => Task.FromResult(capture.Count(DhcpMessageType.Request) > 1), TimeSpan.FromSeconds(60), "a renewal", Cancelled);
        Assert.All(capture.Frames().Where(f => !f.Message.IsReply), f =>
        {
            Assert.Equal(Encoding.ASCII.GetBytes("lb"), f.Message.Options.TryGet((DhcpOptionCode)77, out var user) ? user.ToArray() : []);
            Assert.Equal([10, 11], f.Message.Options.TryGet((DhcpOptionCode)151, out var bytes) ? bytes.ToArray() : []);
            Assert.Equal("0A0000010A000002", f.Message.Options.TryGet((DhcpOptionCode)152, out var ips) ? Convert.ToHexString(ips) : string.Create(CultureInfo.InvariantCulture, $"{f.Type}"));
        });
    }
}
