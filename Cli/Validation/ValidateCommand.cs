using System.CommandLine;
using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Cli.Validation;

/// <summary><c>dynlb validate FILE…</c>: the verdict that controller and speaker would come to, without a cluster.</summary>
internal static class ValidateCommand
{
    public static Command Create()
    {
        var files = new Argument<string[]>("FILE") { Description = "Manifests or configuration files; - is the standard input.", Arity = ArgumentArity.OneOrMore };
        var rules = new Option<string>("--bgp-rules")
        {
            Description = "Whose restrictions on BGP are kept: own, or in addition those of MetalLB's native or frr mode.",
            DefaultValueFactory = static _ => "own",
        };
        rules.AcceptOnlyFromAmong("own", "native", "frr");
        var command = new Command("validate", "Checks configuration, and lists every fault with its object and field. Resources of all files are checked as one configuration.")
        {
            files, rules,
        };
        command.SetAction((result, cancellationToken) => RunAsync(
            result.GetValue(files)!, result.GetValue(rules) switch { "native" => BgpRules.Native, "frr" => BgpRules.Frr, _ => BgpRules.Own },
            result.InvocationConfiguration.Output, result.InvocationConfiguration.Error, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(string[] files, BgpRules rules, TextWriter output, TextWriter error, CancellationToken cancellationToken)
    {
        var reader = new ManifestReader(rules);
        foreach (string file in files)
        {
            try
            {
                reader.Read(file, file == "-" ? await Console.In.ReadToEndAsync(cancellationToken) : await File.ReadAllTextAsync(file, cancellationToken));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                await error.WriteLineAsync($"{file}: {e.Message}");
                return ExitCode.Unusable;
            }
        }
        var (faults, notices) = reader.Judge();
        foreach (var fault in faults)
            await output.WriteLineAsync(fault.ToString());
        foreach (var notice in notices)
            await output.WriteLineAsync($"note: {notice}");
        await output.WriteLineAsync(faults.Count == 0 ? $"good: {reader.Objects} objects" : $"{faults.Count} faults");
        return faults.Count == 0 ? ExitCode.Success : ExitCode.Faults;
    }
}
