using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Webhooks;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class WebhookTests : IDisposable
{
    private const string Secret = "a-secret-of-some-length";
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("dynamiclb-webhook-");
    private readonly FakeTime _time = new();
    private readonly LeaseMetrics _metrics;

    public WebhookTests()
    {
        _metrics = new LeaseMetrics(_services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
        File.WriteAllText(SecretFile, Secret + "\n");
    }

    private string SecretFile => Path.Combine(_folder.FullName, "secret");

    public void Dispose()
    {
        _services.Dispose();
        _folder.Delete(recursive: true);
    }

    private static LeaseEvent Event(int number, string type = LeaseEventType.Lost) =>
        new($"1-{number}", type, DateTimeOffset.UnixEpoch, "demo/web", "10.77.0.5", "id", "02:00:00:00:00:01");

    private long Total(string outcome) => _metrics.Totals().GetValueOrDefault($"webhook.{outcome}");

    private WebhookOptions Options(string events = "[lost, changed]")
    {
        WebhookOptions? hook = null;
        Assert.Null(WebhookOptions.Parse($"[{{url: 'http://receiver/hook?key=1', secret-file: '{SecretFile}', events: {events}}}]", hooks => hook = hooks.Single()));
        return hook!;
    }

    [Fact]
    public async Task An_event_is_posted_as_JSON_and_signed()
    {
        using var receiver = new Receiver(_ => HttpStatusCode.NoContent);
        await RunAsync(receiver, hook => hook.Offer(Event(1)), () => Total("delivered") == 1);
        var (body, headers) = Assert.Single(receiver.Requests);
        Assert.Equal("demo/web", JsonDocument.Parse(body).RootElement.GetProperty("service").GetString());
        Assert.Equal($"sha256={Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(Secret), body))}", headers["X-DynamicLb-Signature"]);
        Assert.Equal(("1-1", "lost"), (headers["X-DynamicLb-Event-Id"], headers["X-DynamicLb-Event"]));
    }

    [Fact]
    public async Task Only_the_types_asked_for_are_sent_in_order()
    {
        using var receiver = new Receiver(_ => HttpStatusCode.OK);
        await RunAsync(
            receiver,
            hook =>
            {
                hook.Offer(Event(1, LeaseEventType.Renewed));
                hook.Offer(Event(2));
                hook.Offer(Event(3, LeaseEventType.Bound));
                hook.Offer(Event(4, LeaseEventType.Changed));
            },
            () => Total("delivered") == 2);
        Assert.Equal(["1-2", "1-4"], receiver.Requests.Select(r => r.Headers["X-DynamicLb-Event-Id"]));
    }

    [Fact]
    public async Task A_receiver_that_fails_is_tried_again_with_growing_pauses_and_then_given_up()
    {
        var at = new ConcurrentQueue<TimeSpan>();
        using var receiver = new Receiver(n =>
        {
            at.Enqueue(_time.Elapsed);
            return n % 2 == 0 ? null : HttpStatusCode.ServiceUnavailable;
        });
        await RunAsync(receiver, hook => hook.Offer(Event(1)), () => Total("failed") == 1);
        Assert.Equal(Webhook.Attempts, receiver.Requests.Count);
        var pauses = at.Zip(at.Skip(1), (a, b) => b - a).ToList();
        for (int i = 0; i < pauses.Count; i++)
            Assert.InRange(pauses[i].TotalSeconds, Math.Min(60, 1 << i), Math.Min(60, 1 << i) + 1.1);
    }

    [Fact]
    public async Task What_waits_at_a_stop_is_still_sent()
    {
        using var receiver = new Receiver(_ => HttpStatusCode.OK);
        using var http = new HttpMessageInvoker(receiver, disposeHandler: false);
        var hook = new Webhook(Options(), http, _time, _metrics, NullLogger.Instance);
        for (int i = 0; i < 50; i++)
            hook.Offer(Event(i));
        await hook.RunAsync(new CancellationToken(canceled: true));
        Assert.Equal((50, 50), (receiver.Requests.Count, (int)Total("delivered")));
        hook.Offer(Event(51));
        Assert.Equal(1, Total("dropped"));
    }

    [Fact]
    public async Task A_receiver_that_was_down_is_tried_at_once_at_a_stop_and_holds_the_end_up_no_longer_than_it_may()
    {
        var at = new ConcurrentQueue<TimeSpan>();
        using var receiver = new Receiver(_ =>
        {
            at.Enqueue(_time.Elapsed);
            return null;
        });
        using var http = new HttpMessageInvoker(receiver, disposeHandler: false);
        using var stop = new CancellationTokenSource();
        var hook = new Webhook(Options(), http, _time, _metrics, NullLogger.Instance);
        for (int i = 0; i < 5; i++)
            hook.Offer(Event(i));
        var running = hook.RunAsync(stop.Token);
        while (at.Count < 4)
        {
            if (_time.PendingTimers > 0 && !receiver.IsBusy)
                _time.Advance(TimeSpan.FromSeconds(0.5));
            await Task.Yield();
        }
        var stopped = _time.Elapsed;
        await stop.CancelAsync();
        while (!running.IsCompleted)
        {
            if (at.Count > 4)
                _time.Advance(TimeSpan.FromSeconds(0.25));
            await Task.Yield();
        }
        Assert.InRange(at.ElementAt(4), stopped, stopped + TimeSpan.FromSeconds(0.1));
        Assert.InRange(at.Last(), stopped, stopped + Webhook.LastCalls + TimeSpan.FromSeconds(0.3));
        // The first may have had its last try before the end.
        Assert.Equal(5, Total("failed") + Total("dropped"));
        Assert.InRange(Total("dropped"), 4, 5);
    }

    [Theory]
    [InlineData(HttpStatusCode.BadRequest)]
    [InlineData(HttpStatusCode.Found)]
    public async Task A_refusal_is_final(HttpStatusCode code)
    {
        using var receiver = new Receiver(_ => code);
        await RunAsync(receiver, hook => hook.Offer(Event(1)), () => Total("refused") == 1);
        Assert.Single(receiver.Requests);
    }

    [Fact]
    public void What_does_not_fit_the_queue_is_dropped_and_counted()
    {
        using var receiver = new Receiver(_ => HttpStatusCode.OK);
        using var http = new HttpMessageInvoker(receiver, disposeHandler: false);
        var hook = new Webhook(Options(), http, _time, _metrics, NullLogger.Instance);
        for (int i = 0; i < Webhook.QueueLength + 3; i++)
            hook.Offer(Event(i));
        Assert.Equal(3, Total("dropped"));
    }

    [Theory]
    [InlineData("{}", "not a list")]
    [InlineData("[x]", "entry 1: is not a mapping")]
    [InlineData("[{url: 'http://h/'}]", "entry 1: url and secret-file are required")]
    [InlineData("[{url: 'ftp://h/', secret-file: SECRET}]", "entry 1: url is no http")]
    [InlineData("[{url: 'http://u:p@h/', secret-file: SECRET}]", "entry 1: url is no http")]
    [InlineData("[{url: 'http://h/', secret-file: SECRET, events: [gone]}]", "entry 1: events has 'gone'")]
    [InlineData("[{url: 'http://h/', secret-file: SECRET, more: 1}]", "entry 1: 'more' is unknown")]
    [InlineData("[{url: 'http://h/', secret-file: /nowhere/secret}]", "entry 1: secret-file /nowhere/secret cannot be read")]
    [InlineData("[{", "is not YAML")]
    public void A_list_that_cannot_work_is_refused_with_its_cause(string yaml, string fault)
    {
        string? found = WebhookOptions.Parse(yaml.Replace("SECRET", SecretFile, StringComparison.Ordinal), _ => Assert.Fail("accepted"));
        Assert.Contains(fault, found, StringComparison.Ordinal);
    }

    [Fact]
    public void The_list_is_read_from_the_configuration_file_and_from_the_command_line()
    {
        string file = Path.Combine(_folder.FullName, "config.yaml");
        File.WriteAllText(file, $"allow-anonymous: true\nwebhooks:\n- url: https://a.example/x\n  secret-file: {SecretFile}\n  events: [lost]\n- url: https://b.example/\n  secret-file: {SecretFile}\n");
        var options = OptionSources.Read(["--config", file], _ => null).Options;
        Assert.Equal(["https://a.example", "https://b.example"], options!.Webhooks.Select(h => h.Name));
        Assert.Equal(["lost"], options.Webhooks[0].Events);
        Assert.DoesNotContain(LeaseEventType.Renewed, options.Webhooks[1].Events);

        options = OptionSources.Read(["--allow-anonymous", "--webhooks", $"[{{url: 'http://c.example', secret-file: '{SecretFile}'}}]"], _ => null).Options;
        Assert.Equal("http://c.example", Assert.Single(options!.Webhooks).Name);
    }

    [Fact]
    public async Task The_address_service_sends_what_happens_to_its_leases()
    {
        var (listener, port) = Listen();
        using var closing = listener;
        await using var host = await ApiHost.StartAsync(o =>
            Assert.Null(WebhookOptions.Parse($"[{{url: 'http://127.0.0.1:{port}/hook', secret-file: '{SecretFile}', events: [bound]}}]", hooks => o.Webhooks = hooks)));
        await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        var context = await listener.GetContextAsync().WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System, TestContext.Current.CancellationToken);
        var body = await JsonSerializer.DeserializeAsync<JsonElement>(context.Request.InputStream, cancellationToken: TestContext.Current.CancellationToken);
        context.Response.Close();
        Assert.Equal(("bound", "demo/web"), (body.GetProperty("type").GetString(), body.GetProperty("service").GetString()));
    }

    private static (HttpListener Listener, int Port) Listen()
    {
        while (true)
        {
            int port = FreePort();
            var listener = new HttpListener();
            listener.Prefixes.Add($"http://127.0.0.1:{port}/");
            try
            {
                listener.Start();
                return (listener, port);
            }
            catch (HttpListenerException)
            {
                // Somebody took the port meanwhile.
                listener.Close();
            }
        }
    }

    private static int FreePort()
    {
        using var socket = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        socket.Start();
        return ((IPEndPoint)socket.LocalEndpoint).Port;
    }

    private async Task RunAsync(Receiver receiver, Action<Webhook> act, Func<bool> until)
    {
        using var http = new HttpMessageInvoker(receiver, disposeHandler: false);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var hook = new Webhook(Options(), http, _time, _metrics, NullLogger.Instance);
        act(hook);
        var running = hook.RunAsync(stop.Token);
        while (!until())
        {
            // A pause is waited for: the call's own time limit is no pause.
            if (_time.PendingTimers > 0 && !receiver.IsBusy)
                _time.Advance(TimeSpan.FromSeconds(0.5));
            await Task.Yield();
        }
        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Answers with a code, or not at all.</summary>
    private sealed class Receiver(Func<int, HttpStatusCode?> answer) : HttpMessageHandler
    {
        public List<(byte[] Body, Dictionary<string, string> Headers)> Requests { get; } = [];

        public bool IsBusy { get; private set; }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            IsBusy = true;
            Requests.Add((await request.Content!.ReadAsByteArrayAsync(cancellationToken), request.Headers.ToDictionary(h => h.Key, h => h.Value.Single(), StringComparer.Ordinal)));
            var code = answer(Requests.Count);
            IsBusy = false;
            return code is { } given ? new HttpResponseMessage(given) : throw new HttpRequestException("connection refused");
        }
    }
}
