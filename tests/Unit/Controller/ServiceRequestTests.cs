using DynamicLb.Contracts;
using DynamicLb.Controller.Services;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>What a Service asks for, by its annotations and its spec (MetalLB, sections on annotations and on the fields that are honoured).</summary>
public sealed class ServiceRequestTests
{
    private const string Pool = Annotations.AddressPool, OldPool = Annotations.LegacyAddressPool;
    private const string Ips = Annotations.LoadBalancerIPs, OldIps = Annotations.LegacyLoadBalancerIPs;
    private const string Share = Annotations.AllowSharedIP, OldShare = Annotations.LegacyAllowSharedIP;

    [Theory]
    [InlineData("a", Pool, "a")]
    [InlineData("a", OldPool, "a")]
    [InlineData("a", Pool, "a", OldPool, "b")]
    // By its presence, even when it is empty.
    [InlineData(null, Pool, "", OldPool, "b")]
    [InlineData(null)]
    public void The_pool_is_that_of_the_new_annotation_then_of_the_old(string? expected, params string[] annotations) =>
        Assert.Equal(expected, ServiceRequest.Of(New(annotations)).Pool);

    [Theory]
    [InlineData("10.0.0.1", Ips, "10.0.0.1")]
    [InlineData("10.0.0.1", Ips, " 10.0.0.1 ")]
    [InlineData("10.0.0.1", OldIps, "10.0.0.1")]
    [InlineData("10.0.0.1", Ips, "10.0.0.1", OldIps, "10.0.0.2")]
    [InlineData("", Ips, "", OldIps, "10.0.0.2")]
    [InlineData("10.0.0.3", Ips, "", "spec", "10.0.0.3")]
    [InlineData("10.0.0.3", "spec", "10.0.0.3")]
    [InlineData("", "spec", "")]
    public void Addresses_are_those_of_the_annotation_or_of_the_spec(string expected, params string[] annotations) =>
        Assert.Equal(expected, string.Join(' ', ServiceRequest.Of(New(annotations)).Addresses));

    [Theory]
    [InlineData("10.0.0.1 fd00::1", "10.0.0.1, fd00::1")]
    // In the order in which they are asked for.
    [InlineData("fd00::1 10.0.0.1", "fd00::1,10.0.0.1")]
    public void A_Service_of_both_families_asks_for_an_address_of_each(string expected, string asked) =>
        Assert.Equal(expected, string.Join(' ', ServiceRequest.Of(Dual(New(Ips, asked), "PreferDualStack")).Addresses));

    [Theory]
    [InlineData("invalid address \"web\"", Ips, "web")]
    [InlineData("invalid address \"10.0.0.256\"", Ips, "10.0.0.256")]
    [InlineData("both metallb.io/loadBalancerIPs and spec.loadBalancerIP", Ips, "10.0.0.1", "spec", "10.0.0.1")]
    [InlineData("more than two", Ips, "10.0.0.1,fd00::1,10.0.0.2")]
    [InlineData("two addresses of one family", Ips, "10.0.0.1,10.0.0.2")]
    [InlineData("is not the Service's", Ips, "fd00::1")]
    [InlineData("is not the Service's", Ips, "10.0.0.1,fd00::1")]
    public void A_request_that_cannot_be_understood_says_why(string fault, params string[] annotations) =>
        Assert.Contains(fault, ServiceRequest.Of(New(annotations)).Fault, StringComparison.Ordinal);

    [Fact]
    public void A_Service_of_both_families_must_ask_for_two_addresses() =>
        Assert.Contains("is not the Service's", ServiceRequest.Of(Dual(New(Ips, "10.0.0.1"), "PreferDualStack")).Fault, StringComparison.Ordinal);

    [Theory]
    [InlineData("k", Share, "k")]
    [InlineData("k", OldShare, "k")]
    [InlineData(null, Share, "", OldShare, "k")]
    [InlineData(null)]
    public void An_empty_key_shares_nothing(string? expected, params string[] annotations) =>
        Assert.Equal(expected, ServiceRequest.ApplicantOf(New(annotations), null).Sharing?.Key);

    [Theory]
    [InlineData("Cluster", "")]
    [InlineData(null, "")]
    [InlineData("Local", "a=1,b=2")]
    public void The_Pods_count_only_where_traffic_stays_on_the_node(string? policy, string expected)
    {
        var service = New(Share, "k");
        service = service with { Spec = service.Spec with { ExternalTrafficPolicy = policy, Selector = new Dictionary<string, string> { ["b"] = "2", ["a"] = "1" } } };

        Assert.Equal(expected, ServiceRequest.ApplicantOf(service, null).Sharing!.Value.Backend);
    }

    [Fact]
    public void Families_are_those_of_the_cluster_addresses_not_those_that_are_listed()
    {
        var service = New();
        service = service with { Spec = service.Spec with { IpFamilies = ["IPv6", "IPv4"], IpFamilyPolicy = "PreferDualStack" } };

        Assert.Equal("IPv4", ServiceRequest.Of(service).Wish!.ToString());
    }

    [Fact]
    public void Entries_of_the_status_that_are_no_addresses_count_for_nothing()
    {
        var service = New() with { Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Hostname = "lb.example" }, new LoadBalancerIngress { Ip = "10.0.0.1" }] } } };

        Assert.Equal("10.0.0.1", string.Join(' ', ServiceStatusWriter.AddressesOf(service)));
    }

    /// <param name="entries">Keys of annotations and their values; <c>spec</c> is spec.loadBalancerIP.</param>
    private static Service New(params string[] entries)
    {
        var annotations = new Dictionary<string, string>();
        for (int i = 0; i < entries.Length; i += 2)
            annotations[entries[i]] = entries[i + 1];
        annotations.Remove("spec", out string? inSpec);
        return new Service
        {
            Metadata = new ObjectMeta { Namespace = "default", Name = "web", Annotations = annotations },
            Spec = new ServiceSpec { Type = "LoadBalancer", ClusterIP = "10.96.0.1", ClusterIPs = ["10.96.0.1"], LoadBalancerIP = inSpec, Ports = [new ServicePort { Port = 80 }] },
        };
    }

    private static Service Dual(Service service, string policy) =>
        service with { Spec = service.Spec with { ClusterIPs = ["10.96.0.1", "fd96::1"], IpFamilyPolicy = policy } };
}
