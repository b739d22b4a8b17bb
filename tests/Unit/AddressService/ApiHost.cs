using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using DynamicLb.AddressService;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Netlink;
using DynamicLb.Tests.Unit.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>The whole address service behind its real web server on loopback; only the network is a scripted DHCP server.</summary>
internal sealed class ApiHost : IAsyncDisposable
{
    public const string Token = "the-right-token";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("dynamiclb-api-");
    private WebApplication _app = null!;

    private ApiHost()
    {
    }

    public FakeDhcpServer Server { get; } = new();

    public IDhcpTransport Transport { get; private set; } = null!;

    public HttpClient Http { get; private set; } = null!;

    /// <summary>Sends no token by itself.</summary>
    public HttpClient Anonymous { get; private set; } = null!;

    public string TokenPath => Path.Combine(_folder.FullName, "token");

    public IServiceProvider Services => _app.Services;

    public static async Task<ApiHost> StartAsync(Action<AddressServiceOptions>? change = null, Func<FakeDhcpServer, IDhcpTransport>? transport = null, TimeProvider? time = null,
        Action<WebApplicationBuilder>? build = null, string? tokens = null)
    {
        var host = new ApiHost();
        await File.WriteAllTextAsync(host.TokenPath, $"# accepted\n{Token}\n{tokens}");
        var options = new AddressServiceOptions
        {
            Listen = "http://127.0.0.1:0",
            Data = Path.Combine(host._folder.FullName, "data"),
            TokenFiles = [host.TokenPath],
            LogLevel = LogLevel.None,
        };
        change?.Invoke(options);
        host.Transport = transport?.Invoke(host.Server) ?? new InMemoryDhcpTransport(host.Server);
        var builder = WebApplication.CreateSlimBuilder();
        if (time is not null)
            builder.Services.AddSingleton(time);
        builder.AddAddressService(options);
        builder.Services.Replace(ServiceDescriptor.Singleton(new DhcpLinks(new StillLinks(), [.. options.Interfaces.Select(o => new DhcpLink(o, "lan0", host.Transport, null, hardwareAddress: () => MacAddress.Parse("02:00:00:00:00:07")))], new RelaySockets(TimeProvider.System))));
        build?.Invoke(builder);
        host._app = builder.Build();
        host._app.MapAddressService();
        await host._app.StartAsync(TestContext.Current.CancellationToken);
        host.Http = new HttpClient { BaseAddress = new Uri(host._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()) };
        host.Anonymous = new HttpClient { BaseAddress = host.Http.BaseAddress };
        host.Http.DefaultRequestHeaders.Add("X-Auth-Token", Token);
        return host;
    }

    public Task<(HttpStatusCode Code, JsonElement Body)> PostAsync(string path, string body) => SendAsync(HttpMethod.Post, path, body);

    /// <summary>A call with another token, and its whole answer.</summary>
    public async Task<HttpResponseMessage> CallAsync(string? token, HttpMethod method, string path, string? body = null)
    {
        using var request = new HttpRequestMessage(method, path);
        if (token is not null)
            request.Headers.Authorization = new System.Net.Http.Headers.AuthenticationHeaderValue("Bearer", token);
        if (body is not null)
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        return await Anonymous.SendAsync(request, TestContext.Current.CancellationToken);
    }

    public async Task<(HttpStatusCode Code, JsonElement Body)> SendAsync(HttpMethod method, string path, string? body = null)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await Http.SendAsync(request, TestContext.Current.CancellationToken);
        return (response.StatusCode, await response.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken));
    }

    /// <summary>Waits for what comes by itself.</summary>
    public static Task UntilAsync(Func<bool> condition) => UntilAsync(() => Task.FromResult(condition()));

    /// <summary>Waits for what comes by itself. It leaves the processor to those who bring it about.</summary>
    public static async Task UntilAsync(Func<Task<bool>> condition)
    {
        while (!await condition())
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, TestContext.Current.CancellationToken);
    }

    public async Task StopAsync() => await _app.StopAsync(TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        Anonymous.Dispose();
        // Its loops write to the folder until they have ended.
        await _app.StopAsync(CancellationToken.None);
        await _app.DisposeAsync();
        _folder.Delete(recursive: true);
    }
}

/// <summary>A LAN that answers no DISCOVER before it has seen so many: whoever waits for another's exchange waits for ever.</summary>
internal sealed class HoldingTransport(FakeDhcpServer server, int until) : IDhcpTransport
{
    private readonly Lock _gate = new();
    private readonly List<DhcpMessage> _held = [];
    private volatile IDhcpReceiver? _receiver;
    private int _discovers;

    public ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _held.AddRange(server.Handle(InMemoryDhcpTransport.Recode(message)));
            if (message.Type == DhcpMessageType.Discover)
                _discovers++;
            if (_discovers < until)
                return ValueTask.CompletedTask;
            foreach (var answer in _held)
                _receiver?.Received(new DhcpReply(InMemoryDhcpTransport.Recode(answer), server.Mac, server.Id));
            _held.Clear();
        }
        return ValueTask.CompletedTask;
    }

    public void Join(MacAddress hardwareAddress)
    {
    }

    public void Leave(MacAddress hardwareAddress)
    {
    }

    public async Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _receiver = null;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}

/// <summary>Interfaces that never change.</summary>
internal sealed class StillLinks : ILinkMonitor
{
    public event Action? Changed
    {
        add { }
        remove { }
    }

    public IReadOnlyList<InterfaceState> Current => [];

    public Task RunAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
