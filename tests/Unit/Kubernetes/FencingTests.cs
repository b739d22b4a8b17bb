using System.Text;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.KubeApi;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Kubernetes;

/// <summary>Writes that are held back, and copies that are made fresh.</summary>
public sealed class FencingTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_fenced_client_reads_but_writes_only_while_nothing_speaks_against_it()
    {
        await using var api = await KubeApiServer.StartAsync();
        string? refusal = null;
        var client = ((KubernetesClient)api.Client).Fenced(() => refusal);
        await client.CreateAsync(ResourceTypes.ConfigMaps, New("a"), Token);
        refusal = "the claim has run out";

        var thrown = await Assert.ThrowsAsync<IOException>(() => client.CreateAsync(ResourceTypes.ConfigMaps, New("b"), Token));
        await Assert.ThrowsAsync<IOException>(() => client.DeleteAsync(ResourceTypes.ConfigMaps, "default", "a", Token));

        Assert.Contains("the claim has run out", thrown.Message, StringComparison.Ordinal);
        Assert.Equal(["a"], (await client.ListAsync(ResourceTypes.ConfigMaps, "default", Token)).Items.Select(static map => map.Metadata.Name));
    }

    [Fact]
    public async Task What_was_begun_before_does_not_leave_after_the_claim_has_run_out()
    {
        await using var api = await KubeApiServer.StartAsync();
        await api.Client.CreateAsync(ResourceTypes.ConfigMaps, New("a"), Token);
        int asked = 0;
        // Good when the request is made, and over when its body is about to leave.
        var client = ((KubernetesClient)api.Client).Fenced(() => ++asked == 1 ? null : "paused meanwhile");

        await Assert.ThrowsAnyAsync<Exception>(() => client.PatchAsync(
            ResourceTypes.ConfigMaps, "default", "a", PatchType.Merge, Encoding.UTF8.GetBytes("""{"data":{"k":"v"}}"""), null, Token));

        Assert.Equal(2, asked);
        Assert.Null((await api.Client.GetAsync(ResourceTypes.ConfigMaps, "default", "a", Token)).Data);
    }

    [Fact]
    public async Task Refresh_lists_anew_unless_the_last_list_began_after_the_moment_asked_for()
    {
        await using var api = await KubeApiServer.StartAsync();
        var time = TimeProvider.System;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var informer = new Informer<ConfigMap>(api.Client, ResourceTypes.ConfigMaps, "default", time, new Random(1), NullLogger.Instance);
        var followed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        informer.Subscribe((_, map) =>
        {
            if (map?.Metadata.Name == "b")
                followed.TrySetResult();
        });
        long start = time.GetTimestamp();
        var running = informer.RunAsync(stop.Token);
        await informer.WaitForSyncAsync(Token);

        Assert.True(informer.RefreshAsync(start, Token).IsCompletedSuccessfully);
        await api.Client.CreateAsync(ResourceTypes.ConfigMaps, New("a"), Token);
        await informer.RefreshAsync(time.GetTimestamp(), Token);
        Assert.Single(informer.Items);
        // And it goes on following.
        await api.Client.CreateAsync(ResourceTypes.ConfigMaps, New("b"), Token);
        await followed.Task.WaitAsync(Token);
        Assert.Equal(2, informer.Items.Count);
        await stop.CancelAsync();
        await running;
    }

    private static ConfigMap New(string name) => new() { Metadata = new ObjectMeta { Name = name, Namespace = "default" } };
}
