using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using DynamicLb.Lab;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Network.Browser;

/// <summary>A headless Chromium on a host of the lab, driven by the DevTools protocol.</summary>
internal sealed class Chromium : IAsyncDisposable
{
    private const int Port = 9222;
    private readonly HttpMessageInvoker _http;
    private readonly ClientWebSocket _socket = new();
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> _calls = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _sending = new(1);
    private readonly ChildProcess _process;
    private Task _reading = Task.CompletedTask;
    private int _lastId;

    private Chromium(ChildProcess process, HttpMessageInvoker http) => (_process, _http) = (process, http);

    /// <summary>What the pages complained about: exceptions, and what the browser logged as an error.</summary>
    public ConcurrentQueue<string> Complaints { get; } = new();

    public static async Task<Chromium> StartAsync(LabNetwork network, LabHost host, CancellationToken cancellationToken)
    {
        // Without these it looks for its maker's servers, which are not on the lab's networks.
        var process = network.Start(
            host, $"chromium-{host.Name}", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-device-scale-factor=1",
            $"--user-data-dir={Path.Combine(network.Folder, "chromium")}", $"--remote-debugging-port={Port}", "about:blank");
        var chromium = new Chromium(process, new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false, ConnectCallback = host.Connector("127.0.0.1", Port) }));
        var address = await Wait.ForAsync(() => chromium.AddressAsync(cancellationToken), TimeSpan.FromSeconds(60), $"Chromium: {process.LogTail(3)}", cancellationToken);
        await chromium._socket.ConnectAsync(address, chromium._http, cancellationToken);
        chromium._reading = chromium.ReadAsync();
        return chromium;
    }

    /// <summary>Opens a page in a window of its own, with nothing remembered.</summary>
    public async Task<Page> OpenAsync(Uri url, int width, int height)
    {
        var context = await CallAsync("Target.createBrowserContext", []);
        var target = await CallAsync("Target.createTarget", new() { ["url"] = "about:blank", ["browserContextId"] = (string?)context["browserContextId"] });
        var session = await CallAsync("Target.attachToTarget", new() { ["targetId"] = (string?)target["targetId"], ["flatten"] = true });
        var page = new Page(this, (string)session["sessionId"]!);
        foreach (string domain in new[] { "Page", "Runtime", "Log", "Accessibility" })
            await page.CallAsync($"{domain}.enable", []);
        await page.ResizeAsync(width, height);
        await page.CallAsync("Page.navigate", new() { ["url"] = url.ToString() });
        await page.WaitAsync("document.readyState === 'complete' && document.body !== null && location.protocol !== 'about:'", "the page");
        return page;
    }

    public async Task<JsonNode> CallAsync(string method, JsonObject parameters, string? session = null)
    {
        int id = Interlocked.Increment(ref _lastId);
        var done = _calls[id] = new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = parameters };
        if (session is not null)
            message["sessionId"] = session;
        await _sending.WaitAsync(_stop.Token);
        try
        {
            await _socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message), WebSocketMessageType.Text, true, _stop.Token);
        }
        finally
        {
            _sending.Release();
        }
        return await done.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, _stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _socket.Dispose();
        _http.Dispose();
        _sending.Dispose();
        _stop.Dispose();
        await _process.DisposeAsync();
    }

    private async Task<Uri?> AddressAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"http://127.0.0.1:{Port}/json/version");
            using var answer = await _http.SendAsync(request, cancellationToken);
            var version = JsonNode.Parse(await answer.Content.ReadAsStringAsync(cancellationToken));
            return new Uri((string)version!["webSocketDebuggerUrl"]!);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException)
        {
            return null;
        }
    }

    private async Task ReadAsync()
    {
        byte[] buffer = new byte[64 * 1024];
        using var message = new MemoryStream();
        while (!_stop.IsCancellationRequested)
        {
            var part = await _socket.ReceiveAsync(new Memory<byte>(buffer), _stop.Token);
            message.Write(buffer, 0, part.Count);
            if (!part.EndOfMessage)
                continue;
            var node = JsonNode.Parse(message.GetBuffer().AsSpan(0, (int)message.Length))!;
            message.SetLength(0);
            if (node["id"] is { } id)
            {
                if (!_calls.TryRemove((int)id, out var call))
                    continue;
                if (node["error"] is { } error)
                    call.TrySetException(new InvalidOperationException(error.ToJsonString()));
                else
                    call.TrySetResult(node["result"] ?? new JsonObject());
            }
            else if ((string?)node["method"] == "Runtime.exceptionThrown" || ((string?)node["method"] == "Log.entryAdded" && (string?)node["params"]!["entry"]!["level"] == "error"))
            {
                Complaints.Enqueue(node["params"]!.ToJsonString());
            }
        }
    }
}
