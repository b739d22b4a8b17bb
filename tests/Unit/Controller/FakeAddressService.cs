using System.Collections.Concurrent;
using DynamicLb.Contracts.AddressServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>An address service on loopback that leases from a counter: what the controller sees of one, faults on demand.</summary>
internal sealed class FakeAddressService : IAsyncDisposable
{
    private static readonly AddressServiceJsonContext Json = AddressServiceJsonContext.Default;
    private readonly WebApplication _app;
    private readonly Lock _counting = new();
    private readonly Lock _leasing = new();
    private int _next = 10;
    private int _atOnce;
    private int _acquired;
    private int _reports;
    private int _looks;

    private FakeAddressService(WebApplication app) => _app = app;

    public Uri Url { get; private set; } = null!;

    /// <summary>Leases by service, those of IPv6 by <c>service/6</c>; a test may change them as DHCP would.</summary>
    public ConcurrentDictionary<string, LeaseAnswer> Leases { get; } = new();

    public int Acquired => Volatile.Read(ref _acquired);

    /// <summary>How often the leases were looked at.</summary>
    public int Looks => Volatile.Read(ref _looks);

    /// <summary>How often leases were reported to be without an owner.</summary>
    public int Reports => Volatile.Read(ref _reports);

    public ConcurrentQueue<AcquireAddressRequest> Asked { get; } = new();

    /// <summary>Services whose leases were given back, whether they had one or not.</summary>
    public ConcurrentQueue<string> GivenBack { get; } = new();

    public string? Token { get; set; }

    /// <summary>Answers every release with 503.</summary>
    public bool RefusesReleases { get; set; }

    /// <summary>Calls wait for this before they are answered.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>Refuses to lease, with this cause.</summary>
    public string? Refusal { get; set; }

    /// <summary>Refuses to lease IPv6 addresses, with this cause.</summary>
    public string? RefusalOfIPv6 { get; set; }

    /// <summary>How many calls for leases were under way at once, at most.</summary>
    public int MostAtOnce { get; private set; }

    /// <summary>The addresses to lease; null counts up.</summary>
    public Func<AcquireAddressRequest, string>? Choose { get; set; }

    public DateTimeOffset? ValidUntil { get; set; } = new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Whether leases have no MACs of their own.</summary>
    public bool? SharesMac { get; set; }

    public static async Task<FakeAddressService> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var service = new FakeAddressService(builder.Build());
        service._app.Run(service.HandleAsync);
        await service._app.StartAsync();
        service.Url = new Uri(service._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        return service;
    }

    public LeaseAnswer Add(string service, string ip, string? uid = "uid")
    {
        bool isIPv6 = ip.Contains(':');
        lock (_leasing)
        {
            return Leases[Key(service, isIPv6)] = new LeaseAnswer(
                service, uid, ip, Guid.NewGuid().ToString(), "02:4c:42:00:00:01", "bound", null, "10.20.0.1", 600, null, null, null, ValidUntil, true, 0, null,
                Family: isIPv6 ? AddressFamilies.IPv6 : null, SharesMac: SharesMac);
        }
    }

    /// <summary>The lease is lost: the search for an address goes on.</summary>
    public void Lose(string service, string cause)
    {
        Refusal = cause;
        Leases[service] = Leases[service] with { Ip = "", State = "selecting", LastError = cause };
    }

    /// <summary>The lease that there is, or a new one; what a test adds meanwhile is not overwritten.</summary>
    private LeaseAnswer FindOrAdd(AcquireAddressRequest wanted, bool isIPv6)
    {
        lock (_leasing)
        {
            return Leases.TryGetValue(Key(wanted.Service!, isIPv6), out var existing) && existing.Ip.Length > 0
                ? existing
                : Add(wanted.Service!, Choose?.Invoke(wanted) ?? wanted.Ip ?? $"{(isIPv6 ? "fd20::" : "10.20.0.")}{Interlocked.Increment(ref _next)}", wanted.Uid);
        }
    }

