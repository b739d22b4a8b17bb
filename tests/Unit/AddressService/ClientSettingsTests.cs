using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Settings of the DHCP clients, and what they do.</summary>
public sealed class ClientSettingsTests
{
    [Fact]
    public void Every_setting_of_the_clients_can_be_set()
    {
        var options = Read(
            "--address-change", "refuse", "--offer-window", "0.5", "--preferred-servers", "10.20.0.1,10.20.0.2", "--renew-form", "ciaddr", "--broadcast", "false",
            "--min-lease", "60", "--nak-grace", "0", "--nak-backoff", "30", "--retransmit-after", "1", "--request-tries", "3", "--reboot-retransmit-after", "0.5",
            "--reboot-tries", "2", "--infinite-recheck", "3600", "--offer-without-lease-time", "true", "--probe", "strict", "--probe-count", "5");
        var dhcp = options.Interface.Dhcp;
        Assert.Equal(
            DhcpClientSettings.Default with
            {
                AddressChange = DhcpAddressChange.Refuse,
                OfferWindow = TimeSpan.FromSeconds(0.5),
                PreferredServers = dhcp.PreferredServers,
                RenewForm = DhcpRenewForm.ClientAddress,
                Broadcast = false,
                MinimumLease = TimeSpan.FromSeconds(60),
                NakGrace = TimeSpan.Zero,
                NakBackoffLimit = TimeSpan.FromSeconds(30),
                RetransmitAfter = TimeSpan.FromSeconds(1),
                RequestTries = 3,
                RebootRetransmitAfter = TimeSpan.FromSeconds(0.5),
                RebootTries = 2,
                InfiniteRecheck = TimeSpan.FromHours(1),
                RequireLeaseInOffer = false,
            },
            dhcp);
        Assert.Equal(["10.20.0.1", "10.20.0.2"], dhcp.PreferredServers.Select(s => s.ToString()));
        Assert.Equal(ArpProbeTiming.Strict with { Count = 5 }, options.Interface.ProbeTiming);
        // All that a client can be told is told by a setting, or follows from one.
        string[] others = [nameof(DhcpClientSettings.AllowedServers), nameof(DhcpClientSettings.RequestedLeaseSeconds), nameof(DhcpClientSettings.ReleaseDelay), nameof(DhcpClientSettings.Probe), nameof(DhcpClientSettings.IsRelayed)];
        Assert.All(
            typeof(DhcpClientSettings).GetProperties().Where(p => p.CanWrite && !others.Contains(p.Name, StringComparer.Ordinal)),
            p => Assert.NotEqual(p.GetValue(DhcpClientSettings.Default), p.GetValue(dhcp)));
    }

    [Fact]
    public void Addresses_are_probed_unless_that_is_turned_off()
    {
        Assert.Equal(ArpProbeTiming.Fast, Read().Interface.ProbeTiming);
        Assert.Null(Read("--probe", "off").Interface.ProbeTiming);
    }

    [Fact]
    public void Extra_options_are_read_in_every_kind()
    {
        var options = Read("--dhcp-options", "77=text:lb 1, 42=ips:10.0.0.1 10.0.0.2,43=hex:01:04c0A80001,23=uint8:64,26=uint16:1500,24=uint32:600,220=hex:").Interface.ExtraOptions;
        Assert.Equal(
            ["77=6c622031", "42=0a0000010a000002", "43=0104c0a80001", "23=40", "26=05dc", "24=00000258", "220="],
            LeaseRecords.Write(options)!);
        Assert.Empty(Read("--dhcp-options", "none").Interface.ExtraOptions);
    }

    [Fact]
    public void Every_fault_of_the_extra_options_is_named_at_once()
    {
        string faults = Faults("--dhcp-options", "12=text:web,53=uint8:1,61=hex:00,77=text:a,77=text:b,x=text:a,78,79=hex:0,80=text:,23=uint8:256,42=ips:10.0.0,255=hex:00");
        Assert.Contains("option 12 (host name) follows from the service", faults, StringComparison.Ordinal);
        Assert.Contains("option 53 (message type) is the client's own", faults, StringComparison.Ordinal);
        Assert.Contains("option 61 (client identifier) is the lease's identity", faults, StringComparison.Ordinal);
        Assert.Contains("option 77 is there twice", faults, StringComparison.Ordinal);
        Assert.Contains("'x=text:a' is not CODE=KIND:VALUE", faults, StringComparison.Ordinal);
        Assert.Contains("'78' is not CODE=KIND:VALUE", faults, StringComparison.Ordinal);
        Assert.Contains("option 79: 'hex:0' is none of", faults, StringComparison.Ordinal);
        Assert.Contains("option 80 (rapid commit) changes the exchange", faults, StringComparison.Ordinal);
        Assert.Contains("option 23: 'uint8:256' is none of", faults, StringComparison.Ordinal);
        Assert.Contains("option 42: 'ips:10.0.0' is none of", faults, StringComparison.Ordinal);
        Assert.Contains("option codes go from 1 to 254", faults, StringComparison.Ordinal);
    }

