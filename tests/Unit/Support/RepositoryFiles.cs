using YamlDotNet.RepresentationModel;

namespace DynamicLb.Tests.Unit.Support;

/// <summary>What the repository holds beside code: manifests and documentation, by their paths in it.</summary>
internal static class RepositoryFiles
{
    private static readonly string s_root = Find(new DirectoryInfo(AppContext.BaseDirectory));

    /// <summary>The text of a file.</summary>
    public static string Read(string path) => File.ReadAllText(Path.Combine(s_root, path));

    /// <summary>The texts of the files of a folder and the folders in it.</summary>
    public static IEnumerable<string> ReadAll(string folder, string pattern) =>
        Directory.EnumerateFiles(Path.Combine(s_root, folder), pattern, SearchOption.AllDirectories).Select(File.ReadAllText);

    /// <summary>The objects of a manifest, one for each document that is not empty.</summary>
    public static List<YamlMappingNode> Objects(string path)
    {
        var yaml = new YamlStream();
        yaml.Load(new StringReader(Read(path)));
        return [.. yaml.Documents.Select(static document => document.RootNode).OfType<YamlMappingNode>()];
    }

    private static string Find(DirectoryInfo folder) =>
        File.Exists(Path.Combine(folder.FullName, "DynamicLb.sln")) ? folder.FullName : Find(folder.Parent ?? throw new DirectoryNotFoundException("no DynamicLb.sln above"));
}
