using DynamicLb.Kubernetes.LeaderElection;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Kubernetes;

public sealed class LeaderElectorTests : IAsyncDisposable
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(250);

    private readonly FakeTime _time = new();
    private readonly LeaseStore _store = new();
    private readonly CancellationTokenSource _end = new();
    private readonly List<Task> _running = [];

    public async ValueTask DisposeAsync()
    {
        // Before they end: a claim is given up by a request, too.
        _store.Hangs = _store.LosesAnswers = false;
        await _end.CancelAsync();
        await Task.WhenAll(_running).WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System);
        _end.Dispose();
    }

    [Fact]
    public async Task A_second_candidate_waits_while_the_first_renews()
    {
        var first = await StartAsync("first", true);
        var second = await StartAsync("second", false);
        await PassAsync(TimeSpan.FromMinutes(2));
        Assert.True(first.Elector.IsLeader);
        Assert.False(second.Elector.IsLeader);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Work_is_cancelled_before_the_claim_can_expire_when_the_server_is_out_of_reach(bool hangs)
    {
        var first = await StartAsync("first", true);
        await PassAsync(TimeSpan.FromSeconds(20));
        string renewed = _store.Lease!.Spec.RenewTime!;
        _store.Hangs = hangs;
        _store.Fails = !hangs;
        await PassUntilAsync(() => first.Token.IsCancellationRequested, TimeSpan.FromSeconds(30));
        Assert.Equal(renewed, _store.Lease!.Spec.RenewTime);
        var age = _time.GetUtcNow() - DateTimeOffset.Parse(renewed);
        Assert.InRange(age.TotalSeconds, 5, 14.9);
    }

    [Fact]
    public async Task Nobody_leads_by_a_claim_whose_answer_was_late()
    {
        _store.LosesAnswers = true;
        var first = await StartAsync("first", false);
        await PassAsync(TimeSpan.FromSeconds(9));
        Assert.NotNull(_store.Lease);
        Assert.False(first.Elector.IsLeader);
        _store.LosesAnswers = false;
        await PassUntilAsync(() => first.Elector.IsLeader, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Another_takes_over_after_the_claim_has_run_out_and_the_two_never_lead_together()
    {
        var first = await StartAsync("first", true);
        var second = await StartAsync("second", false);
        await PassAsync(TimeSpan.FromSeconds(10));
        _store.Refused = "first";
        await PassUntilAsync(
            () =>
            {
                Assert.False(first.Elector.IsLeader && second.Elector.IsLeader);
                return second.Elector.IsLeader;
            },
            TimeSpan.FromSeconds(40));
        Assert.True(first.Token.IsCancellationRequested);
        Assert.Equal(1, _store.Lease!.Spec.LeaseTransitions);
    }

    [Fact]
    public async Task A_clean_stop_gives_the_claim_up_so_that_another_need_not_wait()
    {
        var first = await StartAsync("first", true);
        var second = await StartAsync("second", false);
        await PassAsync(TimeSpan.FromSeconds(10));
        await first.Stop.CancelAsync();
        await first.Run.WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System);
        Assert.Equal("", _store.Lease!.Spec.HolderIdentity);
        await PassUntilAsync(() => second.Elector.IsLeader, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task A_wrong_wall_clock_takes_no_claim_from_a_living_leader()
    {
        var first = await StartAsync("first", true);
        _time.JumpWallClock(TimeSpan.FromHours(5));
        var second = await StartAsync("second", false);
        await PassAsync(TimeSpan.FromMinutes(1));
        Assert.True(first.Elector.IsLeader);
        Assert.False(second.Elector.IsLeader);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task One_that_holds_leads_unconfirmed_while_the_server_is_out_of_reach_and_confirmed_again_after(bool hangs)
    {
        var first = await StartAsync("first", true, holds: true);
        await PassAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(LeaderClaim.Confirmed, first.Elector.Claimed);
        _store.Hangs = hangs;
        _store.Fails = !hangs;
        await PassUntilAsync(() => first.Elector.Claimed == LeaderClaim.Unconfirmed, TimeSpan.FromSeconds(15));
        for (int i = 0; i < 240; i++)
        {
            await StepAsync();
            Assert.Equal(LeaderClaim.Unconfirmed, first.Elector.Claimed);
        }
        _store.Hangs = _store.Fails = false;
        await PassUntilAsync(() => first.Elector.Claimed == LeaderClaim.Confirmed, TimeSpan.FromSeconds(15));
        Assert.False(first.Token.IsCancellationRequested);
    }

    [Fact]
    public async Task One_that_holds_ends_when_another_took_over_meanwhile()
    {
        var first = await StartAsync("first", true, holds: true);
        var second = await StartAsync("second", false);
        await PassAsync(TimeSpan.FromSeconds(10));
        _store.Refused = "first";
        await PassUntilAsync(() => second.Elector.IsLeader, TimeSpan.FromSeconds(40));
        Assert.Equal(LeaderClaim.Unconfirmed, first.Elector.Claimed);
        _store.Refused = null;
        await PassUntilAsync(() => first.Elector.Claimed == LeaderClaim.None && first.Token.IsCancellationRequested, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Case33_one_that_stood_still_has_no_claim_at_the_moment_it_wakes()
    {
        var first = await StartAsync("first", true, holds: true);
        await PassAsync(TimeSpan.FromSeconds(10));
        // No timer has fired and nothing has run yet: only the clock has gone on.
        var term = first.Token;
        _time.Freeze(TimeSpan.FromSeconds(11));
        Assert.Equal(LeaderClaim.None, first.Elector.Claimed);
        await PassUntilAsync(() => term.IsCancellationRequested, TimeSpan.FromSeconds(5));
    }

    private async Task<Candidate> StartAsync(string name, bool leads, bool holds = false)
    {
        var elector = new LeaderElector(
            _store, new LeaderElectionOptions("ns", "lease", name) { HoldWhileUnreachable = holds }, _time, new Random(1), NullLogger.Instance);
        var candidate = new Candidate(elector, CancellationTokenSource.CreateLinkedTokenSource(_end.Token));
        candidate.Run = Task.Run(() => elector.RunAsync(
            async token =>
            {
                candidate.Token = token;
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
            },
            candidate.Stop.Token));
        _running.Add(candidate.Run);
        if (leads)
            await Eventually.TrueAsync(() => elector.IsLeader && candidate.Token.CanBeCanceled);
        else
            await Eventually.TrueAsync(() => _store.Lease is not null);
        await RestAsync();
        return candidate;
    }

    /// <summary>All candidates that go on wait for a time to come: for their next try, or for the end of a request's patience. Until then no time must pass, or they would be late by it.</summary>
    private Task RestAsync() => Eventually.TrueAsync(() => _time.PendingTimers >= _running.Count(static run => !run.IsCompleted));

    private async Task PassAsync(TimeSpan time)
    {
        for (var end = _time.Elapsed + time; _time.Elapsed < end;)
            await StepAsync();
    }

    private async Task PassUntilAsync(Func<bool> condition, TimeSpan within)
    {
        for (var end = _time.Elapsed + within; !condition();)
        {
            Assert.True(_time.Elapsed < end, "It did not happen in time.");
            await StepAsync();
        }
    }

    private async Task StepAsync()
    {
        _time.Advance(Step);
        // The candidates run on other threads: on a busy machine they need a moment of real time to take notice of the virtual one.
        await Task.Delay(TimeSpan.FromMilliseconds(2), TimeProvider.System, TestContext.Current.CancellationToken);
        await RestAsync();
    }

    private sealed class Candidate(LeaderElector elector, CancellationTokenSource stop)
    {
        public LeaderElector Elector => elector;

        public CancellationTokenSource Stop => stop;

        public CancellationToken Token { get; set; }

        public Task Run { get; set; } = Task.CompletedTask;
    }
}
