using System.Net;
using DynamicLb.Lab.Kubernetes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Tests.Cluster.Client;

/// <summary>Stands in front of an API server and answers in its place when told; what is open then breaks off.</summary>
internal sealed class FaultProxy : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly HttpClient _server;
    private CancellationTokenSource _open = new();
    private volatile int _status;

    private FaultProxy(WebApplication app, HttpClient server)
    {
        _app = app;
        _server = server;
        app.Run(ForwardAsync);
    }

    public Uri Url => new(_app.Urls.First());

    public static async Task<FaultProxy> StartAsync(RealControlPlane plane)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var proxy = new FaultProxy(builder.Build(), plane.Http);
        await proxy._app.StartAsync();
        return proxy;
    }

    public void Fail(HttpStatusCode status)
    {
        _status = (int)status;
        using var broken = Interlocked.Exchange(ref _open, new CancellationTokenSource());
        broken.Cancel();
    }

    public void Heal() => _status = 0;

    public async ValueTask DisposeAsync()
    {
        using var quickly = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _app.StopAsync(quickly.Token);
        await _app.DisposeAsync();
        _open.Dispose();
    }

    private async Task ForwardAsync(HttpContext context)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, _open.Token);
        if (_status is not 0 and var status)
        {
            context.Response.StatusCode = status;
            if (status == StatusCodes.Status429TooManyRequests)
                context.Response.Headers.RetryAfter = "1";
            return;
        }
        try
        {
            using var request = new HttpRequestMessage(
                new HttpMethod(context.Request.Method), context.Request.Path.ToUriComponent() + context.Request.QueryString.ToUriComponent());
            if (context.Request.ContentType is { } type)
            {
                request.Content = new StreamContent(context.Request.Body);
                request.Content.Headers.TryAddWithoutValidation("Content-Type", type);
            }
            using var response = await _server.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ended.Token);
            context.Response.StatusCode = (int)response.StatusCode;
            context.Response.ContentType = response.Content.Headers.ContentType?.ToString();
            await context.Response.Body.FlushAsync(ended.Token);
            await using var body = await response.Content.ReadAsStreamAsync(ended.Token);
            var buffer = new byte[16384];
            while (await body.ReadAsync(buffer, ended.Token) is > 0 and var count)
            {
                await context.Response.Body.WriteAsync(buffer.AsMemory(0, count), ended.Token);
                await context.Response.Body.FlushAsync(ended.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or HttpRequestException or IOException)
        {
            context.Abort();
        }
    }
}
