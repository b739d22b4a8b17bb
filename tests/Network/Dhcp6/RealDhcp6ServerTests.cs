using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Network.Dhcp6;

/// <summary>The DHCPv6 client on the link and as a relay agent, against real servers in namespaces.</summary>
public sealed class RealDhcp6ServerTests
{
    public static TheoryData<string> Kinds => new(Dhcp6Server.Kinds);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [Trait("Fault", "A6")]
    [MemberData(nameof(Kinds))]
    public async Task Case51_leases_are_granted_rebound_after_a_restart_and_released(string kind)
    {
        await using var lab = await StartAsync(kind, 256, 600);
        var clients = Run(lab, "first", "acquire", "3");
        string[] addresses = await LinesAsync(lab, "first", "bound", 3);
        Assert.Equal(3, addresses.Select(line => line.Split(' ')[2]).Distinct(StringComparer.Ordinal).Count());
        Assert.All(addresses, line => Assert.StartsWith("fd77::1:", line.Split(' ')[2], StringComparison.Ordinal));
        await clients.DisposeAsync();

        var lease = addresses.First(line => line.StartsWith("bound 1 ", StringComparison.Ordinal)).Split(' ');
        var again = Run(lab, "again", "resume", "1", lease[2], lease[3]);
        Assert.Contains($" {lease[2]} ", (await LinesAsync(lab, "again", "renewed", 1))[0], StringComparison.Ordinal);
        Assert.All(await LinesAsync(lab, "again", "sent", 1), line => Assert.EndsWith("Rebind", line, StringComparison.Ordinal));
        await again.DisposeAsync();

        Run(lab, "release", "release", "1", lease[2], lease[3]);
        await LinesAsync(lab, "release", "released", 1);
        await AssertReleasedAsync(lab);
    }

    [Theory]
    [InlineData("isc")]
    [InlineData("kea")]
    public async Task Case51_a_short_lease_is_renewed_again_and_again(string kind)
    {
        await using var lab = await StartAsync(kind, 256, 20);
        Run(lab, "clients", "acquire", "1");
        await LinesAsync(lab, "clients", "renewed", 3);
        Assert.DoesNotContain("lost", Output(lab, "clients"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Case51_an_exhausted_range_is_told(string kind)
    {
        await using var lab = await StartAsync(kind, 2, 600);
        Run(lab, "clients", "acquire", "3");
        await LinesAsync(lab, "clients", "bound", 2);
        await Wait.UntilAsync(
            () => Task.FromResult(Output(lab, "clients").Contains("NoAddrsAvail", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "the server's refusal", Cancelled);
        Assert.Equal(2, Output(lab, "clients").Split('\n').Count(line => line.StartsWith("bound", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("dnsmasq")]
    [InlineData("kea")]
    public async Task Case51_rapid_commit_needs_two_messages(string kind)
    {
        await using var lab = await StartAsync(kind, 256, 600);
        Run(lab, "clients", "rapid", "1");
        await LinesAsync(lab, "clients", "bound", 1);
        Assert.DoesNotContain("Request", Output(lab, "clients"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Case51_an_address_in_use_is_declined_and_another_taken_while_the_hosts_own_client_has_the_port(string kind)
    {
        await using var lab = await StartAsync(kind, 2, 600);
        await lab["server"].Namespace.IpAsync("-6 address add fd77::1:0/64 dev eth0 nodad", Cancelled);
        lab.StartOurs(lab["node"], "holder", "Lab", "hold-udp", "546");
        await Wait.UntilAsync(() => Task.FromResult(Output(lab, "holder").Contains("ready", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "the port", Cancelled);
        Run(lab, "clients", "detect", "fd77::1:0");
        Assert.Contains(" fd77::1:1 ", (await LinesAsync(lab, "clients", "bound", 1))[0], StringComparison.Ordinal);
        Assert.Contains("conflict 1 fd77::1:0", Output(lab, "clients"), StringComparison.Ordinal);
        Assert.Contains("Decline", Output(lab, "clients"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Case51_a_relay_agent_leases_resumes_and_releases(string kind)
    {
        await using var lab = await StartAsync(kind, 256, 600);
        await lab["node"].Namespace.IpAsync("-6 address add fd77::2/64 dev eth0 nodad", Cancelled);
        var clients = RunOn("relay=fd77::2,fd77::1", lab, "first", "acquire", "2");
        string[] addresses = await LinesAsync(lab, "first", "bound", 2);
        Assert.NotEqual(addresses[0].Split(' ')[2], addresses[1].Split(' ')[2]);
        await clients.DisposeAsync();

        var lease = addresses.First(line => line.StartsWith("bound 1 ", StringComparison.Ordinal)).Split(' ');
        var again = RunOn("relay=fd77::2,fd77::1", lab, "again", "resume", "1", lease[2], lease[3]);
        Assert.Contains($" {lease[2]} ", (await LinesAsync(lab, "again", "renewed", 1))[0], StringComparison.Ordinal);
        await again.DisposeAsync();
        RunOn("relay=fd77::2,fd77::1", lab, "release", "release", "1", lease[2], lease[3]);
        await LinesAsync(lab, "release", "released", 1);
        await AssertReleasedAsync(lab);
    }

    internal static async Task<LabNetwork> StartAsync(string kind, int addresses, int validSeconds, Func<LabNetwork, Task>? before = null)
    {
        var lab = await LabNetwork.CreateAsync(Cancelled);
        try
        {
            var server = await lab.AddHostAsync("server", 1, Cancelled);
            var node = await lab.AddHostAsync("node", 11, Cancelled);
            if (before is not null)
                await before(lab);
            await Dhcp6Server.StartAsync(kind, lab, server, addresses, validSeconds, Cancelled);
            await Dhcp6Server.UsableAsync(node, Cancelled);
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    /// <summary>Nothing but RELEASEs was sent: one, or more where the server took longer than a second to answer.</summary>
    private static async Task AssertReleasedAsync(LabNetwork lab)
    {
        var sent = await LinesAsync(lab, "release", "sent", 1);
        Assert.All(sent, static line => Assert.EndsWith("Release", line, StringComparison.Ordinal));
        Assert.InRange(sent.Length, 1, 5);
    }

    private static ChildProcess Run(LabNetwork lab, string log, params string[] task) => RunOn("eth0", lab, log, task);

    private static ChildProcess RunOn(string link, LabNetwork lab, string log, params string[] task) =>
        lab.StartOurs(lab["node"], log, "Lab", ["dhcp6-clients", link, .. task]);

    private static string Output(LabNetwork lab, string log)
    {
        string path = Path.Combine(lab.Folder, $"{log}.log");
        string text = File.Exists(path) ? File.ReadAllText(path) : "";
        // Whole lines only.
        return text[..(text.LastIndexOf('\n') + 1)];
    }

    private static async Task<string[]> LinesAsync(LabNetwork lab, string log, string start, int count)
    {
        try
        {
            return await Wait.ForAsync(
                () => Task.FromResult(
                    Output(lab, log).Split('\n').Where(line => line.StartsWith($"{start} ", StringComparison.Ordinal)).ToArray() is var lines && lines.Length >= count ? lines : null),
                TimeSpan.FromSeconds(60), $"{count} times '{start}'", Cancelled);
        }
        catch (TimeoutException fault)
        {
            throw new TimeoutException($"waited in vain for {count} times '{start}': {Output(lab, log)} {Output(lab, "dhcp6")}", fault);
        }
    }
}
