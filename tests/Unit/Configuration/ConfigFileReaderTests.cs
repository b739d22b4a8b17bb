using System.Net;
using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Tests.Unit.Configuration;

public class ConfigFileReaderTests
{
    [Fact]
    public void A_file_with_pools_and_address_services_is_read_in_order()
    {
        var result = ConfigFileReader.Read("""
            address-pools:
            - name: static
              protocol: layer2
              addresses: [10.0.0.9/24, 10.1.0.5-10.1.0.9, "fd00::/120"]
              auto-assign: false
              avoid-buggy-ips: true
            address-services:
            - name: dhcp
              url: http://dhcp-address-service
              protocol: layer2
              cidrs: [10.20.0.0/24]
              token-secret: {name: secret, key: t}
              timeout: 1m30s
            """);

        Assert.Empty(result.Faults);
        var pool = Assert.Single(result.Config!.AddressPools);
        Assert.False(pool.AutoAssign);
        Assert.True(pool.AvoidBuggyIPs);
        Assert.Equal("10.0.0.0-10.0.0.255", pool.Ranges[0].ToString());
        Assert.Equal("fd00::-fd00::ff", pool.Ranges[2].ToString());
        var service = Assert.Single(result.Config.AddressServices);
        Assert.True(service.AutoAssign);
        Assert.Equal(new SecretKeyReference("secret", "t"), service.TokenSecret);
        Assert.Equal(TimeSpan.FromSeconds(90), service.Timeout);
        Assert.True(service.MayContain(IPAddress.Parse("10.20.0.7")));
        Assert.False(service.MayContain(IPAddress.Parse("10.21.0.7")));
        Assert.Same(pool, result.Config.Find("static"));
        Assert.Same(service, result.Config.Find("dhcp"));
    }

