using System.Diagnostics;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Demo;

/// <summary>The demo as a command: runs the steps, keeps the lab up, cleans up.</summary>
internal static class DemoCommand
{
    /// <summary>Returns the exit code: 0 when every step was observed.</summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, CancellationToken cancellationToken)
    {
        if (DemoOptions.Parse(args, out var fault) is not { } options)
        {
            await Console.Error.WriteLineAsync($"{fault}: see ./demo.sh --help");
            return 2;
        }

        var total = Stopwatch.StartNew();
        var steps = new StepLog();
        var passed = false;
        try
        {
            var network = await LabNetwork.CreateAsync(cancellationToken);
            try
            {
                await using IDemo demo = options.UsesBgp ? new BgpDemoRun(network, options, steps) : new DemoRun(network, options, steps);
                await demo.RunAsync(cancellationToken);
                passed = true;
                if (!options.Check)
                {
                    await demo.PlayAsync(cancellationToken);
                }
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                steps.Failed(e.Message);
                Console.WriteLine($"The logs are kept in {KeepLogs(network)}");
            }
            finally
            {
                await network.DisposeAsync();
            }
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine("Interrupted; everything has been removed.");
        }

        if (options.Check)
        {
            Console.WriteLine(steps.ToJson(passed, options, total.Elapsed));
        }

        return passed ? 0 : 1;
    }

    private static string KeepLogs(LabNetwork network)
    {
        var folder = Directory.CreateTempSubdirectory("dynamiclb-demo-logs-").FullName;
        foreach (var log in Directory.EnumerateFiles(network.Folder, "*.log"))
        {
            File.Copy(log, Path.Combine(folder, Path.GetFileName(log)));
        }

        return folder;
    }
}
