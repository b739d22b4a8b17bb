using System.Text.Json.Nodes;
using DynamicLb.Controller.Admission;

namespace DynamicLb.Tests.Unit.Admission;

public sealed class BgpPeerConversionTests
{
    private const string Older = "metallb.io/v1beta1";
    private const string Newer = "metallb.io/v1beta2";

    [Theory]
    [InlineData(Older, "{'myASN':1,'peerASN':2,'peerAddress':'10.0.0.1','sourceAddress':'10.0.0.2','peerPort':1179,'holdTime':'90s','keepaliveTime':'30s','routerID':'1.1.1.1','nodeSelectors':[{'matchLabels':{'a':'b'},'matchExpressions':[{'key':'k','operator':'In','values':['v']}]}],'password':'p','bfdProfile':'b','ebgpMultiHop':true}", Newer, null)]
    // Timers that nobody gave stay the defaults.
    [InlineData(Older, "{'myASN':1,'peerASN':2,'peerAddress':'10.0.0.1'}", Newer, null)]
    [InlineData(Newer, "{'myASN':1,'peerASN':2,'peerAddress':'10.0.0.1','holdTime':'90s','password':'p'}", Older, null)]
    [InlineData(Newer, "{'myASN':1,'peerASN':2,'peerAddress':'10.0.0.1','localASN':5,'connectTime':'5s','passwordSecret':{'name':'s'},'enableGracefulRestart':true,'vrf':'red','disableMP':true,'dualStackAddressFamily':true}", Older, "{'myASN':1,'peerASN':2,'peerAddress':'10.0.0.1'}")]
    [InlineData(Newer, "{'myASN':1,'dynamicASN':'internal','interface':'eth0'}", Older, "{'myASN':1,'peerASN':0,'peerAddress':''}")]
    [InlineData(Older, "{'myASN':1,'peerASN':0,'peerAddress':''}", Newer, "{'myASN':1}")]
    [InlineData(Newer, "{'myASN':1,'vrf':'red'}", Newer, null)]
    public void Specs_are_read_in_the_other_version(string from, string spec, string to, string? expected)
    {
        var answer = BgpPeerConversion.Answer(new ConversionRequest { Uid = "u", DesiredApiVersion = to, Objects = [Peer(from, spec)] });

        Assert.Equal(("u", "Success"), (answer.Uid, answer.Result.Status));
        var result = Assert.Single(answer.ConvertedObjects!);
        Assert.True(JsonNode.DeepEquals(Peer(to, expected ?? spec), result), result.ToJsonString());
    }

    [Theory]
    [InlineData("metallb.io/v1beta1", "BGPPeer", "metallb.io/v1beta3")]
    [InlineData("metallb.io/v1alpha1", "BGPPeer", Newer)]
    [InlineData("metallb.io/v1beta1", "IPAddressPool", Newer)]
    public void What_cannot_be_converted_fails_as_a_whole(string from, string kind, string to)
    {
        var item = Peer(from, "{}");
        item["kind"] = kind;

        var answer = BgpPeerConversion.Answer(new ConversionRequest { Uid = "u", DesiredApiVersion = to, Objects = [Peer(Older, "{}"), item] });

        Assert.Equal(("u", "Failure"), (answer.Uid, answer.Result.Status));
        Assert.Contains(kind, answer.Result.Message, StringComparison.Ordinal);
        Assert.Empty(answer.ConvertedObjects!);
    }

    private static JsonObject Peer(string version, string spec) => JsonNode.Parse(
        $"{{'apiVersion':'{version}','kind':'BGPPeer','metadata':{{'name':'router','labels':{{'a':'b'}}}},'spec':{spec},'status':{{}}}}".Replace('\'', '"'))!.AsObject();
}
