using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace DynamicLb.Lab.Networks;

/// <summary>Removes what labs left behind that were killed. Names carry the process id of their lab, so that those of living labs stay.</summary>
public static partial class Leftovers
{
    /// <summary>The start of the names of everything that lab number <paramref name="number"/> of this process makes.</summary>
    public static string Prefix(int number) => $"dlb{Environment.ProcessId}x{number}";

    /// <summary>Deletes namespaces and folders of labs whose process is gone, and kills what still runs in them.</summary>
    public static async Task<IReadOnlyList<string>> SweepAsync(CancellationToken cancellationToken)
    {
        var removed = new List<string>();
        foreach (var line in (await ChildProcess.OutputOfAsync("ip", ["netns", "list"], cancellationToken)).Split('\n'))
        {
            var name = line.Split(' ')[0];
            if (IsOrphan(name))
            {
                await RemoveNamespaceAsync(name, cancellationToken);
                removed.Add(name);
            }
        }

        removed.AddRange(SweepFolders());
        return removed;
    }

    /// <summary>Deletes folders of labs whose process is gone.</summary>
    public static IReadOnlyList<string> SweepFolders()
    {
        var removed = new List<string>();
        foreach (var folder in Directory.EnumerateDirectories(Path.GetTempPath(), "dlb*").Where(f => IsOrphan(Path.GetFileName(f))))
        {
            try
            {
                Directory.Delete(folder, recursive: true);
                removed.Add(folder);
            }
            catch (IOException)
            {
                // Another lab sweeps it at the same moment.
            }
        }

        return removed;
    }

    internal static async Task RemoveNamespaceAsync(string name, CancellationToken cancellationToken)
    {
        try
        {
            foreach (var pid in (await ChildProcess.OutputOfAsync("ip", ["netns", "pids", name], cancellationToken)).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                Kill(int.Parse(pid, CultureInfo.InvariantCulture));
            }

            await ChildProcess.OutputOfAsync("ip", ["netns", "delete", name], cancellationToken);
        }
        catch (InvalidOperationException) when (!File.Exists(Path.Combine("/run/netns", name)))
        {
            // Another lab swept it at the same moment.
        }
    }

    private static void Kill(int pid)
    {
        try
        {
            using var process = Process.GetProcessById(pid);
            process.Kill();
        }
        catch (ArgumentException)
        {
            // It ended meanwhile.
        }
    }

    private static bool IsOrphan(string name)
    {
        var match = LabName().Match(name);
        return match.Success && !IsLab(match.Groups["pid"].Value);
    }

    // The number may belong to another program by now.
    private static bool IsLab(string pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Contains("DynamicLb.", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    [GeneratedRegex("^dlb(?<pid>[0-9]+)x[0-9]+(-[a-zA-Z0-9]+)?$", RegexOptions.ExplicitCapture)]
    private static partial Regex LabName();
}
