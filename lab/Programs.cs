using System.Runtime.InteropServices;

namespace DynamicLb.Lab;

/// <summary>The built programs.</summary>
public static class Programs
{
    /// <summary>How to start a program: as it ships, when it has been published since it was built, else its assembly by <c>dotnet</c>.</summary>
    public static (string Program, IReadOnlyList<string> Arguments, bool IsPublished) CommandOf(string project)
    {
        string assembly = PathOf(project);
        string published = Path.Combine(
            Repository.Root, "artifacts", "publish", project, $"release_{RuntimeInformation.RuntimeIdentifier}", Path.GetFileNameWithoutExtension(assembly));
        return File.Exists(published) && File.GetLastWriteTimeUtc(published) >= File.GetLastWriteTimeUtc(assembly) ? (published, [], true) : ("dotnet", [assembly], false);
    }

    /// <summary>Path of a project's assembly, of the same build (Release or Debug) as the running one.</summary>
    public static string PathOf(string project)
    {
        var build = new DirectoryInfo(AppContext.BaseDirectory).Name;
        var assembly = project switch
        {
            "KubeApi" or "Benchmarks" or "BareList" => $"DynamicLb.Tests.{project}",
            "Cli" => "dynlb",
            _ => $"DynamicLb.{project}",
        };
        var path = Path.Combine(Repository.Root, "artifacts", "bin", project, build, $"{assembly}.dll");
        return File.Exists(path) ? path : throw new FileNotFoundException($"{project} has not been built: {path}");
    }
}
