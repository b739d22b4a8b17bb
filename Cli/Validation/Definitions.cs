using System.Reflection;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Cli.Validation;

/// <summary>The definitions of our resources (manifests/crds), which are part of the program.</summary>
internal static class Definitions
{
    private static readonly Lazy<Dictionary<(string ApiVersion, string Kind), YamlMappingNode>> Schemas = new(Load);

    /// <summary>The schema of a kind in a version such as <c>metallb.io/v1beta1</c>, or null.</summary>
    public static YamlMappingNode? Find(string apiVersion, string kind) => Schemas.Value.GetValueOrDefault((apiVersion, kind));

    /// <summary>Whether there is such a kind in another version of its group; its versions.</summary>
    public static IReadOnlyList<string> VersionsOf(string apiVersion, string kind) =>
    [
        .. Schemas.Value.Keys.Where(key => key.Kind == kind && key.ApiVersion.Split('/')[0] == apiVersion.Split('/')[0]).Select(static key => key.ApiVersion)
            .Order(StringComparer.Ordinal),
    ];

    private static Dictionary<(string ApiVersion, string Kind), YamlMappingNode> Load()
    {
        var schemas = new Dictionary<(string, string), YamlMappingNode>();
        var assembly = Assembly.GetExecutingAssembly();
        foreach (string name in assembly.GetManifestResourceNames().Where(static name => name.StartsWith("crds/", StringComparison.Ordinal)))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            var stream = new YamlStream();
            stream.Load(reader);
            var spec = (YamlMappingNode)stream.Documents[0].RootNode["spec"];
            foreach (var version in (YamlSequenceNode)spec["versions"])
                schemas[($"{spec["group"]}/{version["name"]}", spec["names"]["kind"].ToString())] = (YamlMappingNode)version["schema"]["openAPIV3Schema"];
        }
        return schemas;
    }
}
