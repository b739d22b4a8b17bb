using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Bgp;

/// <summary>The command lines of routing daemons.</summary>
internal static class RouterShell
{
    /// <summary>What one says; where it fails, how: a daemon that starts, or ends, does not answer.</summary>
    public static async Task<string> AskAsync(LabHost host, string program, string[] arguments, CancellationToken cancellationToken)
    {
        try
        {
            return await host.Namespace.RunAsync(program, arguments, cancellationToken);
        }
        catch (InvalidOperationException e)
        {
            return e.Message;
        }
    }
}
