using System.Globalization;
using System.Text.Json;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>From the DHCP server to the wire: an address is announced for as long as its lease, and no longer.</summary>
public sealed class LeaseEndTests(ITestOutputHelper output)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task No_frame_for_a_leased_address_is_sent_after_its_lease_while_the_address_service_stands_still()
    {
        await using var lab = await SpeakerLab.StartAsync(2, heartbeats: true);
        var router = await lab.Network.AddHostAsync("router", 1, Cancelled);
        var server = DhcpServer.Create("kea", lab.Network, router, new DhcpServerOptions { Lease = TimeSpan.FromSeconds(20) });
        await server.StartAsync(Cancelled);
        using var addresses = await AddressServiceProcess.StartAsync(lab.Network, await lab.Network.AddHostAsync("addresses", 4, Cancelled), Cancelled);
        await lab.ConfigureAsync($"""
            address-services:
            - name: dhcp
              url: {addresses.Url.ToString().TrimEnd('/')}
              protocol: layer2
              token-file: {addresses.TokenFile}

            """);
        lab.StartController();
        await lab.AddPendingServiceAsync("web");
        string ip = await Wait.ForAsync(
            async () => (await ServiceAsync(lab)).GetProperty("status").TryGetProperty("loadBalancer", out var balancer) && balancer.TryGetProperty("ingress", out var ingress)
                ? ingress[0].GetProperty("ip").GetString() : null,
            TimeSpan.FromSeconds(60), "an address", Cancelled);
        await lab.WaitForOwnerAsync(ip);
        var begun = (await EndAsync(lab))!.Value;
        // It is renewed, and the end with it.
        await Wait.UntilAsync(async () => await EndAsync(lab) > begun, TimeSpan.FromSeconds(60), () => $"a renewal\n{lab.Logs()}", Cancelled);

        var capture = await lab.CaptureAsync();
        addresses.Process!.Signal("STOP");
        var end = begun;
        while (TimeProvider.System.GetUtcNow() < end + TimeSpan.FromSeconds(3))
        {
            // What the address service said before may have been on its way. At the end the controller takes the address away.
            end = await EndAsync(lab) ?? end;
            await lab.OwnerOrNobodyAsync(ip);
        }

        var seen = capture.Of(ip);
        Assert.Contains(seen, static arp => !arp.IsGratuitous);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{seen.Count} frames, the last {(end - seen[^1].At).TotalMilliseconds:F0} ms before the end"));
        Assert.All(seen, arp => Assert.True(arp.At < end, $"{arp} after {end:O}"));
        Assert.Null(await lab.WhoHasAsync(ip));

        // And it is back when the address service is.
        addresses.Process!.Signal("CONT");
        await Wait.ForAsync(() => lab.OwnerOrNobodyAsync(ip), TimeSpan.FromSeconds(60), () => $"an answer for {ip}\n{lab.Logs()}", Cancelled);
    }

    private static async Task<JsonElement> ServiceAsync(SpeakerLab lab)
    {
        using var document = JsonDocument.Parse(await lab.GetAsync("api/v1/namespaces/default/services/web"));
        return document.RootElement.Clone();
    }

    private static async Task<DateTimeOffset?> EndAsync(SpeakerLab lab) =>
        (await ServiceAsync(lab)).GetProperty("metadata").TryGetProperty("annotations", out var annotations) && annotations.TryGetProperty("dynamiclb.io/valid-until", out var end)
            ? end.GetDateTimeOffset() : null;
}
