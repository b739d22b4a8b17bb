using System.Net;
using System.Net.Sockets;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Kubernetes;

/// <summary>When Events are written.</summary>
public sealed class EventRecorderTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Events_wait_while_something_more_urgent_is_written_and_none_is_lost()
    {
        await using var lab = await RecorderLab.StartAsync(isBusy: true);
        for (int i = 0; i < 2000; i++)
            lab.Recorder.Normal(RecorderLab.About, "IPAllocated", $"address {i}");
        await lab.HasAskedAsync();

        lab.Time.Advance(EventRecorder.MostDelay - TimeSpan.FromSeconds(1));
        await lab.HasAskedAsync();
        Assert.Empty(await lab.MessagesAsync());

        lab.IsBusy = false;
        lab.Time.Advance(TimeSpan.FromMilliseconds(100));
        await lab.WrittenAsync(2000);
        Assert.Equal(2000, (await lab.MessagesAsync()).Distinct().Count());
    }

    [Fact]
    public async Task What_is_more_urgent_and_does_not_end_holds_an_Event_back_for_ten_seconds_at_most()
    {
        await using var lab = await RecorderLab.StartAsync(isBusy: true);
        lab.Recorder.Normal(RecorderLab.About, "IPAllocated", "first");
        await lab.HasAskedAsync();
        lab.Time.Advance(TimeSpan.FromSeconds(5));
        lab.Recorder.Normal(RecorderLab.About, "IPAllocated", "second");
        await lab.HasAskedAsync();
        lab.Time.Advance(EventRecorder.MostDelay - TimeSpan.FromSeconds(4));

        await lab.WrittenAsync(1);
        await lab.HasAskedAsync();
        Assert.Equal(["first"], await lab.MessagesAsync());
        lab.Time.Advance(TimeSpan.FromSeconds(5));
        await lab.WrittenAsync(2);
    }

    [Fact]
    public async Task Events_that_wait_at_a_stop_are_written_still()
    {
        await using var lab = await RecorderLab.StartAsync(isBusy: true);
        for (int i = 0; i < 100; i++)
            lab.Recorder.Normal(RecorderLab.About, "IPAllocated", $"address {i}");
        await lab.HasAskedAsync();

        await lab.StopAsync();

        Assert.Equal(100, (await lab.MessagesAsync()).Distinct().Count());
    }

    [Fact]
    public async Task A_server_that_does_not_answer_holds_a_stop_up_for_two_seconds()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        using var client = new KubernetesClient(new KubernetesClientConfiguration { Server = new Uri($"http://{silent.LocalEndpoint}") }, TimeProvider.System);
        var time = new FakeTime();
        var recorder = new EventRecorder(client, "test", null, time, NullLogger<EventRecorder>.Instance);
        using var stop = new CancellationTokenSource();
        var running = recorder.RunAsync(stop.Token);
        recorder.Normal(RecorderLab.About, "IPAllocated", "first");
        recorder.Normal(RecorderLab.About, "IPAllocated", "second");
        using var asked = await silent.AcceptTcpClientAsync(Token);

        await stop.CancelAsync();
        time.Advance(EventRecorder.LastWrites - TimeSpan.FromMilliseconds(1));
        Assert.False(running.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(1));

        await running;
    }

    private sealed class RecorderLab : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly KubeApiServer _api;
        private Task _running = Task.CompletedTask;
        private volatile bool _isBusy;
        private int _asked;

        private RecorderLab(KubeApiServer api, bool isBusy)
        {
            _api = api;
            _isBusy = isBusy;
            Recorder = new EventRecorder(api.Client, "test", null, Time, NullLogger<EventRecorder>.Instance)
            {
                YieldsTo = () =>
                {
                    Interlocked.Increment(ref _asked);
                    return _isBusy;
                },
            };
        }

        public static Service About { get; } = new() { Metadata = new ObjectMeta { Name = "web", Namespace = "default", Uid = "1" } };

        public FakeTime Time { get; } = new();

        public EventRecorder Recorder { get; }

        public bool IsBusy { set => _isBusy = value; }

        public static async Task<RecorderLab> StartAsync(bool isBusy)
        {
            var lab = new RecorderLab(await KubeApiServer.StartAsync(), isBusy);
            lab._running = lab.Recorder.RunAsync(lab._stop.Token);
            return lab;
        }

        /// <summary>It has asked, been told to wait, and waits.</summary>
        public async Task HasAskedAsync()
        {
            await Eventually.TrueAsync(() => Volatile.Read(ref _asked) > 0 && Time.PendingTimers > 0);
        }

        public async Task<List<string?>> MessagesAsync() => [.. (await _api.Client.ListAsync(ResourceTypes.Events, "default", Token)).Items.Select(static told => told.Message)];

        public async Task WrittenAsync(int count)
        {
            while ((await MessagesAsync()).Count < count)
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Token);
        }

        /// <summary>Stops it, and waits until it has.</summary>
        public async Task StopAsync()
        {
            await _stop.CancelAsync();
            await _running;
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await _api.DisposeAsync();
            _stop.Dispose();
        }
    }
}
