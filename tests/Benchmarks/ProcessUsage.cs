using System.Globalization;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>What a process has used so far, after proc(5).</summary>
/// <param name="Processor">Time on all processors, in user and kernel mode.</param>
/// <param name="Resident">Memory, in bytes.</param>
/// <param name="Waited">How long its threads, those that still are, could have run and had no processor; the longest wait of one.</param>
internal readonly record struct ProcessUsage(TimeSpan Processor, long Resident, TimeSpan Waited)
{
    // USER_HZ: fixed for user space on all architectures that Linux has .NET for.
    private const double TicksPerSecond = 100;

    public static ProcessUsage Of(int process)
    {
        // The name in parentheses may hold blanks; utime and stime are the 14th and 15th field.
        string stat = File.ReadAllText($"/proc/{process}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        long ticks = long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
        string resident = File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        // schedstat: nanoseconds on a processor, nanoseconds that it waited for one.
        long waited = 0;
        foreach (string task in Directory.GetDirectories($"/proc/{process}/task"))
        {
            try
            {
                waited = Math.Max(waited, long.Parse(File.ReadAllText(Path.Combine(task, "schedstat")).Split(' ')[1], CultureInfo.InvariantCulture));
            }
            catch (IOException)
            {
                // The thread has ended meanwhile.
            }
        }
        return new ProcessUsage(
            TimeSpan.FromSeconds(ticks / TicksPerSecond), 1024 * long.Parse(resident.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture), TimeSpan.FromMicroseconds(waited / 1000));
    }
}
