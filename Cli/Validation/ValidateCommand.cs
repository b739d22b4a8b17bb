using System.CommandLine;
using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Cli.Validation;

/// <summary><c>dynlb validate FILE…</c>: the verdict that controller and speaker would come to, without a cluster.</summary>
internal static class ValidateCommand
{
    public static Command Create()
    {
        var files = new Argument<string[]>("FILE") { Description = "Configuration files; - is the standard input.", Arity = ArgumentArity.OneOrMore };
        var command = new Command("validate", "Checks configuration, and lists every fault with its object and field.") { files };
        command.SetAction((result, cancellationToken) => RunAsync(
            result.GetValue(files)!, result.InvocationConfiguration.Output, result.InvocationConfiguration.Error, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(string[] files, TextWriter output, TextWriter error, CancellationToken cancellationToken)
    {
        int code = ExitCode.Success;
        foreach (string file in files)
        {
            string text;
            try
            {
                text = file == "-" ? await Console.In.ReadToEndAsync(cancellationToken) : await File.ReadAllTextAsync(file, cancellationToken);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                await error.WriteLineAsync($"{file}: {e.Message}");
                return ExitCode.Unusable;
            }
            var read = ConfigFileReader.Read(text);
            foreach (var fault in read.Faults)
                await output.WriteLineAsync($"{file}: {fault}");
            foreach (var notice in read.Notices)
                await output.WriteLineAsync($"{file}: note: {notice}");
            if (read.Faults.Count > 0)
                code = ExitCode.Faults;
            else
                await output.WriteLineAsync($"{file}: good: {read.Config!.AddressPools.Count} address pools, {read.Config.AddressServices.Count} address services");
        }
        return code;
    }
}
