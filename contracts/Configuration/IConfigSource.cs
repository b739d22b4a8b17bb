namespace DynamicLb.Contracts.Configuration;

/// <summary>Where a program has its configuration from. Properties are thread-safe.</summary>
public interface IConfigSource
{
    /// <summary>The configuration in force; null until one could be read.</summary>
    LoadBalancerConfig? Current { get; }

    /// <summary>Whether something else is written than what is in force, because it has faults.</summary>
    bool IsStale { get; }

    /// <summary>What is wrong in what is written.</summary>
    IReadOnlyList<ConfigFault> Faults { get; }

    /// <summary>What is waited for while there is no configuration, for people.</summary>
    string WaitingFor { get; }

    /// <summary>Tells that <see cref="Current"/> and <see cref="Faults"/> have been worked out anew. Handlers must be quick and must not throw.</summary>
    event Action? Judged;

    /// <summary>Keeps up with what is written, until cancelled, so that <see cref="RunAsync"/> can begin at once. To be called once.</summary>
    Task FollowAsync(CancellationToken cancellationToken);

    /// <summary>Calls <paramref name="changed"/> with every new configuration, until cancelled. May be called again afterwards.</summary>
    Task RunAsync(Func<LoadBalancerConfig, Task> changed, CancellationToken cancellationToken);
}
