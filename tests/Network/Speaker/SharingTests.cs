using System.Text.Json;
using DynamicLb.Lab;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>An address has one announcer, however Services share it, and none before it was looked for.</summary>
public sealed class SharingTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Services_that_share_addresses_in_another_order_have_one_announcer()
    {
        await using var lab = await SpeakerLab.StartAsync(2, true);
        var ips = Enumerable.Range(100, 50).Select(static i => $"10.20.0.{i}").ToArray();
        string low = ips.First(ip => lab.ElectedFor(ip) == "node1"), high = ips.Last(ip => lab.ElectedFor(ip) == "node2");
        await lab.AddServiceAsync("one", $"{high},{low}");
        await lab.WaitForOwnerToBeAsync(high, "node2");
        await lab.AddServiceAsync("other", $"{low},{high}");

        await lab.WaitForOwnerToBeAsync(high, "node1");
        await lab.WaitForOwnerToBeAsync(low, "node1");
        await lab.WaitForMetricAsync("node1", "metallb_speaker_announced", 4);
        await lab.WaitForMetricAsync("node2", "metallb_speaker_announced", 0);
    }

    [Fact]
    public async Task What_a_node_refuses_the_next_refuses_too_and_keeps_the_condition()
    {
        const string Ip = "10.20.0.100";
        await using var lab = await SpeakerLab.StartAsync(2, true);
        string first = lab.ElectedFor(Ip), next = first == "node1" ? "node2" : "node1";
        await lab.Client.Namespace.IpAsync($"address add {Ip}/24 dev eth0", Cancelled);
        await lab.AddServiceAsync("web", Ip);
        await WaitForConditionAsync(lab, $"as node \"{first}\" sees it");

        await lab.ExcludeAsync(first, true);
        await WaitForConditionAsync(lab, $"as node \"{next}\" sees it");
        Assert.Equal(0, await lab.MetricAsync(next, "metallb_speaker_announced"));

        // The former is back, and finds nobody: what the other told is over.
        await lab.Client.Namespace.IpAsync($"address delete {Ip}/24 dev eth0", Cancelled);
        await lab.ExcludeAsync(first, false);
        await lab.WaitForOwnerToBeAsync(Ip, first);
        await WaitForConditionAsync(lab, "no other machine has the address");
    }

    private static Task WaitForConditionAsync(SpeakerLab lab, string words) => Wait.UntilAsync(
        async () =>
        {
            using var document = JsonDocument.Parse(await lab.GetAsync("api/v1/namespaces/default/services/web"));
            return document.RootElement.GetProperty("status").TryGetProperty("conditions", out var conditions)
                && conditions.EnumerateArray().Any(condition => condition.GetProperty("message").GetString()!.Contains(words, StringComparison.Ordinal));
        },
        TimeSpan.FromSeconds(60), $"the condition to say {words}\n{lab.Logs()}", Cancelled);
}
