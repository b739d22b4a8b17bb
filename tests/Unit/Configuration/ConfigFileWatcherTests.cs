using System.Collections.Concurrent;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Tests.Unit.Kubernetes;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Configuration;

/// <summary>When a configuration file counts.</summary>
public sealed class ConfigFileWatcherTests : IAsyncLifetime
{
    private const string One = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]";
    private const string Two = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}, {name: b, protocol: layer2, addresses: [10.1.0.0/24]}]";

    private readonly string _path = Path.GetTempFileName();
    private readonly FakeTime _time = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<int> _taken = new();
    private readonly ConfigFileWatcher _watcher;
    private Task _running = Task.CompletedTask;

    public ConfigFileWatcherTests() => _watcher = new ConfigFileWatcher(_path, _time, NullLogger<ConfigFileWatcher>.Instance);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        File.Delete(_path);
        _stop.Dispose();
    }

    [Fact]
    public async Task A_file_counts_at_once_when_it_is_there_already_and_again_when_it_has_changed()
    {
        await StartAsync();

        Write(Two, TimeSpan.FromSeconds(-1));
        _time.Advance(ConfigFileWatcher.Interval);
        await TakenAsync(1, 2);

        // The same once more is nothing new.
        Write(Two, TimeSpan.FromSeconds(-1));
        _time.Advance(ConfigFileWatcher.Interval);
        Write(One, TimeSpan.FromSeconds(-1));
        _time.Advance(ConfigFileWatcher.Interval);
        await TakenAsync(1, 2, 1);
    }

    [Fact]
    public async Task A_file_that_is_being_written_counts_when_it_is_whole()
    {
        await StartAsync();

        Write("", ConfigFileWatcher.Interval);
        _time.Advance(ConfigFileWatcher.Interval);
        await WaitsAsync();
        // A good configuration, by itself.
        Write(One.Replace("a,", "half,", StringComparison.Ordinal), TimeSpan.FromMilliseconds(1));
        _time.Advance(ConfigFileWatcher.Settle);
        await WaitsAsync();
        Write(Two, TimeSpan.Zero);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await WaitsAsync();
        Assert.Equal([1], _taken);

        _time.Advance(ConfigFileWatcher.Settle);
        await TakenAsync(1, 2);
    }

    [Fact]
    public async Task A_file_that_is_written_all_the_time_counts_as_it_is_after_a_while()
    {
        await StartAsync();
        Write(Two, ConfigFileWatcher.Interval);
        _time.Advance(ConfigFileWatcher.Interval);
        int rounds = 0;
        for (; !_taken.Contains(2); rounds++)
        {
            await Eventually.TrueAsync(() => _time.PendingTimers == 2 || _taken.Contains(2));
            Write($"{Two} # {rounds}", ConfigFileWatcher.Settle);
            _time.Advance(ConfigFileWatcher.Settle);
            await Eventually.TrueAsync(() => _time.PendingTimers == 2 || _taken.Contains(2));
        }
        Assert.InRange(rounds, 1, 1 + (ConfigFileWatcher.Interval / ConfigFileWatcher.Settle));
    }

    [Fact]
    public async Task A_file_that_is_gone_leaves_the_last_configuration_in_force()
    {
        await StartAsync();

        File.Delete(_path);
        _time.Advance(ConfigFileWatcher.Interval);

        await Eventually.TrueAsync(() => _watcher.IsStale && _watcher.Faults.Count == 1);
        Assert.Contains("cannot be read", Assert.Single(_watcher.Faults).Reason, StringComparison.Ordinal);
        Assert.Equal([1], _taken);
        Assert.Equal("a", Assert.Single(_watcher.Current!.AddressPools).Name);
    }

    [Fact]
    public async Task A_file_that_cannot_be_understood_leaves_the_last_configuration_in_force_and_is_told_of()
    {
        await StartAsync();

        Write("address-pools: [", TimeSpan.FromSeconds(-1));
        _time.Advance(ConfigFileWatcher.Interval);

        await Eventually.TrueAsync(() => _watcher.IsStale && _watcher.Faults.Count > 0);
        Assert.Equal([1], _taken);
        Assert.NotNull(_watcher.Current);
    }

    /// <summary>Writes the file.</summary>
    /// <param name="text">What it holds.</param>
    /// <param name="at">When it was written, from now.</param>
    private void Write(string text, TimeSpan at)
    {
        File.WriteAllText(_path, text);
        File.SetLastWriteTimeUtc(_path, (_time.GetUtcNow() + at).UtcDateTime);
    }

    private async Task StartAsync()
    {
        Write(One, TimeSpan.FromHours(-1));
        _running = _watcher.RunAsync(
            config =>
            {
                _taken.Enqueue(config.AddressPools.Count);
                return Task.CompletedTask;
            },
            _stop.Token);
        await TakenAsync(1);
    }

    private Task TakenAsync(params int[] pools) => Eventually.TrueAsync(() => _taken.SequenceEqual(pools));

    /// <summary>Waits until it waits for the file to settle: for its next look it waits always.</summary>
    private Task WaitsAsync() => Eventually.TrueAsync(() => _time.PendingTimers == 2);
}
