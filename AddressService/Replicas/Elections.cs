using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Store;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.LeaderElection;

namespace DynamicLb.AddressService.Replicas;

/// <summary>What a new leader does first.</summary>
internal interface ILeadTask
{
    /// <exception cref="UnusableException">The store cannot be opened.</exception>
    Task<ILeaseBackend> OpenAsync(CancellationToken cancellationToken);
}

/// <summary>Decides which of several processes leases.</summary>
internal interface IElection
{
    /// <summary>Waits for the lead and runs <paramref name="lead"/>, whose token is cancelled when the lead is lost.</summary>
    Task RunAsync(Func<ILeadTask, CancellationToken, Task> lead, CancellationToken cancellationToken);
}

/// <summary>By a Lease in Kubernetes.</summary>
internal sealed class KubernetesElection(
    LeaderElector elector, LeaderElectionOptions candidate, IKubernetesClient client, Leadership leadership, AddressServiceOptions options, TimeProvider time,
    ILogger<KubernetesElection> logger)
    : IElection, ILeadTask
{
    public Task RunAsync(Func<ILeadTask, CancellationToken, Task> lead, CancellationToken cancellationToken) =>
        elector.RunAsync(token => lead(this, token), cancellationToken);

    public async Task<ILeaseBackend> OpenAsync(CancellationToken cancellationToken)
    {
        using var import = options.ImportFrom is { } folder ? LeaseImport.Open(folder, time, logger) : null;
        return await KubernetesLeaseStore.OpenAsync(
            client, candidate.Namespace, candidate.Identity, elector.Term, options.MacKeyFile is null, leadership, time, import, cancellationToken);
    }
}

/// <summary>By the lock on the data folder, which the kernel drops with the process that holds it, and only then: one that stands still keeps it.</summary>
internal sealed partial class FolderElection(AddressServiceOptions options, TimeProvider time, ILogger<FolderElection> logger, ILogger<FileLeaseStore> storeLogger) : IElection, ILeadTask
{
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromMilliseconds(500);
    private FileLeaseStore? _store;

    public async Task RunAsync(Func<ILeadTask, CancellationToken, Task> lead, CancellationToken cancellationToken)
    {
        string? said = null;
        while (_store is null)
        {
            try
            {
                _store = FileLeaseStore.Open(options.Data, time, storeLogger);
            }
            catch (UnusableException e)
            {
                if (said != e.Message)
                    Log.Waits(logger, e.Message);
                said = e.Message;
                await Task.Delay(LookAgainAfter, time, cancellationToken);
            }
        }
        await lead(this, cancellationToken);
    }

    public Task<ILeaseBackend> OpenAsync(CancellationToken cancellationToken) => Task.FromResult<ILeaseBackend>(_store!);

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "Standing by: {Cause}")]
        public static partial void Waits(ILogger logger, string cause);
    }
}
