using System.CommandLine;
using DynamicLb.Cli.Bgp;
using DynamicLb.Cli.Doctor;
using DynamicLb.Cli.Explain;
using DynamicLb.Cli.Validation;

namespace DynamicLb.Cli;

/// <summary>The commands of <c>dynlb</c>. Exit codes: 0 all well, 1 what was looked at has faults, 2 it could not be looked at.</summary>
internal static class CommandTable
{
    public static RootCommand Create()
    {
        var root = new RootCommand("dynlb: the operator's tool of DynamicLb.");
        foreach (var command in new[] { ValidateCommand.Create(), DoctorCommand.Create(), ExplainCommand.Create(), BgpCommand.Create() })
            root.Subcommands.Add(command);
        return root;
    }
}

/// <summary>What <c>dynlb</c> ends with.</summary>
internal static class ExitCode
{
    /// <summary>All well.</summary>
    public const int Success = 0;

    /// <summary>What was looked at has faults.</summary>
    public const int Faults = 1;

    /// <summary>It could not be looked at.</summary>
    public const int Unusable = 2;
}