    [Theory]
    [InlineData("{protocol: layer2, addresses: [10.0.0.0/24]}", "name", "is required")]
    [InlineData("{name: 'a b', protocol: layer2, addresses: [10.0.0.0/24]}", "name", "other characters")]
    [InlineData("{name: a, addresses: [10.0.0.0/24]}", "protocol", "is required")]
    [InlineData("{name: a, protocol: l2, addresses: [10.0.0.0/24]}", "protocol", "neither layer2 nor bgp")]
    [InlineData("{name: a, protocol: layer2}", "addresses", "at least one")]
    [InlineData("{name: a, protocol: layer2, addresses: 10.0.0.0/24}", "addresses", "must be a list")]
    [InlineData("{name: a, protocol: layer2, addresses: [10.0.0.1]}", "addresses", "10.0.0.1/32")]
    [InlineData("{name: a, protocol: layer2, addresses: [10.0.0.0/33]}", "addresses", "prefix length")]
    [InlineData("{name: a, protocol: layer2, addresses: [10.0.0.0/-1]}", "addresses", "not an IP address")]
    [InlineData("{name: a, protocol: layer2, addresses: [10.1/16]}", "addresses", "not a CIDR")]
    [InlineData("{name: a, protocol: layer2, addresses: [ten]}", "addresses", "neither a CIDR nor a range")]
    [InlineData("{name: a, protocol: layer2, addresses: [10.0.0.9-10.0.0.5]}", "addresses", "ends before it begins")]
    [InlineData("{name: a, protocol: layer2, addresses: ['10.0.0.1-fd00::1']}", "addresses", "different address families")]
    [InlineData("{name: a, protocol: layer2, addresses: [10.0.0.0/24, 10.0.0.128/25]}", "addresses", "overlaps")]
    [InlineData("{name: a, protocol: layer2, addresses: [10.0.0.0/24], auto-assign: maybe}", "auto-assign", "neither true nor false")]
    [InlineData("{name: a, protocol: layer2, addresses: [10.0.0.0/24], auto-asign: true}", "auto-asign", "unknown field")]
    public void A_bad_pool_is_refused_with_its_field(string pool, string field, string reason)
    {
        var result = ConfigFileReader.Read($"address-pools: [{pool}]");

        Assert.False(result.IsGood);
        Assert.Null(result.Config!.Find("a"));
        Assert.Contains(result.Faults, fault => fault.Field == field && fault.Reason.Contains(reason, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{name: a, protocol: layer2}", "url", "is required")]
    [InlineData("{name: a, protocol: layer2, url: ftp://x}", "url", "not an http")]
    [InlineData("{name: a, protocol: layer2, url: http://x, cidrs: [x]}", "cidrs", "neither a CIDR")]
    [InlineData("{name: a, protocol: layer2, url: http://x, token-secret: {key: k}}", "token-secret.name", "is required")]
    [InlineData("{name: a, protocol: layer2, url: http://x, token-secret: {name: n}, token-file: /f}", "token-secret", "not together")]
    [InlineData("{name: a, protocol: layer2, url: http://x, ca-file: /ca}", "ca-file", "not https")]
    [InlineData("{name: a, protocol: layer2, url: https://x, client-certificate-file: /c}", "client-certificate-file", "go together")]
    [InlineData("{name: a, protocol: layer2, url: https://x, client-key-file: /k}", "client-key-file", "go together")]
    [InlineData("{name: a, protocol: layer2, url: http://x, timeout: soon}", "timeout", "not a duration")]
    [InlineData("{name: a, protocol: layer2, url: http://x, timeout: 11m}", "timeout", "not between")]
    [InlineData("{name: a, protocol: layer2, url: http://x, families: [ipv4, ipv5]}", "families", "neither ipv4 nor ipv6")]
    [InlineData("{name: a, protocol: layer2, url: http://x, interface: 'a b'}", "interface", "not the name")]
    [InlineData("{name: a, protocol: layer2, url: http://x, concurrency: 0}", "concurrency", "not between 1 and 256")]
    [InlineData("{name: a, protocol: layer2, url: http://x, concurrency: 257}", "concurrency", "not between 1 and 256")]
    [InlineData("{name: a, protocol: layer2, url: http://x, concurrency: many}", "concurrency", "")]
    [InlineData("{name: a, protocol: layer2, url: http://x, on-lease-change: ignore}", "on-lease-change", "neither Adopt nor Hold nor Fail")]
    [InlineData("{name: a, protocol: layer2, url: http://x, announced-mac: both}", "announced-mac", "neither Node nor Lease")]
    [InlineData("{name: a, protocol: layer2, url: http://x, announced-mac: '1'}", "announced-mac", "neither Node nor Lease")]
    [InlineData("{name: a, protocol: layer2, url: http://x, on-lease-change: '1'}", "on-lease-change", "neither Adopt nor Hold nor Fail")]
    [InlineData("{name: a, protocol: layer2, url: http://x, on-lease-change: 'Adopt,Fail'}", "on-lease-change", "neither Adopt nor Hold nor Fail")]
    public void A_bad_address_service_is_refused_with_its_field(string service, string field, string reason)
    {
        var result = ConfigFileReader.Read($"address-services: [{service}]");

        Assert.False(result.IsGood);
        Assert.Null(result.Config!.Find("a"));
        Assert.Contains(result.Faults, fault => fault.Field == field && fault.Reason.Contains(reason, StringComparison.Ordinal));
    }

    [Fact]
    public void All_faults_are_listed_at_once_with_object_and_line()
    {
        var result = ConfigFileReader.Read("""
            address-pools:
            - name: one
              protocol: layer2
              addresses: [10.0.0.0/24]
            - name: one
              protocol: none
              addresses: [10.0.0.5-10.0.0.6, nonsense]
            surprise: 1
            """);

        Assert.Equal(["one"], result.Config!.AddressPools.Select(static pool => pool.Name));
        Assert.Equal(5, result.Faults.Count);
        Assert.Contains(result.Faults, fault => fault is { Object: "address-pools[1] 'one'", Field: "protocol", Line: 6 });
        Assert.Contains(result.Faults, fault => fault is { Object: "", Field: "surprise", Line: 8 });
    }

    [Fact]
    public void Pools_and_address_services_share_one_space_of_names()
    {
        var result = ConfigFileReader.Read("""
            address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]
            address-services: [{name: a, protocol: layer2, url: http://x}]
            """);

        Assert.Contains(result.Faults, static fault => fault.Field == "name" && fault.Reason.Contains("used twice", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("")]
    [InlineData("# nothing\n")]
    [InlineData("address-pools: []\n")]
    public void An_empty_file_is_a_configuration_that_gives_nothing(string yaml)
    {
        Assert.Empty(ConfigFileReader.Read(yaml).Config!.AddressPools);
    }

    [Theory]
    [InlineData("- a\n- b\n")]
    [InlineData("a: [1\n")]
    [InlineData("address-pools: {a: b}\n")]
    public void What_is_not_a_configuration_is_refused(string yaml)
    {
        Assert.Null(ConfigFileReader.Read(yaml).Config);
    }

    [Fact]
    public void Peers_have_the_fields_of_their_resource()
    {
        var result = ConfigFileReader.Read(
            "peers:\n- {my-asn: 1, local-asn: 2, dynamic-asn: external, interface: eth0, connect-time: 5s, password-secret: s, enable-graceful-restart: true, vrf: red, disable-mp: true}\n");

        Assert.Empty(result.Faults);
        Assert.Empty(result.Notices);
        var spec = Assert.Single(result.Config!.BgpPeers).Spec;
        Assert.Equal((2L, "external", "eth0", "s", true, "red", true), (spec.LocalASN, spec.DynamicASN, spec.Interface, spec.PasswordSecret!.Name, spec.EnableGracefulRestart, spec.Vrf, spec.DisableMP));
    }
}
