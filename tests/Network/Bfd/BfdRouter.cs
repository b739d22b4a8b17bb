using System.Text.Json;
using DynamicLb.Lab;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Network.Bfd;

/// <summary>A host with FRR's zebra and bfdd, or with BIRD.</summary>
internal sealed class BfdRouter
{
    private const string Frr = "/usr/lib/frr";
    private readonly LabHost _host;
    private readonly string _folder;

    private BfdRouter(LabHost host, string folder) => (_host, _folder) = (host, folder);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public static async Task<BfdRouter> StartFrrAsync(LabNetwork network, LabHost host, string configuration, string? bgp = null)
    {
        Assert.SkipUnless(File.Exists($"{Frr}/bfdd"), "FRR is not installed");
        var router = new BfdRouter(host, Directory.CreateDirectory(Path.Combine(network.Folder, "frr")).FullName);
        await File.WriteAllTextAsync($"{router._folder}/zebra.conf", "log stdout\n", Cancelled);
        await File.WriteAllTextAsync($"{router._folder}/bfdd.conf", $"log stdout\n{configuration}\n", Cancelled);
        if (bgp is not null)
            await File.WriteAllTextAsync($"{router._folder}/bgpd.conf", $"log stdout\n{bgp}\n", Cancelled);
        await host.Namespace.RunAsync("chown", ["-R", "frr:frr", router._folder], Cancelled);
        foreach (string daemon in (string[])(bgp is null ? ["zebra", "bfdd"] : ["zebra", "bfdd", "bgpd"]))
        {
            network.Start(
                host, $"frr-{daemon}", $"{Frr}/{daemon}",
                [
                    "-f", $"{router._folder}/{daemon}.conf", "-i", $"{router._folder}/{daemon}.pid", "--vty_socket", router._folder, "-z", $"{router._folder}/zserv.api",
                    .. (string[])(daemon == "bfdd" ? ["--bfdctl", $"{router._folder}/bfdd.sock"] : []),
                ]);
            await Wait.UntilAsync(() => Task.FromResult(File.Exists($"{router._folder}/{daemon}.vty")), TimeSpan.FromSeconds(60), daemon, Cancelled);
        }
        return router;
    }

    public static async Task<BfdRouter> StartBirdAsync(LabNetwork network, LabHost host, string configuration)
    {
        var router = new BfdRouter(host, Directory.CreateDirectory(Path.Combine(network.Folder, "bird")).FullName);
        await File.WriteAllTextAsync($"{router._folder}/bird.conf", configuration, Cancelled);
        network.Start(host, "bird", "bird", "-f", "-c", $"{router._folder}/bird.conf", "-s", $"{router._folder}/bird.ctl", "-P", $"{router._folder}/bird.pid");
        await Wait.UntilAsync(() => Task.FromResult(File.Exists($"{router._folder}/bird.ctl")), TimeSpan.FromSeconds(60), "bird", Cancelled);
        return router;
    }

    /// <summary>Commands of FRR.</summary>
    public Task<string> VtyshAsync(params string[] commands) =>
        _host.Namespace.RunAsync("vtysh", ["--vty_socket", _folder, .. commands.SelectMany(static command => (string[])["-c", command])], Cancelled);

    /// <summary>What FRR says of a peer; null while it says nothing.</summary>
    public async Task<JsonElement?> PeerAsync(string peer)
    {
        using var document = JsonDocument.Parse(await VtyshAsync("show bfd peers json"));
        foreach (var item in document.RootElement.EnumerateArray())
        {
            if (item.GetProperty("peer").GetString() == peer)
                return item.Clone();
        }
        return null;
    }

    public Task WaitForPeerAsync(string peer, string status) => Wait.UntilAsync(
        async () => await PeerAsync(peer) is { } seen && seen.GetProperty("status").GetString() == status, TimeSpan.FromSeconds(60), $"FRR to say that {peer} is {status}", Cancelled);

    /// <summary>A command of BIRD.</summary>
    public Task<string> BirdcAsync(params string[] command) => _host.Namespace.RunAsync("birdc", ["-s", $"{_folder}/bird.ctl", .. command], Cancelled);
}
