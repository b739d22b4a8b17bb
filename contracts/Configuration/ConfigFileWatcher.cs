using Microsoft.Extensions.Logging;

namespace DynamicLb.Contracts.Configuration;

/// <summary>
/// Follows the configuration file. A mounted ConfigMap is replaced by swapping symbolic links, which file events report unreliably, so the content is compared every
/// few seconds. A file that cannot be read at all leaves the last good configuration in force;
/// objects at fault stay as they were when they were good, or are left out. Faults are listed once.
/// </summary>
/// <param name="path">The file.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Where faults are told.</param>
public sealed partial class ConfigFileWatcher(string path, TimeProvider time, ILogger<ConfigFileWatcher> logger) : IConfigSource
{
    /// <summary>How often the file is read.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    /// <summary>How long nobody has to have written it before it is read, unless somebody does all the time.</summary>
    public static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(200);

    private string? _lastText;
    private volatile LoadBalancerConfig? _current;
    private volatile bool _isStale;
    private volatile IReadOnlyList<ConfigFault> _faults = [];

    /// <inheritdoc/>
    public event Action? Judged;

    /// <inheritdoc/>
    public string WaitingFor => "a good configuration";

    /// <inheritdoc/>
    public async Task FollowAsync(CancellationToken cancellationToken) =>
        await Task.Delay(Timeout.InfiniteTimeSpan, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    /// <summary>The configuration in force; null until a good one was read. Thread-safe.</summary>
    public LoadBalancerConfig? Current => _current;

    /// <summary>Whether the file holds something else than what is in force, because it is bad. Thread-safe.</summary>
    public bool IsStale => _isStale;

    /// <summary>What is wrong in the file. Thread-safe.</summary>
    public IReadOnlyList<ConfigFault> Faults => _faults;

    /// <summary>Reads the file now and then until cancelled, and calls <paramref name="changed"/> with every new configuration.</summary>
    public async Task RunAsync(Func<LoadBalancerConfig, Task> changed, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            await SettleAsync(cancellationToken);
            if (!cancellationToken.IsCancellationRequested && Poll() is { } config)
                await changed(config);
        }
        while (await WaitAsync(timer, cancellationToken));
    }

    /// <summary>
    /// Waits while the file is being written: an editor that writes in place empties it first, and half a file, or none, is a good configuration with fewer pools, too. A
    /// ConfigMap, which is swapped whole, is taken up that much later at most.
    /// </summary>
    private async Task SettleAsync(CancellationToken cancellationToken)
    {
        try
        {
            long since = time.GetTimestamp();
            while (!cancellationToken.IsCancellationRequested && time.GetElapsedTime(since) < Interval)
            {
                var age = time.GetUtcNow().UtcDateTime - File.GetLastWriteTimeUtc(path);
                if (age < TimeSpan.Zero || age >= Settle)
                    return;
                await Task.Delay(Settle - age, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Told of when it is read.
        }
    }

    /// <summary>Reads the file once. The new configuration, or null when nothing changed or it is bad.</summary>
    public LoadBalancerConfig? Poll()
    {
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (_lastText != "")
                LogUnreadable(logger, path, e.Message);
            _lastText = "";
            _isStale = true;
            _faults = [new ConfigFault("", "", 0, $"{path} cannot be read: {e.Message}")];
            return null;
        }
        if (text == _lastText)
            return null;
        _lastText = text;
        var result = ConfigFileReader.Read(text, _current);
        _faults = result.Faults;
        Judged?.Invoke();
        foreach (var notice in result.Notices)
            LogNotice(logger, path, notice.ToString());
        _isStale = !result.IsGood;
        if (result.Config is null)
        {
            LogRefused(logger, path, result.Faults.Count, string.Join("; ", result.Faults));
            return null;
        }
        if (!result.IsGood)
            LogFaulty(logger, path, result.Faults.Count, string.Join("; ", result.Faults));
        LogLoaded(logger, path, result.Config.AddressPools.Count, result.Config.AddressServices.Count);
        return _current = result.Config;
    }

    private static async ValueTask<bool> WaitAsync(PeriodicTimer timer, CancellationToken cancellationToken)
    {
        try
        {
            return await timer.WaitForNextTickAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Configuration {Path} loaded: {Pools} address pools, {Services} address services")]
    private static partial void LogLoaded(ILogger logger, string path, int pools, int services);

    [LoggerMessage(2, LogLevel.Error, "Configuration {Path} refused, the last good one stays in force; {Count} faults: {Faults}")]
    private static partial void LogRefused(ILogger logger, string path, int count, string faults);

    [LoggerMessage(5, LogLevel.Error, "Configuration {Path}: the objects at fault stay as they were when they were good, or are left out; {Count} faults: {Faults}")]
    private static partial void LogFaulty(ILogger logger, string path, int count, string faults);

    [LoggerMessage(3, LogLevel.Error, "Configuration {Path} cannot be read, the last good one stays in force: {Cause}")]
    private static partial void LogUnreadable(ILogger logger, string path, string cause);

    [LoggerMessage(4, LogLevel.Warning, "Configuration {Path}: {Notice}")]
    private static partial void LogNotice(ILogger logger, string path, string notice);
}
