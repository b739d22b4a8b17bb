using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>SIGKILL of the real address service at the points where it matters, before real servers.</summary>
public sealed class KillTests
{
    private const string Service = "demo/web";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Each point is held still by stopping the other side or the link, so that the kill falls just there; ACK and REQUEST by looking at the wire.</summary>
    [Theory]
    [InlineData("dnsmasq", "identity")]
    [InlineData("dnsmasq", "DISCOVER")]
    [InlineData("dnsmasq", "OFFER")]
    [InlineData("dnsmasq", "REQUEST")]
    [InlineData("dnsmasq", "ACK")]
    [InlineData("dnsmasq", "bound")]
    [InlineData("kea", "identity")]
    [InlineData("kea", "DISCOVER")]
    [InlineData("kea", "OFFER")]
    [InlineData("kea", "REQUEST")]
    [InlineData("kea", "ACK")]
    [InlineData("kea", "bound")]
    public async Task Case28_killed_while_leasing_it_ends_with_one_lease_for_the_service(string kind, string point)
    {
        await using var lab = await AddressLab.StartAsync(kind);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        bool frozen = point is "DISCOVER" or "OFFER";
        if (point == "identity")
            await lab.Network.Switch.IpAsync("link set p-node1 down", Cancelled);
        if (frozen)
            lab.Server.Signal("STOP");
        var post = TryAsync(lab);
        switch (point)
        {
            case "identity":
                await WaitForRecordAsync(lab, "requesting");
                break;
            case "DISCOVER":
                await capture.FirstAsync(DhcpMessageType.Discover);
                break;
            case "OFFER":
                // The OFFER comes to a process that cannot read it any more.
                await capture.FirstAsync(DhcpMessageType.Discover);
                lab.Service.Process!.Signal("STOP");
                lab.Server.Signal("CONT");
                await capture.FirstAsync(DhcpMessageType.Offer, 10);
                break;
            case "REQUEST":
                await capture.FirstAsync(DhcpMessageType.Request);
                break;
            case "ACK":
                await capture.FirstAsync(DhcpMessageType.Ack);
                break;
            default:
                await WaitForRecordAsync(lab, "bound");
                break;
        }
        await lab.Service.KillAsync();
        string? told = await post;
        if (point == "identity")
            await lab.Network.Switch.IpAsync("link set p-node1 up", Cancelled);
        if (point == "DISCOVER")
            lab.Server.Signal("CONT");

        await lab.Service.StartAgainAsync(Cancelled);
        var again = await lab.Service.AcquireAsync(Service, Cancelled);
        Assert.True(told is null || told == again.Ip, $"{told} became {again.Ip}");
        var record = Assert.Single((await lab.Service.StatusAsync(Cancelled)).Allocations);
        Assert.Equal(again.Ip, record.Ip);
        // Whatever the server gave to the killed process was for the same MAC: no second one.
        var entry = Assert.Single(await lab.Server.LeasesAsync(Cancelled), l => l.Active);
        Assert.Equal((again.Ip, again.Mac), (entry.Ip, entry.Mac.ToLowerInvariant()));
    }

    [Theory]
    [InlineData("dnsmasq", "tombstone")]
    [InlineData("dnsmasq", "RELEASE")]
    [InlineData("kea", "tombstone")]
    [InlineData("kea", "RELEASE")]
    public async Task Case28_killed_while_releasing_it_leaves_nothing_behind(string kind, string point)
    {
        await using var lab = await AddressLab.StartAsync(kind);
        var answer = await lab.Service.AcquireAsync(Service, Cancelled);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        Assert.Equal(200, await lab.Service.ReleaseAsync(answer.Ip, Cancelled));
        if (point == "RELEASE")
            await capture.FirstAsync(DhcpMessageType.Release);
        await lab.Service.KillAsync();
        Assert.Equal(point == "RELEASE" ? 1 : 0, Math.Min(1, capture.Count(DhcpMessageType.Release)));

        await lab.Service.StartAgainAsync(Cancelled);
        await Wait.UntilAsync(async () => !(await lab.Server.LeasesAsync(Cancelled)).Any(l => l.Active), TimeSpan.FromSeconds(10), "the server to free the address", Cancelled);
        await Wait.UntilAsync(async () => (await lab.Service.StatusAsync(Cancelled)).Allocations.Count == 0, TimeSpan.FromSeconds(10), "the record to go", Cancelled);
        Assert.Equal(200, await lab.Service.ReleaseAsync(answer.Ip, Cancelled));
    }

