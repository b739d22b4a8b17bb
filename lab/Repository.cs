namespace DynamicLb.Lab;

/// <summary>Where the repository is, for what the lab and the tests take from it.</summary>
public static class Repository
{
    /// <summary>The folder with the solution, found upwards from the running program.</summary>
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "DynamicLb.sln")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException($"No DynamicLb.sln above {AppContext.BaseDirectory}.");
    }
}
