using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Kubernetes;

/// <summary>The client and the informer against the in-process API server.</summary>
public sealed class KubernetesClientTests : IAsyncLifetime
{
    private KubeApiServer _api = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _api = await KubeApiServer.StartAsync(token: "secret");

    public async ValueTask DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task A_list_of_many_pages_is_whole()
    {
        await Task.WhenAll(Enumerable.Range(0, 1203).Select(i => CreateAsync($"s{i}")));
        var list = await _api.Client.ListAsync(ResourceTypes.Services, null, Token);
        Assert.Equal(1203, list.Items.Select(static item => item.Metadata.Name).Distinct().Count());
    }

    [Fact]
    public async Task A_patch_keeps_fields_that_the_types_do_not_know()
    {
        using var http = Http();
        using var content = new StringContent(
            """{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"sessionAffinity":"ClientIP","ports":[{"port":80}]}}""",
            System.Text.Encoding.UTF8, "application/json");
        (await http.PostAsync("/api/v1/namespaces/default/services", content, Token)).EnsureSuccessStatusCode();
        await _api.Client.PatchAsync(
            ResourceTypes.Services, "default", "web", PatchType.Merge, """{"metadata":{"annotations":{"a":"b"} }}"""u8.ToArray(), null, Token);
        string text = await http.GetStringAsync("/api/v1/namespaces/default/services/web", Token);
        Assert.Contains("ClientIP", text, StringComparison.Ordinal);
        Assert.Contains("\"a\":\"b\"", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_patch_that_carries_an_old_version_is_a_conflict()
    {
        var old = await CreateAsync("web");
        await AnnotateAsync("web", "1");
        var fault = await Assert.ThrowsAsync<KubernetesApiException>(() => _api.Client.PatchAsync(
            ResourceTypes.Services, "default", "web", PatchType.Merge,
            System.Text.Encoding.UTF8.GetBytes($$$"""{"metadata":{"resourceVersion":"{{{old.Metadata.ResourceVersion}}}","annotations":{"n":"2"} }}"""),
            null, Token));
        Assert.Equal((HttpStatusCode.Conflict, "Conflict"), (fault.StatusCode, fault.Reason));
    }

    [Fact]
    public async Task A_refusal_carries_the_code_and_the_reason_of_the_server()
    {
        var fault = await Assert.ThrowsAsync<KubernetesApiException>(() => _api.Client.GetAsync(ResourceTypes.Services, "default", "nothing", Token));
        Assert.Equal((HttpStatusCode.NotFound, "NotFound"), (fault.StatusCode, fault.Reason));
        using var stranger = new KubernetesClient(new KubernetesClientConfiguration { Server = _api.Url, Token = "wrong" }, TimeProvider.System);
        fault = await Assert.ThrowsAsync<KubernetesApiException>(() => stranger.ListAsync(ResourceTypes.Services, null, Token));
        Assert.Equal(HttpStatusCode.Unauthorized, fault.StatusCode);
    }

    [Fact]
    public async Task An_answer_of_429_is_waited_out_when_it_says_how_long()
    {
        var time = new FakeTime();
        using var client = new KubernetesClient(new KubernetesClientConfiguration { Server = _api.Url, Token = "secret" }, time);
        _api.Faults.AnswerWith(HttpStatusCode.TooManyRequests);
        var list = client.ListAsync(ResourceTypes.Services, null, Token);
        // That of the pause, beside that of the whole request.
        await Eventually.TrueAsync(() => time.PendingTimers > 1);
        _api.Faults.Heal();
        time.Advance(TimeSpan.FromSeconds(0.9));
        Assert.False(list.IsCompleted);
        Assert.Equal(2, time.PendingTimers);
        time.Advance(TimeSpan.FromSeconds(0.2));
        Assert.Empty((await list).Items);
    }

    [Fact]
    public async Task A_server_that_never_answers_is_a_failure_and_no_wish_to_stop()
    {
        // Connections come about and are never read: an API server that vanished behind its load balancer.
        using var mute = new TcpListener(IPAddress.Loopback, 0);
        mute.Start();
        var time = new FakeTime();
        using var client = new KubernetesClient(new KubernetesClientConfiguration { Server = new Uri($"http://{mute.LocalEndpoint}") }, time);
        Func<CancellationToken, Task>[] calls =
        [
            token => client.GetAsync(ResourceTypes.Services, "default", "web", token), token => client.DeleteAsync(ResourceTypes.Services, "default", "web", token),
            token => client.DeleteAsync(ResourceTypes.Services, "default", "web", "1", token), token => client.ServesAsync("v1", token),
            async token =>
            {
                await foreach (var change in client.WatchAsync(ResourceTypes.Services, null, "1", TimeSpan.FromMinutes(1), token))
                    Assert.Fail($"There is nothing to report: {change}");
            },
        ];
        foreach (var call in calls)
        {
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var unanswered = call(stop.Token);
            time.Advance(TimeSpan.FromMinutes(1));
            Assert.Contains("did not answer", (await Assert.ThrowsAsync<IOException>(() => unanswered)).Message, StringComparison.Ordinal);

            var stopped = call(stop.Token);
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stopped);
        }
    }

    [Fact]
    public async Task A_watch_from_a_forgotten_version_is_Gone()
    {
        var first = await CreateAsync("a");
        await CreateAsync("b");
        _api.Compact();
        var fault = await Assert.ThrowsAsync<KubernetesApiException>(async () =>
        {
            await foreach (var change in _api.Client.WatchAsync(
                ResourceTypes.Services, null, first.Metadata.ResourceVersion!, TimeSpan.FromMinutes(1), Token))
            {
                Assert.Fail($"There is nothing to report: {change}");
            }
        });
        Assert.Equal(HttpStatusCode.Gone, fault.StatusCode);
    }

    [Fact]
    public async Task An_informer_loses_no_change_while_watches_drop_and_the_server_fails()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var informer = new Informer<Service>(_api.Client, ResourceTypes.Services, null, TimeProvider.System, new Random(1), NullLogger.Instance);
        var seen = new ConcurrentQueue<(string? Old, string? New)>();
        informer.Subscribe((old, item) => seen.Enqueue((old?.Metadata.Name, item?.Metadata.Name)));
        for (int i = 0; i < 20; i++)
            await CreateAsync($"s{i}");
        var run = informer.RunAsync(stop.Token);
        await informer.WaitForSyncAsync(Token);
        Assert.Equal(20, informer.Items.Count);

        for (int i = 0; i < 10; i++)
        {
            await AnnotateAsync("s0", $"{i}");
            await _api.Client.DeleteAsync(ResourceTypes.Services, "default", $"s{i + 10}", Token);
            _api.Faults.DropWatches();
        }
        _api.Faults.AnswerWith(HttpStatusCode.InternalServerError);
        _api.Faults.DropWatches();
        await Task.Delay(TimeSpan.FromMilliseconds(300), TimeProvider.System, Token);
        _api.Faults.Heal();
        await CreateAsync("late");

        await Eventually.TrueAsync(() => informer.Get(new NamespacedName("default", "late")) is not null);
        Assert.Equal(11, informer.Items.Count);
        Assert.Equal("9", informer.Get(new NamespacedName("default", "s0"))!.Metadata.Annotation("n"));
        Assert.Equal(10, seen.Count(static change => change.New is null));
        await stop.CancelAsync();
        await run;
    }

