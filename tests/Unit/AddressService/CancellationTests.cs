using System.Net;
using System.Text;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Dhcp4;
using Microsoft.Extensions.DependencyInjection;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Callers that go away, at every point of a lease's making: no lease that nobody can ask for or release, no MAC that is not given back.</summary>
public sealed class CancellationTests
{
    private static readonly string[] Pool = ["02:00:00:00:00:01", "02:00:00:00:00:02"];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void A_caller_gone_at_any_message_leaves_a_lease_that_is_found_by_the_next_call_and_released_whole(int at)
    {
        using var lab = Lab();
        Cancel(lab, at);
        lab.Advance(TimeSpan.FromSeconds(10));
        string mac = lab.Lease("demo/web").Mac!;
        Assert.Equal(1, lab.CountSent(DhcpMessageType.Discover));
        Assert.Single(lab.Server.Leases);
        Assert.Equal(Pool.Where(m => m != mac), lab.Keeper.Status().AvailableMacs);

        lab.Delete(service: "demo/web");
        lab.Advance(TimeSpan.FromMinutes(1));
        AssertNothingLeft(lab);
    }

    [Theory]
    [Trait("Fault", "C4")]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void A_caller_gone_and_its_service_released_at_any_message_leaves_nothing(int at)
    {
        using var lab = Lab();
        Cancel(lab, at, alsoRelease: true);
        lab.Advance(TimeSpan.FromMinutes(1));
        AssertNothingLeft(lab);
        Assert.Equal(Pool[0], lab.Lease("demo/other").Mac);
    }

    [Fact]
    [Trait("Fault", "C16")]
    public void A_caller_gone_before_any_server_answers_leaves_nothing_after_the_search_is_abandoned()
    {
        using var lab = Lab();
        lab.Server.IsSilent = true;
        var waiter = lab.Post("demo/web");
        _ = lab.Keeper.GiveUp("demo/web", waiter);
        lab.Advance(lab.Options.AbandonAfter + TimeSpan.FromMinutes(5));
        AssertNothingLeft(lab);
    }

    [Fact]
    public async Task A_call_cancelled_while_it_waits_for_the_loop_does_nothing_at_all()
    {
        await using var host = await ApiHost.StartAsync();
        var loop = host.Services.GetRequiredService<LeaseLoop>();
        using var hold = new ManualResetEventSlim();
        var held = new TaskCompletionSource();
        var holding = loop.InvokeAsync(
            _ =>
            {
                held.SetResult();
                return hold.Wait(TimeSpan.FromMinutes(1));
            },
            TestContext.Current.CancellationToken);
        await held.Task;
        using var cancel = new CancellationTokenSource();
        int done = 0;
        var calls = Enumerable.Range(0, LeaseLoop.MaxCalls).Select(_ => loop.InvokeAsync(_ => Interlocked.Increment(ref done), cancel.Token)).ToList();
        await cancel.CancelAsync();
        await Task.WhenAll(calls).ContinueWith(_ => { }, TaskScheduler.Default);
        hold.Set();
        await holding;
        // Behind them all: each of them had its turn.
        await loop.InvokePatientlyAsync(_ => true, TestContext.Current.CancellationToken);
        // Their places are free again, and none of them was done.
        Assert.Equal(HttpStatusCode.OK, (await host.SendAsync(HttpMethod.Get, "/v1/status")).Code);
        await Task.WhenAll(Enumerable.Range(0, LeaseLoop.MaxCalls / 2).Select(_ => loop.InvokeAsync(_ => true, TestContext.Current.CancellationToken)));
        Assert.Equal(0, done);
    }

    [Fact]
    public async Task Retries_duplicates_and_callers_that_hang_up_get_one_lease_which_one_DELETE_releases()
    {
        await using var host = await ApiHost.StartAsync(o => o.MacSource = MacSource.PoolThenGenerate);
        host.Server.IsSilent = true;
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        Task<HttpResponseMessage> Post(CancellationToken token) =>
            host.Http.PostAsync("/v1/ip", new StringContent("""{"service":"demo/web","uid":"u-1"}""", Encoding.UTF8, "application/json"), token);
        var gone = Enumerable.Range(0, 10).Select(_ => Post(cancel.Token)).ToList();
        await ApiHost.UntilAsync(() => host.Server.Count(DhcpMessageType.Discover) > 0);
        await cancel.CancelAsync();
        await Task.WhenAll(gone).ContinueWith(_ => { }, TaskScheduler.Default);
        host.Server.IsSilent = false;
        using var answer = await Post(TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Single(host.Server.Leases);
        Assert.Single((await host.SendAsync(HttpMethod.Get, "/v1/status")).Body.GetProperty("allocations").EnumerateArray());

        Assert.Equal(HttpStatusCode.OK, (await host.SendAsync(HttpMethod.Delete, "/v1/ip", """{"service":"demo/web"}""")).Code);
        await ApiHost.UntilAsync(() => host.Server.Leases.Count == 0);
        Assert.Equal(HttpStatusCode.OK, (await host.SendAsync(HttpMethod.Delete, "/v1/ip", """{"service":"demo/web"}""")).Code);
    }

    private static LeaseLab Lab()
    {
        var lab = new LeaseLab(new AddressServiceOptions { MacSource = MacSource.Pool });
        Assert.Empty(lab.Keeper.AddMacs(Pool).Rejected);
        return lab;
    }

    /// <summary>A call whose caller goes away: before anything is sent, or at DISCOVER, OFFER, REQUEST or ACK.</summary>
    private static void Cancel(LeaseLab lab, int at, bool alsoRelease = false)
    {
        var waiter = lab.Call("demo/web");
        int messages = 0;
        void Count(DhcpMessage message)
        {
            if (++messages == at)
                Leave();
        }

        void Leave()
        {
            _ = lab.Keeper.GiveUp("demo/web", waiter);
            if (alsoRelease)
                _ = lab.Keeper.Release(null, "demo/web");
        }

        lab.Leaving = Count;
        lab.Arriving = Count;
        if (at == 0)
            Leave();
        lab.Settle();
        lab.Leaving = lab.Arriving = _ => { };
    }

    private static void AssertNothingLeft(LeaseLab lab)
    {
        Assert.Empty(lab.Leases);
        Assert.Empty(lab.Server.Leases);
        Assert.Empty(lab.Joined);
        Assert.Equal(Pool, lab.Keeper.Status().AvailableMacs);
    }
}
