using DynamicLb.Tests.Unit.Support;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>The patch for speakers that use the MACs of leases speaks of the container that the manifest has.</summary>
public sealed class LeaseMacsPatchTests
{
    [Fact]
    public void The_patch_for_MACs_of_leases_adds_NET_ADMIN_to_the_speaker_which_has_it_nowhere_else()
    {
        var before = Container(RepositoryFiles.Objects("manifests/dynamiclb.yaml").Single(static document => Text(document["kind"]) == "DaemonSet"));
        Assert.Equal(["NET_RAW"], Added(before));

        var patched = Container(RepositoryFiles.Objects("manifests/speaker-lease-macs-patch.yaml").Single());
        Assert.Equal(Text(before["name"]), Text(patched["name"]));
        Assert.Equal(["NET_RAW", "NET_ADMIN"], Added(patched));
    }

    private static YamlNode Container(YamlNode workload) => Assert.Single((YamlSequenceNode)workload["spec"]["template"]["spec"]["containers"]);

    private static IEnumerable<string> Added(YamlNode container) => ((YamlSequenceNode)container["securityContext"]["capabilities"]["add"]).Select(Text);

    private static string Text(YamlNode node) => ((YamlScalarNode)node).Value!;
}
