using System.Collections.Concurrent;
using System.Net;
using System.Text;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Status;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Conflicts as conditions of Services.</summary>
public sealed class ConflictConditionsTests
{
    private static readonly NamespacedName Web = new("demo", "web");
    private static readonly NamespacedName Dns = new("demo", "dns");
    private readonly FakeTime _time = new(DateTimeOffset.UnixEpoch);
    private readonly Patches _client = new();

    [Fact]
    public async Task What_could_not_be_written_is_tried_again_and_holds_up_no_other()
    {
        using var stop = new CancellationTokenSource();
        var conditions = new ConflictConditions(_client, new Random(1), _time, NullLogger<ConflictConditions>.Instance);
        _client.Faults["web"] = new HttpRequestException("refused");
        conditions.Set(Web, "taken");
        var running = conditions.RunAsync(stop.Token);
        await UntilAsync(() => _client.Calls >= 1);
        conditions.Set(Dns, "taken, too");
        await UntilAsync(() => _client.Said.ContainsKey("dns"));
        Assert.False(_client.Said.ContainsKey("web"));

        _client.Faults.Clear();
        await AdvanceUntilAsync(() => _client.Said.ContainsKey("web"));
        Assert.Contains("\"True\"", _client.Said["web"], StringComparison.Ordinal);
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task Of_what_waits_the_last_word_counts()
    {
        using var stop = new CancellationTokenSource();
        var conditions = new ConflictConditions(_client, new Random(1), _time, NullLogger<ConflictConditions>.Instance);
        _client.Faults["web"] = new KubernetesApiException(HttpStatusCode.InternalServerError, "InternalError", "no");
        conditions.Set(Web, "taken");
        var running = conditions.RunAsync(stop.Token);
        await UntilAsync(() => _client.Calls >= 1);
        conditions.Set(Web, null);
        _client.Faults.Clear();
        await AdvanceUntilAsync(() => _client.Said.ContainsKey("web"));

        Assert.Contains("\"False\"", _client.Said["web"], StringComparison.Ordinal);
        int calls = _client.Calls;
        conditions.Set(Dns, null);
        await UntilAsync(() => _client.Said.ContainsKey("dns"));
        Assert.Equal(calls + 1, _client.Calls);
        await stop.CancelAsync();
        await running;
    }

    private static async Task UntilAsync(Func<bool> isSo)
    {
        while (!isSo())
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, TestContext.Current.CancellationToken);
    }

    private Task AdvanceUntilAsync(Func<bool> isSo) => UntilAsync(() =>
    {
        _time.Advance(TimeSpan.FromMilliseconds(200));
        return isSo();
    });

    /// <summary>A server that takes patches of Services.</summary>
    private sealed class Patches : IKubernetesClient
    {
        private volatile int _calls;

        public int Calls => _calls;

        public ConcurrentDictionary<string, Exception> Faults { get; } = new();

        public ConcurrentDictionary<string, string> Said { get; } = new();

        public Task<T> PatchAsync<T>(
            ResourceType<T> type, string? @namespace, string name, PatchType patchType, ReadOnlyMemory<byte> patch, string? subresource,
            CancellationToken cancellationToken)
            where T : KubernetesObject
        {
            Interlocked.Increment(ref _calls);
            if (Faults.TryGetValue(name, out var fault))
                return Task.FromException<T>(fault);
            Said[name] = Encoding.UTF8.GetString(patch.Span);
            return Task.FromResult<T>(null!);
        }

        public Task<T> GetAsync<T>(ResourceType<T> type, string? @namespace, string name, CancellationToken cancellationToken)
            where T : KubernetesObject => throw new NotSupportedException();

        public Task<T> CreateAsync<T>(ResourceType<T> type, T resource, CancellationToken cancellationToken)
            where T : KubernetesObject => throw new NotSupportedException();

        public Task<T> ReplaceAsync<T>(ResourceType<T> type, T resource, CancellationToken cancellationToken)
            where T : KubernetesObject => throw new NotSupportedException();

        public Task<ResourceList<T>> ListAsync<T>(ResourceType<T> type, string? @namespace, CancellationToken cancellationToken)
            where T : KubernetesObject => throw new NotSupportedException();

        public IAsyncEnumerable<WatchEvent<T>> WatchAsync<T>(
            ResourceType<T> type, string? @namespace, string resourceVersion, TimeSpan timeout, CancellationToken cancellationToken)
            where T : KubernetesObject => throw new NotSupportedException();

        public Task DeleteAsync<T>(ResourceType<T> type, string? @namespace, string name, CancellationToken cancellationToken)
            where T : KubernetesObject => throw new NotSupportedException();

        public Task DeleteAsync<T>(ResourceType<T> type, string? @namespace, string name, string resourceVersion, CancellationToken cancellationToken)
            where T : KubernetesObject => throw new NotSupportedException();

        public Task<T> ApplyAsync<T>(
            ResourceType<T> type, string? @namespace, string name, ReadOnlyMemory<byte> fields, string? subresource, string fieldManager, CancellationToken cancellationToken)
            where T : KubernetesObject => throw new NotSupportedException();

        public Task<bool> ServesAsync(string groupVersion, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
