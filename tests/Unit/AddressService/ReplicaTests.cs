using System.Net;
using DynamicLb.AddressService.Configuration;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Tests whose programs must get the processor when their timers say so: they run after all others, one at a time.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class RealTime
{
    public const string Name = "real time";
}

/// <summary>Two replicas of the whole program before one API server and one DHCP server.</summary>
[Collection(RealTime.Name)]
public sealed class ReplicaTests : IAsyncLifetime
{
    private readonly string _kubeConfig = Path.GetTempFileName();
    private KubeApiServer _server = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _server = await KubeApiServer.StartAsync();
        await File.WriteAllTextAsync(_kubeConfig, _server.KubeConfig());
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        File.Delete(_kubeConfig);
    }

    [Fact]
    [Trait("Fault", "C2")]
    public async Task The_standby_refuses_and_names_the_leader_then_takes_over_with_every_lease()
    {
        // Nobody is to lead because the other one stood still for a while.
        var patience = TimeSpan.FromSeconds(20);
        await using var first = await StartAsync(lease: patience);
        await ReadyAsync(first);
        var dhcp = new ReplicaTransportCounter(first.Server);
        await using var second = await StartAsync(dhcp, patience);

        var (code, body) = await first.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        Assert.Equal(HttpStatusCode.OK, code);
        string leader = (await _server.Client.GetAsync(ResourceTypes.Leases, "default", "address-service", Cancelled)).Spec.HolderIdentity!;
        using (var refused = await second.Http.GetAsync("/v1/status", Cancelled))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.Equal(TimeSpan.FromSeconds(2), refused.Headers.RetryAfter!.Delta);
            // It has looked at the election once.
            await EventuallyAsync(async () => (await ReadyTextAsync(second)).Contains(leader, StringComparison.Ordinal));
            Assert.Equal($"leases: standby: {leader} leads\n", await ReadyTextAsync(second));
        }
        Assert.Equal(0, dhcp.Sent);

        await first.StopAsync();
        await ReadyAsync(second);
        var (again, same) = await second.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        Assert.Equal(HttpStatusCode.OK, again);
        Assert.Equal(body.GetProperty("ip").GetString(), same.GetProperty("ip").GetString());
        Assert.Equal(body.GetProperty("id").GetString(), same.GetProperty("id").GetString());
        Assert.DoesNotContain(DhcpMessageType.Release, dhcp.Types);
    }

    [Fact]
    public async Task While_the_API_server_is_away_leases_are_renewed_and_nothing_else_is_sent_and_calls_are_refused()
    {
        // Renewed at six seconds, when nobody has claimed to lead for three.
        var server = new FakeDhcpServer { LeaseSeconds = 12 };
        var dhcp = new ReplicaTransportCounter(server);
        await using var only = await StartAsync(dhcp);
        await ReadyAsync(only);
        await only.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        await only.PostAsync("/v1/ip", """{"service":"demo/gone"}""");
        _server.Faults.AnswerWith(HttpStatusCode.InternalServerError);
        int before = dhcp.Sent;

        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await only.SendAsync(HttpMethod.Delete, "/v1/ip?service=demo/gone")).Code);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await only.PostAsync("/v1/ip", """{"service":"demo/new"}""")).Code);
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System, Cancelled);
        await EventuallyAsync(() => Task.FromResult(dhcp.Sent > before));

        await EventuallyAsync(async () =>
        {
            var (code, status) = await only.SendAsync(HttpMethod.Get, "/v1/status");
            Assert.Equal(HttpStatusCode.OK, code);
            var web = status.GetProperty("allocations").EnumerateArray().Single(l => l.GetProperty("service").GetString() == "demo/web");
            return web.GetProperty("state").GetString() == "bound";
        });
        Assert.Equal([DhcpMessageType.Request], dhcp.Types.Skip(before).Distinct());

        _server.Faults.Heal();
        await EventuallyAsync(async () => (await only.SendAsync(HttpMethod.Delete, "/v1/ip?service=demo/gone")).Code == HttpStatusCode.OK);
        await EventuallyAsync(() => Task.FromResult(dhcp.Types.Contains(DhcpMessageType.Release)));
    }

    [Fact]
    public async Task With_a_shared_folder_the_one_that_waits_takes_over_when_the_other_ends()
    {
        string data = Directory.CreateTempSubdirectory("dynamiclb-shared-").FullName;
        await using var first = await ApiHost.StartAsync(options => options.Data = data);
        var server = first.Server;
        await using var second = await ApiHost.StartAsync(
            options =>
            {
                options.Data = data;
                options.Standby = true;
            },
            _ => new InMemoryDhcpTransport(server));
        var (_, body) = await first.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await second.SendAsync(HttpMethod.Get, "/v1/status")).Code);

        await first.StopAsync();
        first.Services.GetRequiredService<DynamicLb.AddressService.Store.ILeaseBackend>().Dispose();
        await ReadyAsync(second);
        var (_, same) = await second.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        Assert.Equal(body.GetProperty("ip").GetString(), same.GetProperty("ip").GetString());
    }

    private Task<ApiHost> StartAsync(IDhcpTransport? transport = null, TimeSpan? lease = null) => ApiHost.StartAsync(
        options =>
        {
            options.Store = StoreKind.Kubernetes;
            options.KubeConfig = _kubeConfig;
            options.Namespace = "default";
            options.LeaderLease = lease ?? TimeSpan.FromSeconds(3);
            options.RequestTimeout = TimeSpan.FromSeconds(2);
        },
        transport is null ? null : _ => transport);

    private static async Task EventuallyAsync(Func<Task<bool>> condition)
    {
        for (int i = 0; !await condition(); i++)
        {
            Assert.True(i < 600, "it did not come to pass in a minute");
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancelled);
        }
    }

    private static async Task<string> ReadyTextAsync(ApiHost host)
    {
        using var answer = await host.Http.GetAsync("/readyz", Cancelled);
        return await answer.Content.ReadAsStringAsync(Cancelled);
    }

    private static Task ReadyAsync(ApiHost host) => EventuallyAsync(async () =>
    {
        using var answer = await host.Http.GetAsync("/readyz", Cancelled);
        return answer.IsSuccessStatusCode;
    });
}

/// <summary>Notes what one replica sends.</summary>
internal sealed class ReplicaTransportCounter(FakeDhcpServer server) : IDhcpTransport
{
    private readonly InMemoryDhcpTransport _inner = new(server);
    private readonly System.Collections.Concurrent.ConcurrentQueue<DhcpMessageType> _types = new();

    public int Sent => _types.Count;

    public IEnumerable<DhcpMessageType> Types => _types;

    public ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken)
    {
        _types.Enqueue(message.Type);
        return _inner.SendAsync(message, destination, cancellationToken);
    }

    public void Join(DynamicLb.Networking.Addresses.MacAddress hardwareAddress) => _inner.Join(hardwareAddress);

    public void Leave(DynamicLb.Networking.Addresses.MacAddress hardwareAddress) => _inner.Leave(hardwareAddress);

    public Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken) => _inner.RunAsync(receiver, cancellationToken);

    public ValueTask DisposeAsync() => _inner.DisposeAsync();
}
