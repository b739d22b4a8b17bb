using System.Diagnostics;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>Runs the real kubectl against one cluster.</summary>
internal sealed class Kubectl(string kubeconfig)
{
    /// <summary>Runs kubectl and returns what it printed; fails the test when it fails.</summary>
    public async Task<string> RunAsync(string[] arguments, string? input = null, CancellationToken cancellationToken = default)
    {
        var (code, output, error) = await TryAsync(arguments, input, cancellationToken);
        return code == 0
            ? output
            : throw new InvalidOperationException($"kubectl {string.Join(' ', arguments)} ended with {code}: {error}{output}");
    }

    /// <summary>Runs kubectl and returns its exit code and what it printed.</summary>
    public async Task<(int ExitCode, string Output, string Error)> TryAsync(
        string[] arguments, string? input = null, CancellationToken cancellationToken = default)
    {
        // What a server of before on the same port could do must not be remembered for this one.
        string cache = Path.Combine(Path.GetDirectoryName(kubeconfig)!, "kubectl-cache");
        var start = new ProcessStartInfo("kubectl", ["--cache-dir", cache, .. arguments])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["KUBECONFIG"] = kubeconfig },
        };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        var error = process.StandardError.ReadToEndAsync(cancellationToken);
        if (input is not null)
        {
            try
            {
                await process.StandardInput.WriteAsync(input);
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // It ended before it had read all: its exit code and what it said tell why.
            }
        }
        else
        {
            process.StandardInput.Close();
        }

        await process.WaitForExitAsync(cancellationToken);
        return (process.ExitCode, await output, await error);
    }
}
