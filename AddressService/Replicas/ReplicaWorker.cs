using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Store;

namespace DynamicLb.AddressService.Replicas;

/// <summary>Waits for the lead; leads once: opens the store, then starts what only the leader runs. When the lead is lost the program ends.</summary>
internal sealed partial class ReplicaWorker(
    IElection election, Leadership leadership, IEnumerable<LeaderService> leaderServices, IServiceProvider provider,
    IHostApplicationLifetime lifetime, TimeProvider time, ILogger<ReplicaWorker> logger) : BackgroundService
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(3);
    private ILeaseBackend? _backend;

    /// <summary>The store; only the leader has it.</summary>
    public ILeaseBackend Backend => _backend ?? throw new InvalidOperationException("Only the leader has the store.");

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => election.RunAsync(LeadAsync, stoppingToken);

    private async Task LeadAsync(ILeadTask task, CancellationToken cancellationToken)
    {
        if (_backend is not null || lifetime.ApplicationStopping.IsCancellationRequested)
            return;
        var started = new Stack<IHostedService>();
        try
        {
            _backend = await task.OpenAsync(cancellationToken);
            foreach (var service in leaderServices)
            {
                var hosted = service.Create(provider);
                await hosted.StartAsync(CancellationToken.None);
                started.Push(hosted);
            }
            leadership.Begin();
            Log.Leads(logger);
            var lost = Task.Delay(Timeout.InfiniteTimeSpan, time, cancellationToken);
            await await Task.WhenAny([lost, .. started.OfType<BackgroundService>().Select(service => FailureAsync(service.ExecuteTask, lost))]);
        }
        catch (UnusableException e)
        {
            leadership.Fenced(e.Message);
        }
        finally
        {
            using var deadline = new CancellationTokenSource(StopTimeout, time);
            while (started.TryPop(out var hosted))
                await hosted.StopAsync(deadline.Token);
            leadership.Fenced("the election was lost");
        }
    }

    /// <summary>Ends when a service fails; one that has nothing more to do is no reason to end.</summary>
    private static async Task FailureAsync(Task? running, Task lost)
    {
        await (running ?? Task.CompletedTask);
        await lost;
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "This replica leads")]
        public static partial void Leads(ILogger logger);
    }
}

/// <summary>A service that only the leader runs.</summary>
/// <param name="Create">Makes it, and what it needs (sockets, the store), when the lead begins.</param>
internal sealed record LeaderService(Func<IServiceProvider, IHostedService> Create);
