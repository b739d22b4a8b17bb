using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Metrics;
using DynamicLb.Contracts.Hosting;

namespace DynamicLb.AddressService.Webhooks;

/// <summary>Runs the configured webhooks beside the loop that tells them what happens.</summary>
internal sealed class WebhookSender(
    AddressServiceOptions options, LeaseLoop loop, TimeProvider time, LeaseMetrics metrics, ILogger<WebhookSender> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Webhooks.Count == 0)
            return;
        // No redirects: a signed event goes where it was configured to go, and nowhere else.
        using var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(5),
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            MaxResponseHeadersLength = 16,
        };
        using var http = new HttpMessageInvoker(handler, disposeHandler: false);
        var hooks = options.Webhooks.Select(hook => new Webhook(hook, http, time, metrics, logger)).ToList();
        await loop.InvokeAsync(
            keeper =>
            {
                hooks.ForEach(keeper.Journal.Add);
                return true;
            },
            stoppingToken);
        await Together.RunAsync(stoppingToken, [.. hooks.Select<Webhook, Func<CancellationToken, Task>>(static hook => hook.RunAsync)]);
    }
}