    [Fact]
    public async Task After_a_410_the_informer_reports_what_vanished_meanwhile()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        await CreateAsync("stays");
        await CreateAsync("goes");
        var informer = new Informer<Service>(_api.Client, ResourceTypes.Services, null, TimeProvider.System, new Random(1), NullLogger.Instance);
        var removed = new ConcurrentQueue<string?>();
        informer.Subscribe((old, item) =>
        {
            if (item is null)
                removed.Enqueue(old!.Metadata.Name);
        });
        var run = informer.RunAsync(stop.Token);
        await informer.WaitForSyncAsync(Token);

        // The informer pauses after a broken watch; in that time the object goes and the history with it.
        _api.Faults.DropWatches();
        await _api.Client.DeleteAsync(ResourceTypes.Services, "default", "goes", Token);
        _api.Compact();
        await Eventually.TrueAsync(() => removed.Contains("goes"));
        Assert.Equal("stays", Assert.Single(informer.Items).Metadata.Name);
        await stop.CancelAsync();
        await run;
    }

    private Task<Service> CreateAsync(string name) => _api.Client.CreateAsync(
        ResourceTypes.Services,
        new Service
        {
            Metadata = new ObjectMeta { Name = name, Namespace = "default" },
            Spec = new ServiceSpec { Type = "LoadBalancer", Ports = [new ServicePort { Port = 80 }] },
        },
        Token);

    private Task<Service> AnnotateAsync(string name, string value) => _api.Client.PatchAsync(
        ResourceTypes.Services, "default", name, PatchType.Merge,
        System.Text.Encoding.UTF8.GetBytes($$$"""{"metadata":{"annotations":{"n":"{{{value}}}"} }}"""), null, Token);

    private HttpClient Http()
    {
        var http = new HttpClient { BaseAddress = _api.Url };
        http.DefaultRequestHeaders.Authorization = new("Bearer", "secret");
        return http;
    }
}
