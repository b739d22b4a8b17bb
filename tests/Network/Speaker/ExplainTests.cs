using System.Text.Json;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Lab;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>What users are told about a Service: ServiceL2Status, conflicts, and dynlb explain.</summary>
public sealed class ExplainTests
{
    private const string Ip = "10.20.0.100";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_status_object_says_who_announces_and_explain_says_why()
    {
        await using var lab = await SpeakerLab.StartAsync();
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForOwnerAsync(Ip);
        await WaitForStatusAsync(lab, first);

        string other = first == "node1" ? "node2" : "node1";
        Assert.Contains($"default/web: announced from this node, {first}", await ExplainAsync(lab, first, "text"), StringComparison.Ordinal);
        await Wait.UntilAsync(
            async () => (await ExplainAsync(lab, other, "text")).Contains($"announced from node {first}", StringComparison.Ordinal), TimeSpan.FromSeconds(60),
            "the other to know who announces", Cancelled);
        var explanation = JsonSerializer.Deserialize(await ExplainAsync(lab, first, "json"), ExplanationJsonContext.Default.ServiceExplanation)!;
        Assert.NotNull(Assert.Single(explanation.Addresses).LastAnswered);
        Assert.Contains(explanation.Nodes, node => node.Node == other && node.IsCandidate);
        Assert.Contains(explanation.Interfaces, static link => link is { Name: "eth0", IsUsed: true });

        // Killed, it leaves its object behind; who takes over replaces it.
        lab.Speaker(first).Signal("KILL");
        await WaitForStatusAsync(lab, other);
        await lab.DeleteServiceAsync("web");
        await WaitForStatusAsync(lab);
    }

    [Fact]
    public async Task An_address_that_another_machine_has_is_not_announced_before_it_is_free()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        await lab.Client.Namespace.IpAsync($"address add {Ip}/24 dev eth0", Cancelled);
        string mac = await lab.Client.MacAsync(Cancelled);
        await lab.AddServiceAsync("web", Ip);

        await Wait.UntilAsync(async () => await lab.EventCountAsync("web", "addressConflict") == 1, TimeSpan.FromSeconds(60), () => $"an Event\n{lab.Logs()}", Cancelled);
        await Wait.UntilAsync(
            async () => (await lab.GetAsync("api/v1/namespaces/default/services/web")).Contains($"{Ip} is in use by {mac}", StringComparison.Ordinal), TimeSpan.FromSeconds(60),
            "the condition", Cancelled);
        Assert.Equal(0, await lab.MetricAsync("node1", "metallb_speaker_announced"));
        Assert.Contains($"{Ip} is at {mac}", await ExplainAsync(lab, "node1", "text"), StringComparison.Ordinal);

        await lab.Client.Namespace.IpAsync($"address delete {Ip}/24 dev eth0", Cancelled);
        Assert.Equal("node1", await lab.WaitForOwnerAsync(Ip));
        await Wait.UntilAsync(
            async () => (await lab.GetAsync("api/v1/namespaces/default/services/web")).Contains("no other machine has the address", StringComparison.Ordinal),
            TimeSpan.FromSeconds(60), "the condition to be over", Cancelled);
    }

    private static Task<string> ExplainAsync(SpeakerLab lab, string node, string output) =>
        lab.Network[node].Namespace.RunAsync("sh", ["-c", $"dotnet {Programs.PathOf("Cli")} explain default/web --output {output} || test $? = 1"], Cancelled);

    private static Task WaitForStatusAsync(SpeakerLab lab, params string[] nodes) => Wait.UntilAsync(
        async () =>
        {
            using var document = JsonDocument.Parse(await lab.GetAsync("apis/metallb.io/v1beta1/namespaces/default/servicel2statuses"));
            return document.RootElement.GetProperty("items").EnumerateArray()
                .Select(static item => item.TryGetProperty("status", out var status) && status.TryGetProperty("node", out var node) ? node.GetString() : "").SequenceEqual(nodes);
        },
        TimeSpan.FromSeconds(60), () => $"ServiceL2Status of {string.Join(' ', nodes)}\n{lab.Logs()}", Cancelled);
}
