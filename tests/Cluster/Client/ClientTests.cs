using System.Net;
using System.Text;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.LeaderElection;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Cluster.Client;

/// <summary>Our Kubernetes client against the real kube-apiserver: pages, conflicts, lost connections, elections, Events.</summary>
public sealed class ClientTests(ClientCluster cluster) : IClassFixture<ClientCluster>
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_list_of_several_pages_is_whole()
    {
        string space = await cluster.NamespaceAsync("pages");
        await Parallel.ForAsync(0, 620, Token, async (i, token) => await cluster.Client.CreateAsync(
            ResourceTypes.Secrets, new Secret { Metadata = new ObjectMeta { Namespace = space, Name = $"s{i}" } }, token));
        var list = await cluster.Client.ListAsync(ResourceTypes.Secrets, space, Token);
        Assert.Equal(620, list.Items.Select(static item => item.Metadata.Name).Distinct().Count());
    }

    [Fact]
    public async Task A_patch_that_carries_an_old_version_is_a_conflict()
    {
        string space = await cluster.NamespaceAsync("conflicts");
        var old = await CreateAsync(space, "web");
        await AnnotateAsync(space, "web", "1");
        string patch = $$$"""{"metadata":{"resourceVersion":"{{{old.Metadata.ResourceVersion}}}","annotations":{"n":"2"} }}""";
        var fault = await Assert.ThrowsAsync<KubernetesApiException>(() => cluster.Client.PatchAsync(
            ResourceTypes.Services, space, "web", PatchType.Merge, Encoding.UTF8.GetBytes(patch), null, Token));
        Assert.Equal((HttpStatusCode.Conflict, "Conflict"), (fault.StatusCode, fault.Reason));
    }

    [Fact]
    [Trait("Fault", "C14")]
    public async Task An_informer_loses_no_change_while_the_API_server_is_killed_and_started_again()
    {
        string space = await cluster.NamespaceAsync("restarts");
        for (int i = 0; i < 20; i++)
            await CreateAsync(space, $"s{i}");
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var informer = Follow(cluster.Client, space);
        var run = informer.RunAsync(stop.Token);
        await informer.WaitForSyncAsync(Token);
        Assert.Equal(20, informer.Items.Count);

        for (int round = 0; round < 2; round++)
        {
            await AnnotateAsync(space, "s0", $"before {round}");
            await cluster.Client.DeleteAsync(ResourceTypes.Services, space, $"s{round + 1}", Token);
            await cluster.Plane.StopApiServerAsync();
            await cluster.Plane.StartApiServerAsync(Token);
            await PersistAsync(() => AnnotateAsync(space, "s0", $"after {round}"));
            await PersistAsync(() => CreateOnceAsync(space, $"new{round}"));
        }

        await WaitAsync(() =>
            informer.Get(new NamespacedName(space, "new1")) is not null
            && informer.Get(new NamespacedName(space, "s0"))?.Metadata.Annotation("n") == "after 1");
        var truth = await cluster.Client.ListAsync(ResourceTypes.Services, space, Token);
        Assert.Equal(20, truth.Items.Count);
        await WaitAsync(() => Versions(truth.Items).SequenceEqual(Versions(informer.Items)));
        await stop.CancelAsync();
        await run;
    }

    [Theory]
    [InlineData(HttpStatusCode.TooManyRequests)]
    [InlineData(HttpStatusCode.InternalServerError)]
    public async Task An_informer_loses_no_change_while_the_server_answers_only_with_errors(HttpStatusCode status)
    {
        string space = await cluster.NamespaceAsync($"errors{(int)status}");
        await CreateAsync(space, "web");
        await using var proxy = await FaultProxy.StartAsync(cluster.Plane);
        using var through = new KubernetesClient(
            new KubernetesClientConfiguration { Server = proxy.Url, Token = cluster.Plane.AdminToken }, TimeProvider.System);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var informer = Follow(through, space);
        var run = informer.RunAsync(stop.Token);
        await informer.WaitForSyncAsync(Token);

        proxy.Fail(status);
        for (int i = 0; i < 10; i++)
            await CreateAsync(space, $"s{i}");
        await cluster.Client.DeleteAsync(ResourceTypes.Services, space, "web", Token);
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System, Token);
        Assert.Single(informer.Items);
        proxy.Heal();

        await WaitAsync(() => informer.Items.Count == 10 && informer.Get(new NamespacedName(space, "web")) is null);
        await stop.CancelAsync();
        await run;
    }

    [Fact]
    public async Task Leadership_passes_on_at_once_after_a_clean_stop_and_after_the_claim_runs_out_otherwise()
    {
        string space = await cluster.NamespaceAsync("election");
        await using var proxy = await FaultProxy.StartAsync(cluster.Plane);
        using var through = new KubernetesClient(
            new KubernetesClientConfiguration { Server = proxy.Url, Token = cluster.Plane.AdminToken }, TimeProvider.System);
        using var stopFirst = CancellationTokenSource.CreateLinkedTokenSource(Token);
        using var stopThird = CancellationTokenSource.CreateLinkedTokenSource(Token);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);

        var first = Candidate(cluster.Client, space, "first");
        var firstRun = first.RunAsync(LeadAsync, stopFirst.Token);
        await WaitAsync(() => first.IsLeader);
        var second = Candidate(through, space, "second");
        var secondRun = second.RunAsync(LeadAsync, stop.Token);
        await stopFirst.CancelAsync();
        await firstRun;
        await WaitAsync(() => second.IsLeader);

        var third = Candidate(cluster.Client, space, "third");
        var thirdRun = third.RunAsync(LeadAsync, stopThird.Token);
        proxy.Fail(HttpStatusCode.InternalServerError);
        await WaitAsync(() =>
        {
            // In this order: what is read second is as of later, and who has lost it does not get it back.
            bool taken = third.IsLeader;
            Assert.False(taken && second.Claimed != LeaderClaim.None);
            return taken;
        });
        await stop.CancelAsync();
        await stopThird.CancelAsync();
        await Task.WhenAll(secondRun, thirdRun);
    }

    [Fact]
    public async Task An_Event_that_repeats_is_counted_in_place()
    {
        string space = await cluster.NamespaceAsync("events");
        var web = await CreateAsync(space, "web");
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var recorder = new EventRecorder(cluster.Client, "client-test", null, TimeProvider.System, NullLogger<EventRecorder>.Instance);
        var run = recorder.RunAsync(stop.Token);
        for (int i = 0; i < 3; i++)
            recorder.Warning(web, "AllocationFailed", "no address");
        CoreEvent? told = null;
        for (int i = 0; i < 600 && told?.Count != 3; i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Token);
            told = (await cluster.Client.ListAsync(ResourceTypes.Events, space, Token)).Items.SingleOrDefault();
        }
        Assert.Equal((3, "AllocationFailed", "no address"), (told!.Count, told.Reason, told.Message));
        await stop.CancelAsync();
        await run;
    }

    [Fact]
    public async Task EndpointSlices_are_followed_in_the_version_that_the_server_has()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var informer = EndpointSliceInformer.Create(cluster.Client, TimeProvider.System, new Random(1), NullLogger.Instance, static slice => slice);
        var run = informer.RunAsync(stop.Token);
        await informer.WaitForSyncAsync(Token).WaitAsync(Patience, TimeProvider.System, Token);
        await stop.CancelAsync();
        await run;
    }

    private static async Task LeadAsync(CancellationToken token) => await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);

    private static LeaderElector Candidate(KubernetesClient client, string space, string name) => new(
        client,
        new LeaderElectionOptions(space, "lease", name)
        {
            LeaseDuration = TimeSpan.FromSeconds(6),
            RenewDeadline = TimeSpan.FromSeconds(3),
            RetryPeriod = TimeSpan.FromSeconds(0.5),
        },
        TimeProvider.System, new Random(1), NullLogger.Instance);

    private static Informer<Service> Follow(KubernetesClient client, string space) =>
        new(client, ResourceTypes.Services, space, TimeProvider.System, new Random(1), NullLogger.Instance);

    private static IEnumerable<string> Versions(IEnumerable<Service> services) =>
        services.Select(static item => $"{item.Metadata.Name} {item.Metadata.ResourceVersion}").Order(StringComparer.Ordinal);

    private Task<Service> CreateAsync(string space, string name) => cluster.Client.CreateAsync(
        ResourceTypes.Services,
        new Service
        {
            Metadata = new ObjectMeta { Namespace = space, Name = name },
            Spec = new ServiceSpec { Type = "LoadBalancer", Ports = [new ServicePort { Port = 80 }] },
        },
        Token);

    /// <summary>As <see cref="CreateAsync"/>; it may be there already, by a request whose answer was lost.</summary>
    private async Task CreateOnceAsync(string space, string name)
    {
        try
        {
            await CreateAsync(space, name);
        }
        catch (KubernetesApiException e) when (e.Reason == "AlreadyExists")
        {
        }
    }

    private Task<Service> AnnotateAsync(string space, string name, string value) => cluster.Client.PatchAsync(
        ResourceTypes.Services, space, name, PatchType.Merge,
        Encoding.UTF8.GetBytes($$$"""{"metadata":{"annotations":{"n":"{{{value}}}"} }}"""), null, Token);

    /// <summary>A freshly started server still refuses some requests; connections from before are dead.</summary>
    private static async Task PersistAsync(Func<Task> action)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                await action();
                return;
            }
            catch (Exception e) when (attempt < 120 && (e is KubernetesApiException or HttpRequestException or IOException))
            {
                await Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System, Token);
            }
        }
    }

    private static async Task WaitAsync(Func<bool> condition)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < Patience, "It did not happen in time.");
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Token);
        }
    }
}
