using System.Collections.Concurrent;
using System.Net.Sockets;
using DynamicLb.AddressService.Journal;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Kubernetes;
using DynamicLb.Tests.Unit.AddressService;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>The controller's side of the event stream, against the real address service; nothing polls here.</summary>
public sealed class LeaseWatchTests
{
    private static readonly NamespacedName s_web = new("demo", "web");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_lost_lease_is_known_without_a_poll_and_asked_for_again()
    {
        await using var host = await ApiHost.StartAsync();
        using var gate = new Gate();
        using var http = new HttpClient(gate) { BaseAddress = host.Http.BaseAddress };
        var views = new ConcurrentQueue<LeaseView>();
        LeaseBroker? broker = null;
        var client = new AddressServiceClient(http, _ => ValueTask.FromResult<string?>(ApiHost.Token), TimeSpan.FromSeconds(30), TimeProvider.System);
        var source = new AddressServiceSource("dhcp", AnnouncementProtocol.Layer2, true, host.Http.BaseAddress!, [], null, null, TimeSpan.FromSeconds(30));
        await using (broker = new LeaseBroker(source, client, name => views.Enqueue(broker!.Want(new LeaseId(name, AddressFamily.InterNetwork), "uid", null)), TimeProvider.System, new Random(1), NullLogger.Instance))
        {
            broker.Want(new LeaseId(s_web, AddressFamily.InterNetwork), "uid", null);
            await UntilAsync(() => views.LastOrDefault()?.Phase == LeasePhase.Leased);
            var loop = host.Services.GetRequiredService<LeaseLoop>();
            await ApiHost.UntilAsync(async () => await loop.InvokeAsync(keeper => keeper.Journal.Watchers, Cancelled) > 0);

            var record = new LeaseRecord { Service = "demo/web", Id = Guid.NewGuid(), Mac = "02:00:00:00:00:01", Address = views.Last().Address!.ToString() };
            // It is asked for again at once: the answer waits until the loss was seen.
            gate.Close();
            await TellAsync(loop, LeaseEventType.Lost, record, "nobody extended it in time");
            await UntilAsync(() => views.Any(view => view is { Phase: LeasePhase.Lost, Cause: "the lease was lost: nobody extended it in time" }));
            gate.Open();
            await UntilAsync(() => views.Last().Phase == LeasePhase.Leased);

            await TellAsync(loop, LeaseEventType.Changed, record with { Address = "10.77.0.190" }, null);
            await UntilAsync(() => views.Last().Address?.ToString() == "10.77.0.190");
        }
    }

    /// <summary>Holds calls for leases up while it is closed.</summary>
    private sealed class Gate() : DelegatingHandler(new SocketsHttpHandler())
    {
        private volatile TaskCompletionSource? _closed;

        public void Close() => _closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Open() => _closed!.SetResult();

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (request.Method == HttpMethod.Post && _closed is { } closed)
                await closed.Task.WaitAsync(cancellationToken);
            return await base.SendAsync(request, cancellationToken);
        }
    }

    private static Task<bool> TellAsync(LeaseLoop loop, string type, LeaseRecord record, string? detail) => loop.InvokeAsync(
        keeper =>
        {
            keeper.Journal.Tell(new JournalEntry(type, LabClock.Start, record, detail, null));
            return true;
        },
        Cancelled);

    private static async Task UntilAsync(Func<bool> condition)
    {
        while (!condition())
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancelled);
    }
}
