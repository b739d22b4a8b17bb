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
        var start = new ProcessStartInfo("kubectl", arguments)
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
            await process.StandardInput.WriteAsync(input);
        }

        process.StandardInput.Close();
        await process.WaitForExitAsync(cancellationToken);
        return (process.ExitCode, await output, await error);
    }
}