    [Fact]
    public void What_does_not_fit_together_is_refused()
    {
        Assert.Contains("--domain goes with a --hostname", Faults("--domain", "lab.example", "--hostname", "none"), StringComparison.Ordinal);
        Assert.Contains("takes an --offer-window", Faults("--preferred-servers", "10.0.0.1"), StringComparison.Ordinal);
        Assert.Contains("leave out ", Faults("--dhcp-options", $"77=hex:{new string('0', 400)}"), StringComparison.Ordinal);
        Assert.Contains("--domain is longer than 189", Faults("--domain", string.Join('.', Enumerable.Repeat(new string('a', 60), 4))), StringComparison.Ordinal);
        Assert.Contains("is not a domain", Faults("--domain", "lab_example"), StringComparison.Ordinal);
        Assert.Contains("has neither {name} nor {service}", Faults("--hostname", "web"), StringComparison.Ordinal);
        Assert.Contains("is not made of", Faults("--hostname", "{name}.{namespace}"), StringComparison.Ordinal);
        Assert.Contains("is not made of", Faults("--hostname", "{name}-{uid}"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{name}-{namespace}", "web-demo")]
    [InlineData("{service}", "demo-web")]
    [InlineData("LB-{name}", "lb-web")]
    public void Case45_names_follow_from_the_template(string template, string name) => Assert.Equal(name, HostNameTemplate.Name(template, "demo/web"));

    [Fact]
    public void Case46_name_domain_and_options_are_kept_for_the_life_of_a_lease()
    {
        var options = new AddressServiceOptions();
        (options.Interface.Domain, options.Interface.ExtraOptions) = ("lab.example", [new((DhcpOptionCode)77, "lb"u8.ToArray())]);
        using var lab = new LeaseLab(options);
        Assert.Equal("web-demo.lab.example", lab.Lease("demo/web").Hostname);
        // What is configured later is for later leases.
        (options.Interface.Domain, options.Interface.HostName, options.Interface.ExtraOptions) = (null, null, []);
        lab.Restart();
        lab.Advance(TimeSpan.FromMinutes(10));
        Assert.Null(lab.Lease("demo/other").Hostname);
        var mac = DynamicLb.Networking.Addresses.MacAddress.Parse(lab.Leases.Single(l => l.Service == "demo/web").Mac);
        var ours = lab.Sent.Select(s => s.Message).Where(m => m.HardwareAddress == mac).ToList();
        Assert.True(ours.Count > 3);
        Assert.All(ours, m => Assert.True(m.Options.Contains(DhcpOptionCode.Fqdn) && m.Options.Contains((DhcpOptionCode)77) && !m.Options.Contains(DhcpOptionCode.HostName)));
        Assert.All(lab.Sent.Select(s => s.Message).Except(ours), m => Assert.False(m.Options.Contains(DhcpOptionCode.Fqdn) || m.Options.Contains((DhcpOptionCode)77)));
    }

    [Theory]
    [InlineData("accept", "10.77.0.150", "changed")]
    [InlineData("refuse", "10.77.0.100", "recovered")]
    public void Case44_an_address_that_a_renewal_brings_is_taken_or_given_back_as_configured(string policy, string address, string told)
    {
        using var lab = new LeaseLab(Read("--address-change", policy));
        lab.Lease("demo/web");
        var other = DynamicLb.Networking.Addresses.IPv4Address.Parse("10.77.0.150");
        lab.Server.Script = (message, regular) =>
            message.Type == DhcpMessageType.Request && !message.Options.Contains(DhcpOptionCode.ServerId) ? [lab.Server.Reply(message, DhcpMessageType.Ack, other)] : null;
        lab.Advance(TimeSpan.FromSeconds(310));
        Assert.Equal(("bound", address), (lab.Leases[0].State, lab.Leases[0].Ip));
        Assert.Equal(1, lab.Keeper.Status().Counters[$"lease.{told}"]);
        var releases = lab.Sent.Where(s => s.Message.Type == DhcpMessageType.Release).ToList();
        Assert.Equal(policy == "refuse" ? 2 : 0, releases.Count);
        Assert.All(releases, r => Assert.Equal(other, r.Message.ClientAddress));
        Assert.DoesNotContain("lease.lost", lab.Keeper.Status().Counters.Keys);
    }

    private static AddressServiceOptions Read(params string[] arguments)
    {
        var result = OptionSources.Read(["--allow-anonymous", .. arguments], _ => null);
        return result.Options ?? throw new InvalidOperationException(result.Text);
    }

    private static string Faults(params string[] arguments) => OptionSources.Read(["--allow-anonymous", .. arguments], _ => null).Text!;
}
