using System.Globalization;
using System.Text.Json;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Controller.Admission;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Admission;

public sealed class AdmissionJudgeTests
{
    private const string Own = "metallb-system";
    private readonly AdmissionJudge _judge = new(Own);

    private static ConfigResources Existing => new()
    {
        Pools = [new IPAddressPool { Metadata = Meta("lab"), Spec = new IPAddressPoolSpec { Addresses = ["10.0.0.0/28"] } }],
        AddressServices = [new AddressServiceResource { Metadata = Meta("dhcp"), Spec = new AddressServiceSpec { Url = "http://a" } }],
        BgpPeers = [new BGPPeer { Metadata = Meta("router"), Spec = new BGPPeerSpec { MyASN = 1, PeerASN = 2, PeerAddress = "10.9.0.1", BfdProfile = "quick", NodeSelectors = [Node("a")] } }],
        BgpAdvertisements = [new BGPAdvertisement { Metadata = Meta("ad"), Spec = new BGPAdvertisementSpec { AggregationLength = 28, LocalPref = 5, IPAddressPools = ["lab"] } }],
        BfdProfiles = [new BFDProfile { Metadata = Meta("quick") }],
        Communities = [new Community { Metadata = Meta("names"), Spec = new CommunitySpec { Communities = [new CommunityAlias { Name = "vpn", Value = "1:2" }] } }],
        Nodes = [new Node { Metadata = Meta("a") with { Labels = Labels("a") } }, new Node { Metadata = Meta("b") with { Labels = Labels("b") } }],
    };

