using DynamicLb.Contracts;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Services;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>What the speaker keeps of objects, and how it finds EndpointSlices.</summary>
public sealed class TrimmerTests
{
    [Fact]
    public void What_decides_about_a_service_stays_and_the_rest_goes()
    {
        var trimmed = Trimmer.Trim(new Service
        {
            Metadata = new ObjectMeta
            {
                Name = "web",
                Namespace = "demo",
                Uid = "u",
                ResourceVersion = "7",
                Labels = new Dictionary<string, string> { ["app"] = "web" },
                Annotations = new Dictionary<string, string> { [Annotations.ValidUntil] = "2026-05-01T12:00:00Z", ["kubectl.kubernetes.io/last-applied-configuration"] = "{}" },
            },
            Spec = new ServiceSpec { Type = "LoadBalancer", LoadBalancerClass = "lb", ExternalTrafficPolicy = "Local", Selector = new Dictionary<string, string> { ["app"] = "web" }, Ports = [new ServicePort { Port = 80 }] },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "10.0.0.1", IpMode = "VIP" }, new LoadBalancerIngress { Hostname = "web" }] } },
        });

        Assert.Equal(("web", "demo", "u", "7"), (trimmed.Metadata.Name, trimmed.Metadata.Namespace, trimmed.Metadata.Uid, trimmed.Metadata.ResourceVersion));
        Assert.Equal("web", trimmed.Metadata.Labels!["app"]);
        Assert.Equal([Annotations.ValidUntil], trimmed.Metadata.Annotations!.Keys);
        Assert.Equal(new ServiceSpec { Type = "LoadBalancer", LoadBalancerClass = "lb", ExternalTrafficPolicy = "Local" }, trimmed.Spec);
        // An entry without an address still says that there is one.
        Assert.Equal(["10.0.0.1", null], trimmed.Status.LoadBalancer.Ingress!.Select(static entry => entry.Ip));
        Assert.Null(Trimmer.Trim(new Service { Spec = new ServiceSpec { Type = "ClusterIP" } }).Status.LoadBalancer.Ingress);
    }

    [Fact]
    public void Of_the_conditions_a_told_conflict_stays()
    {
        var told = new Condition { Type = Conditions.AddressConflict, Status = "True", Message = "taken" };
        Assert.Equal([told], Trimmer.Trim(With(told, new Condition { Type = "Other", Status = "True" })).Status.Conditions!);
        Assert.Null(Trimmer.Trim(With(told with { Status = "False" })).Status.Conditions);

        static Service With(params Condition[] conditions) => new()
        {
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "10.0.0.1" }] }, Conditions = conditions },
        };
    }

    [Fact]
    public void Services_of_the_same_kind_share_what_they_want()
    {
        var first = Trimmer.Trim(new Service { Spec = new ServiceSpec { Type = "LoadBalancer", ExternalTrafficPolicy = "Cluster" } });
        Assert.Same(first.Spec, Trimmer.Trim(new Service { Spec = new ServiceSpec { Type = "LoadBalancer", ExternalTrafficPolicy = "Cluster" } }).Spec);
        Assert.NotSame(first.Spec, Trimmer.Trim(new Service { Spec = new ServiceSpec { Type = "LoadBalancer", ExternalTrafficPolicy = "Local" } }).Spec);
    }

    [Fact]
    public void Endpoints_keep_addresses_conditions_and_node_in_either_version()
    {
        var trimmed = Trimmer.Trim(Slice("web-1", "web") with
        {
            Endpoints =
            [
                new Endpoint { Addresses = ["10.244.0.5"], NodeName = "a", Conditions = new EndpointConditions { Ready = false, Serving = true } },
                new Endpoint { Addresses = ["10.244.0.6"], Topology = new Dictionary<string, string> { ["kubernetes.io/hostname"] = "b" } },
            ],
        });

        Assert.Equal("web", Assert.Single(trimmed.Metadata.Labels!).Value);
        Assert.Equal(["a", "b"], trimmed.Endpoints!.Select(static endpoint => endpoint.Node));
        Assert.Equal(["10.244.0.5", "10.244.0.6"], trimmed.Endpoints!.SelectMany(static endpoint => endpoint.Addresses!));
        Assert.Equal((new EndpointConditions { Ready = false, Serving = true }, null), (trimmed.Endpoints![0].Conditions, trimmed.Endpoints[1].Conditions));
    }

    [Fact]
    public void Nodes_keep_labels_and_whether_their_network_is_available()
    {
        var trimmed = Trimmer.Trim(new Node
        {
            Metadata = new ObjectMeta { Name = "a", ResourceVersion = "1", Labels = new Dictionary<string, string> { ["rack"] = "1" }, Annotations = new Dictionary<string, string> { ["x"] = "y" } },
            Status = new NodeStatus { Conditions = [new NodeCondition { Type = "Ready", Status = "True" }, new NodeCondition { Type = "NetworkUnavailable", Status = "True" }] },
        });

        Assert.Equal(("a", "1", "1"), (trimmed.Metadata.Name, trimmed.Metadata.ResourceVersion, trimmed.Metadata.Labels!["rack"]));
        Assert.Equal("NetworkUnavailable", Assert.Single(trimmed.Status.Conditions!).Type);
        Assert.Null(trimmed.Metadata.Annotations);
    }

    [Fact]
    public void A_slice_that_changes_hands_concerns_both_services()
    {
        var (web, api) = (new NamespacedName("demo", "web"), new NamespacedName("demo", "api"));
        var index = new EndpointSliceIndex();
        var (one, two) = (Slice("1", "web"), Slice("2", "web"));
        Assert.Equal([web], index.Change(null, one));
        Assert.Equal([web], index.Change(null, two));
        Assert.Equal([web], index.Change(one, one with { AddressType = "IPv6" }));
        Assert.Equal([("2", null), ("1", "IPv6")], index.Of(web).Select(static slice => (slice.Metadata.Name, slice.AddressType)));

        Assert.Equal([web, api], index.Change(one, Slice("1", "api")));
        Assert.Equal("2", Assert.Single(index.Of(web)).Metadata.Name);
        Assert.Equal("1", Assert.Single(index.Of(api)).Metadata.Name);
        Assert.Equal([web], index.Change(two, null));
        Assert.Empty(index.Of(web));
    }

    private static EndpointSlice Slice(string name, string service) => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = name, Labels = new Dictionary<string, string> { [EndpointSlice.ServiceNameLabel] = service, ["other"] = "x" } },
    };
}
