namespace DynamicLb.Lab;

/// <summary>The built programs.</summary>
public static class Programs
{
    /// <summary>Path of a project's assembly, of the same build (Release or Debug) as the running one.</summary>
    public static string PathOf(string project)
    {
        var build = new DirectoryInfo(AppContext.BaseDirectory).Name;
        var assembly = project switch
        {
            "KubeApi" or "Benchmarks" => $"DynamicLb.Tests.{project}",
            "Cli" => "dynlb",
            _ => $"DynamicLb.{project}",
        };
        var path = Path.Combine(Repository.Root, "artifacts", "bin", project, build, $"{assembly}.dll");
        return File.Exists(path) ? path : throw new FileNotFoundException($"{project} has not been built: {path}");
    }
}