    private static string Key(string service, bool isIPv6) => isIPv6 ? $"{service}/6" : service;

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private async Task HandleAsync(HttpContext context)
    {
        bool isForLease = context.Request.Method == "POST" && context.Request.Path == "/v1/ip";
        if (isForLease)
        {
            lock (_counting)
                MostAtOnce = Math.Max(MostAtOnce, ++_atOnce);
        }
        try
        {
            await Gate.WaitAsync(context.RequestAborted);
        }
        finally
        {
            if (isForLease)
            {
                lock (_counting)
                    _atOnce--;
            }
        }
        if (Token is not null && context.Request.Headers["X-Auth-Token"] != Token)
        {
            context.Response.StatusCode = 401;
            await context.Response.WriteAsJsonAsync(new ErrorAnswer("error", "token"), Json.ErrorAnswer);
            return;
        }
        switch (context.Request.Method, context.Request.Path.Value)
        {
            case ("GET", "/v1/status"):
                Interlocked.Increment(ref _looks);
                await context.Response.WriteAsJsonAsync(
                    new StatusAnswer("success", [.. Leases.Values], [], new Dictionary<string, long>()), Json.StatusAnswer);
                break;
            case ("POST", "/v1/ip"):
                var wanted = (await context.Request.ReadFromJsonAsync(Json.AcquireAddressRequest))!;
                Asked.Enqueue(wanted);
                Interlocked.Increment(ref _acquired);
                bool isIPv6 = wanted.Family == AddressFamilies.IPv6;
                if ((isIPv6 ? RefusalOfIPv6 ?? Refusal : Refusal) is { } cause)
                {
                    context.Response.StatusCode = 504;
                    await context.Response.WriteAsJsonAsync(new AcquireAddressAnswer("timeout", "", Detail: cause), Json.AcquireAddressAnswer);
                    return;
                }
                var lease = FindOrAdd(wanted, isIPv6);
                await context.Response.WriteAsJsonAsync(
                    new AcquireAddressAnswer("success", lease.Ip, lease.Id, lease.Mac, 600, lease.ValidUntil, SharesMac: lease.SharesMac), Json.AcquireAddressAnswer);
                break;
            case ("POST", "/v1/ip/orphans"):
                var ownerless = (await context.Request.ReadFromJsonAsync(Json.OrphansRequest))!.Services!;
                // What went meanwhile stays away.
                foreach (var (service, known) in Leases)
                    Leases.TryUpdate(service, known with { OrphanedSince = ownerless.Contains(service) ? new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero) : null }, known);
                Interlocked.Increment(ref _reports);
                await context.Response.WriteAsJsonAsync(new OrphansAnswer("success", []), Json.OrphansAnswer);
                break;
            case ("DELETE", "/v1/ip"):
                var given = (await context.Request.ReadFromJsonAsync(Json.ReleaseAddressRequest))!;
                if (RefusesReleases)
                {
                    context.Response.StatusCode = 503;
                    await context.Response.WriteAsJsonAsync(new ReleaseAddressAnswer("error", "", Detail: "the store is full"), Json.ReleaseAddressAnswer);
                    return;
                }
                GivenBack.Enqueue(given.Service!);
                LeaseAnswer? released = null;
                bool isKnown = (given.Family != AddressFamilies.IPv6 && Leases.TryRemove(Key(given.Service!, false), out released))
                    | (given.Family != AddressFamilies.IPv4 && Leases.TryRemove(Key(given.Service!, true), out released));
                context.Response.StatusCode = isKnown ? 200 : 404;
                await context.Response.WriteAsJsonAsync(
                    new ReleaseAddressAnswer(isKnown ? "success" : "error", released?.Ip ?? "", released?.Id, isKnown ? null : "unknown"), Json.ReleaseAddressAnswer);
                break;
            default:
                context.Response.StatusCode = 404;
                break;
        }
    }
}
