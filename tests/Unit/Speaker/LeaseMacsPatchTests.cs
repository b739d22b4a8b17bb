using YamlDotNet.RepresentationModel;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>The patch for speakers that use the MACs of leases speaks of the container that the manifest has.</summary>
public sealed class LeaseMacsPatchTests
{
    [Fact]
    public void The_patch_for_MACs_of_leases_adds_NET_ADMIN_to_the_speaker_which_has_it_nowhere_else()
    {
        var before = Container(Documents("dynamiclb.yaml").Single(static document => Text(document["kind"]) == "DaemonSet"));
        Assert.Equal(["NET_RAW"], Added(before));

        var patched = Container(Documents("speaker-lease-macs-patch.yaml").Single());
        Assert.Equal(Text(before["name"]), Text(patched["name"]));
        Assert.Equal(["NET_RAW", "NET_ADMIN"], Added(patched));
    }

    private static YamlNode Container(YamlNode workload) => Assert.Single((YamlSequenceNode)workload["spec"]["template"]["spec"]["containers"]);

    private static IEnumerable<string> Added(YamlNode container) => ((YamlSequenceNode)container["securityContext"]["capabilities"]["add"]).Select(Text);

    private static string Text(YamlNode node) => ((YamlScalarNode)node).Value!;

    private static IEnumerable<YamlNode> Documents(string manifest)
    {
        var yaml = new YamlStream();
        yaml.Load(new StringReader(File.ReadAllText(Path.Combine(Repository(new DirectoryInfo(AppContext.BaseDirectory)), "manifests", manifest))));
        return yaml.Documents.Select(static document => document.RootNode).OfType<YamlMappingNode>();
    }

    private static string Repository(DirectoryInfo folder) =>
        File.Exists(Path.Combine(folder.FullName, "DynamicLb.sln")) ? folder.FullName : Repository(folder.Parent ?? throw new DirectoryNotFoundException("no DynamicLb.sln above"));
}