    [Theory]
    [InlineData("IPAddressPool", "{'addresses':['10.0.0.8/30']}", "IPAddressPool 'one' spec.addresses: 10.0.0.8-10.0.0.11 overlaps with already defined CIDR 10.0.0.0-10.0.0.15 of 'lab'")]
    [InlineData("IPAddressPool", "{'addresses':['10.0.0.300/30']}", "IPAddressPool 'one' spec.addresses")]
    [InlineData("IPAddressPool", "{}", "at least one CIDR or range is needed")]
    [InlineData("AddressService", "{'url':'ftp://a'}", "AddressService 'one' spec.url")]
    [InlineData("L2Advertisement", "{'ipAddressPools':['a','a']}", "L2Advertisement 'one' spec.ipAddressPools[1]: duplicate definition of pool")]
    [InlineData("BGPAdvertisement", "{'aggregationLength':26,'ipAddressPools':['lab']}", "BGPAdvertisement 'one' spec.aggregationLength: invalid aggregation length 26: prefix 28 in pool \"lab\"")]
    [InlineData("BGPAdvertisement", "{'serviceSelectors':[{'matchLabels':{'a':'b'}}],'aggregationLength':24,'ipAddressPools':['none']}", "serviceSelectors and aggregationLength are mutually exclusive")]
    [InlineData("BGPAdvertisement", "{'communities':['1:70000']}", "invalid community value: invalid section")]
    [InlineData("BGPAdvertisement", "{'aggregationLength':28,'localPref':6,'ipAddressPools':['lab']}", "invalid localpref 6")]
    [InlineData("BGPPeer", "{'myASN':1,'peerASN':2,'peerAddress':'10.9.0.300'}", "BGPPeer 'one' spec.peerAddress: invalid BGPPeer address")]
    [InlineData("BGPPeer", "{'myASN':1,'peerASN':2,'peerAddress':'10.9.0.1','nodeSelectors':[{'matchLabels':{'host':'a'}}]}", "already exists")]
    [InlineData("BGPPeer", "{'myASN':1,'peerASN':2,'peerAddress':'10.9.0.300','disableMP':true}", "invalid BGPPeer address")]
    [InlineData("BGPPeer", "{'myASN':1,'peerASN':2,'peerAddress':'10.9.0.2','connectTime':'1500ms'}", "connect time should be between 1 seconds to 65535")]
    [InlineData("BFDProfile", "{'receiveInterval':9}", "BFDProfile 'one' spec.receiveInterval")]
    [InlineData("Community", "{'communities':[{'name':'vpn','value':'1:3'}]}", "duplicate definition of community \"vpn\"")]
    [InlineData("Community", "{'communities':[{'name':'a','value':'1:2'},{'name':'a','value':'1:3'}]}", "duplicate definition of community \"a\"")]
    [InlineData("Community", "{'communities':[{'name':'a','value':'big:1:2:3'}]}", "expected community to be of format large")]
    public void What_would_bring_a_fault_is_denied_with_object_and_field(string kind, string spec, string reason)
    {
        var answer = Ask(kind, "CREATE", "one", spec);

        Assert.False(answer.Allowed);
        Assert.Equal(403, answer.Status!.Code);
        Assert.Contains(reason, answer.Status.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("IPAddressPool", "{'addresses':['10.0.1.0/24']}")]
    [InlineData("AddressService", "{'url':'https://b'}")]
    [InlineData("BGPPeer", "{'myASN':1,'peerASN':2,'peerAddress':'10.9.0.1','nodeSelectors':[{'matchLabels':{'host':'b'}}]}")]
    // What may still come.
    [InlineData("BGPPeer", "{'myASN':1,'peerASN':2,'peerAddress':'10.9.0.2','bfdProfile':'later','passwordSecret':{'name':'later'}}")]
    [InlineData("BGPAdvertisement", "{'communities':['later','vpn'],'ipAddressPools':['later']}")]
    [InlineData("L2Advertisement", "{}")]
    [InlineData("BFDProfile", "{'receiveInterval':300}")]
    public void What_brings_no_fault_is_allowed(string kind, string spec)
    {
        Assert.True(Ask(kind, "CREATE", "one", spec).Allowed);
    }

    [Theory]
    [InlineData("IPAddressPool", "lab", "{'addresses':['10.0.0.0/28']}", "{'addresses':['10.0.0.0/30']}", "BGPAdvertisement 'ad' spec.aggregationLength")]
    [InlineData("AddressService", "dhcp", "{'url':'http://a'}", "{'url':'http://a','cidrs':['x']}", "AddressService 'dhcp' spec.cidrs")]
    [InlineData("BGPPeer", "router", "{'enableGracefulRestart':true}", "{'enableGracefulRestart':false}", "EnableGracefulRestart cannot be changed after creation")]
    [InlineData("Community", "names", "{'communities':[{'name':'vpn','value':'1:2'}]}", "{'communities':[{'name':'vpn','value':'1:70000'}]}", "invalid community value: invalid section")]
    public void A_change_is_judged_with_everything_else_errors_of_other_kinds_included(string kind, string name, string old, string spec, string reason)
    {
        var answer = Ask(kind, "UPDATE", name, spec, old);

        Assert.False(answer.Allowed);
        Assert.Contains(reason, answer.Status!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_object_that_is_at_fault_already_can_be_mended_in_part_and_lose_its_finalizers()
    {
        const string Bad = "{'addresses':['10.0.1.0/24','x']}";
        Assert.True(Ask("IPAddressPool", "UPDATE", "bad", "{'addresses':['10.0.1.0/24','x'],'autoAssign':false}", Bad).Allowed);
        Assert.True(Ask("IPAddressPool", "UPDATE", "bad", Bad, Bad).Allowed);
        Assert.False(Ask("IPAddressPool", "UPDATE", "bad", "{'addresses':['10.0.1.0/24','y']}", Bad).Allowed);
    }

    [Fact]
    public void A_fault_that_is_there_already_hinders_nobody_else()
    {
        var broken = Existing with { L2Advertisements = [new L2Advertisement { Metadata = Meta("broken"), Spec = new L2AdvertisementSpec { IPAddressPools = ["a", "a"] } }] };

        Assert.True(Ask("IPAddressPool", "CREATE", "one", "{'addresses':['10.0.1.0/24']}", null, Own, broken).Allowed);
    }

    [Theory]
    [InlineData("IPAddressPool")]
    [InlineData("AddressService")]
    [InlineData("L2Advertisement")]
    [InlineData("BGPAdvertisement")]
    [InlineData("BGPPeer")]
    [InlineData("BFDProfile")]
    [InlineData("Community")]
    public void Objects_are_made_in_our_own_namespace_only(string kind)
    {
        var answer = Ask(kind, "CREATE", "one", "{}", null, "default");

        Assert.False(answer.Allowed);
        Assert.Contains("resource must be created in metallb-system namespace", answer.Status!.Message, StringComparison.Ordinal);
        Assert.True(Ask(kind, "UPDATE", "one", "{'x':1}", "{}", "default").Allowed);
        Assert.True(Ask(kind, "DELETE", "one", null, "{}", "default").Allowed);
    }

    [Fact]
    public void A_BFDProfile_stays_while_a_BGPPeer_names_it_and_nothing_else_is_kept()
    {
        Assert.Contains("failed to delete BFDProfile quick: used by BGPPeer 'router'", Ask("BFDProfile", "DELETE", "quick", null, "{}").Status!.Message, StringComparison.Ordinal);
        Assert.True(Ask("BFDProfile", "DELETE", "other", null, "{}").Allowed);
        Assert.True(Ask("IPAddressPool", "DELETE", "lab", null, "{}").Allowed);
        Assert.True(Ask("BGPPeer", "DELETE", "router", null, "{}").Allowed);
    }

    [Fact]
    public void Warnings_tell_what_is_deprecated_or_names_nothing()
    {
        Assert.Contains("is deprecated", Assert.Single(Ask("BGPPeer", "CREATE", "one", "{'myASN':1,'peerASN':2,'peerAddress':'10.9.0.2','disableMP':true}").Warnings!), StringComparison.Ordinal);
        Assert.Contains("no pool or address service 'none'", Assert.Single(Ask("L2Advertisement", "CREATE", "one", "{'ipAddressPools':['none']}").Warnings!), StringComparison.Ordinal);
    }

    [Fact]
    public void An_object_that_is_no_such_object_is_denied()
    {
        Assert.False(Ask("IPAddressPool", "CREATE", "one", "{'addresses':7}").Allowed);
    }

    private AdmissionResponse Ask(string kindName, string operation, string name, string? spec, string? old = null, string ns = Own, ConfigResources? existing = null)
    {
        var kind = AdmittedKind.All.Single(kind => kind.Kind == kindName);
        var request = new AdmissionRequest { Uid = "u", Operation = operation, Namespace = ns, Name = name, Object = Item(name, spec), OldObject = Item(name, old) };
        var answer = _judge.Judge(kind, request, _judge.NeedsConfiguration(kind, request) ? existing ?? Existing : null);
        Assert.Equal("u", answer.Uid);
        return answer;
    }

    private static JsonElement? Item(string name, string? spec) => spec is null
        ? null
        : JsonDocument.Parse(string.Create(CultureInfo.InvariantCulture, $"{{'metadata':{{'name':'{name}'}},'spec':{spec}}}").Replace('\'', '"')).RootElement;

    private static ObjectMeta Meta(string name) => new() { Name = name, Namespace = Own, CreationTimestamp = "2026-01-01T00:00:00Z" };

    private static LabelSelector Node(string host) => new() { MatchLabels = Labels(host) };

    private static Dictionary<string, string> Labels(string host) => new() { ["host"] = host };
}
