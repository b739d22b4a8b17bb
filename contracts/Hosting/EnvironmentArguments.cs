using System.CommandLine;

namespace DynamicLb.Contracts.Hosting;

/// <summary>Takes flags from the environment: <c>--lb-class</c> from <c>DYNAMICLB_LB_CLASS</c>. What the command line says wins.</summary>
public static class EnvironmentArguments
{
    private const string Prefix = "DYNAMICLB_";

    /// <summary>The variable of a flag; null for one that ends in <c>port</c>, where Kubernetes puts the addresses of Services.</summary>
    public static string? VariableOf(string flag) =>
        flag.EndsWith("port", StringComparison.Ordinal) ? null : Prefix + flag.TrimStart('-').Replace('-', '_').ToUpperInvariant();

    /// <summary>The command line with what the environment adds to it.</summary>
    /// <param name="command">The command and its flags.</param>
    /// <param name="arguments">The command line.</param>
    /// <param name="environment">A variable by name; null or empty for none.</param>
    public static IReadOnlyList<string> WithEnvironment(this RootCommand command, IReadOnlyList<string> arguments, Func<string, string?> environment)
    {
        var added = new List<string>();
        foreach (var option in command.Options)
        {
            bool isGiven = arguments.Any(argument => argument == option.Name || argument.StartsWith(option.Name + "=", StringComparison.Ordinal));
            if (!isGiven && option.Name.StartsWith("--", StringComparison.Ordinal) && VariableOf(option.Name) is { } variable && environment(variable) is { Length: > 0 } value)
                added.Add($"{option.Name}={value}");
        }
        return [.. added, .. arguments];
    }
}
