using DynamicLb.Tests.Unit.Support;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>The patch for an address service that relays speaks of the container that the manifests have, and gives it one capability.</summary>
public sealed class RelayPatchTests
{
    [Theory]
    [InlineData("dynamiclb.yaml")]
    [InlineData("address-service-replicas.yaml")]
    public void The_patch_for_a_relay_takes_NET_RAW_and_gives_NET_BIND_SERVICE_to_the_address_service(string manifest)
    {
        var deployment = RepositoryFiles.Objects($"manifests/{manifest}").Single(document => Text(document["kind"]) == "Deployment" && Text(document["metadata"]["name"]) == "address-service");
        var before = Container(deployment);
        Assert.Equal(["NET_RAW"], Added(before));

        var patched = Container(RepositoryFiles.Objects("manifests/address-service-relay-patch.yaml").Single());
        Assert.Equal(Text(before["name"]), Text(patched["name"]));
        Assert.Equal(["NET_BIND_SERVICE"], Added(patched));
        Assert.Equal(["ALL"], Items(patched["securityContext"]["capabilities"]["drop"]));
    }

    private static YamlNode Container(YamlNode deployment) => Assert.Single((YamlSequenceNode)deployment["spec"]["template"]["spec"]["containers"]);

    private static IEnumerable<string> Added(YamlNode container) => Items(container["securityContext"]["capabilities"]["add"]);

    private static IEnumerable<string> Items(YamlNode list) => ((YamlSequenceNode)list).Select(Text);

    private static string Text(YamlNode node) => ((YamlScalarNode)node).Value!;
}