    [Theory]
    [InlineData("dnsmasq")]
    [InlineData("isc")]
    [InlineData("kea")]
    [InlineData("udhcpd")]
    [Trait("Fault", "C1")]
    public async Task Fifty_kills_at_random_moments_lose_nothing(string server)
    {
        const int Kills = 50;
        int seed = Environment.GetEnvironmentVariable("DYNAMICLB_TEST_SEED") is { Length: > 0 } given
            ? int.Parse(given, System.Globalization.CultureInfo.InvariantCulture) : Environment.ProcessId;
        Console.WriteLine($"kills with DYNAMICLB_TEST_SEED={seed}");
        var random = new Random(seed);
        await using var lab = await AddressLab.StartAsync(server, new DhcpServerOptions { First = 51, Last = 254 });
        var known = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int kill = 0; kill < Kills; kill++)
        {
            // Some new, some known, one given back.
            var wanted = Enumerable.Range(0, 3).Select(i => $"demo/s{kill + i}").ToList();
            var calls = wanted.Select(name => TryAsync(lab, name)).ToList();
            string? dropped = known.Count > 5 && random.Next(3) == 0 ? known.Keys.ElementAt(random.Next(known.Count)) : null;
            var drop = dropped is null || wanted.Contains(dropped) ? Task.CompletedTask : TryReleaseAsync(lab, known[dropped]);
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(60)), TimeProvider.System, Cancelled);
            await lab.Service.KillAsync();
            await drop;
            if (dropped is not null && !wanted.Contains(dropped))
                known.Remove(dropped);
            var answers = await Task.WhenAll(calls);
            for (int i = 0; i < wanted.Count; i++)
            {
                if (answers[i] is not { } ip)
                    continue;
                Assert.True(!known.TryGetValue(wanted[i], out var before) || before == ip, $"kill {kill}: {wanted[i]} had {before} and was told {ip}");
                known[wanted[i]] = ip;
            }
            await lab.Service.StartAgainAsync(Cancelled);
        }
        foreach (var (service, ip) in known)
            Assert.Equal(ip, (await lab.Service.AcquireAsync(service, Cancelled)).Ip);
        var leases = await Wait.ForAsync(async () =>
        {
            var all = (await lab.Service.StatusAsync(Cancelled)).Allocations;
            return all.All(l => l.State == "bound" && l.Verified) ? all : null;
        }, TimeSpan.FromSeconds(30), "all leases to be verified and all releases to be done", Cancelled);
        var table = await Wait.ForAsync(async () =>
        {
            var active = (await lab.Server.LeasesAsync(Cancelled)).Where(l => l.Active).Select(l => l.Ip).Order(StringComparer.Ordinal).ToList();
            return active.Count == leases.Count ? active : null;
            // udhcpd lists what it has offered for a minute, also to a client that was killed before it asked for it.
        }, TimeSpan.FromSeconds(90), "the server's table to match", Cancelled);
        Assert.Equal(leases.Select(l => l.Ip).Order(StringComparer.Ordinal), table);
    }

    private static Task WaitForRecordAsync(AddressLab lab, string state) => Wait.UntilAsync(
        // Durable with its line; the file follows.
        () => Task.FromResult(Holds(Path.Combine(lab.Service.Data, "writes.jsonl"), $"\"state\":\"{state}\"")),
        TimeSpan.FromSeconds(5), $"a record that is {state}", Cancelled);

    private static bool Holds(string file, string text)
    {
        try
        {
            return File.ReadAllText(file).Contains(text, StringComparison.OrdinalIgnoreCase);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static async Task<string?> TryAsync(AddressLab lab, string service = Service)
    {
        try
        {
            return (await lab.Service.AcquireAsync(service, Cancelled)).Ip;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return null;
        }
    }

    private static async Task TryReleaseAsync(AddressLab lab, string ip)
    {
        try
        {
            await lab.Service.ReleaseAsync(ip, Cancelled);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // Whether it was taken is not known: neither is asserted.
        }
    }
}
