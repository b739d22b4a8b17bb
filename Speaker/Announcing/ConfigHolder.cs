using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Speaker.Announcing;

/// <summary>The configuration in force, and word of its changes.</summary>
internal sealed class ConfigHolder(ConfigFileWatcher watcher) : BackgroundService
{
    private volatile LoadBalancerConfig? _current;

    /// <summary>There is another configuration.</summary>
    public event Action? Changed;

    /// <summary>The configuration in force; before there was a good one nothing may be announced.</summary>
    public LoadBalancerConfig Current => _current ?? LoadBalancerConfig.Empty;

    /// <summary>Whether there ever was a good configuration.</summary>
    public bool HasConfig => _current is not null;

    /// <summary>Whether the file holds something else than what is in force.</summary>
    public bool IsStale => watcher.IsStale;

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => watcher.RunAsync(Replace, stoppingToken);

    internal void Replace(LoadBalancerConfig config)
    {
        _current = config;
        Changed?.Invoke();
    }
}
