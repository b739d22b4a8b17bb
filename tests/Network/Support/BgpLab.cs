using DynamicLb.Lab;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Network.Support;

/// <summary>What tests of BGP do with a lab of speakers.</summary>
internal static class BgpLab
{
    /// <summary>How long something may take on a busy machine.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Writes the speakers' configuration, in one go: who reads it meanwhile sees all of the old one or all of the new one.</summary>
    public static async Task ConfigureAsync(SpeakerLab lab, string config)
    {
        string file = Path.Combine(lab.Network.Folder, "config.yaml");
        await File.WriteAllTextAsync($"{file}.new", config, Cancelled);
        File.Move($"{file}.new", file, overwrite: true);
    }

    /// <summary>Adds a host with 10.20.0.NUMBER and fd00:20::NUMBER.</summary>
    public static async Task<LabHost> HostAsync(SpeakerLab lab, string name, int number)
    {
        var host = await lab.Network.AddHostAsync(name, number, Cancelled);
        await V6Async(host, number);
        return host;
    }

    /// <summary>Gives a host fd00:20::NUMBER.</summary>
    public static Task<string> V6Async(LabHost host, int number) => host.Namespace.IpAsync($"address add fd00:20::{number}/64 dev eth0 nodad", Cancelled);

    /// <summary>Looks until one of some texts is there; what was seen. A failure tells the speakers' logs.</summary>
    public static async Task<string> SeenAsync(Func<Task<string>> look, SpeakerLab lab, params string[] wanted)
    {
        string last = "";
        try
        {
            return await Wait.ForAsync(
                async () => Array.Exists(wanted, text => last.Contains(text, StringComparison.Ordinal)) || Array.Exists(wanted, (last = await look()).Contains) ? last : null, Patience, wanted[0], Cancelled);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}\n{last}\n{lab.Logs()}", e);
        }
    }

    /// <summary>Looks until a text is gone.</summary>
    public static Task GoneAsync(Func<Task<string>> look, SpeakerLab lab, string unwanted) =>
        Wait.UntilAsync(async () => !(await look()).Contains(unwanted, StringComparison.Ordinal), Patience, () => $"the end of {unwanted}\n{lab.Logs()}", Cancelled);
}
