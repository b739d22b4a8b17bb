using System.Net;
using DynamicLb.AddressService.Configuration;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace DynamicLb.AddressService.Security;

/// <summary>Where the REST API listens, in clear or by TLS, and how large a request may be.</summary>
internal static class Listener
{
    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(10);

    public static void UseListener(this WebApplicationBuilder builder, AddressServiceOptions options)
    {
        var urls = options.Listen.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        bool isTls = urls.Any(IsTls);
        if (isTls)
        {
            builder.Services.AddSingleton(provider => new ServerCertificates(
                options.Tls, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ServerCertificates>>()));
        }
        else
        {
            builder.WebHost.UseUrls(urls);
        }
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestLineSize = 4 * 1024;
            kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
            kestrel.Limits.MaxRequestHeaderCount = 64;
            if (!isTls)
                return;
            foreach (string url in urls)
                Listen(kestrel, url, IsTls(url) ? kestrel.ApplicationServices.GetRequiredService<ServerCertificates>() : null);
        });
    }

    private static void Listen(KestrelServerOptions kestrel, string url, ServerCertificates? certificates)
    {
        var address = BindingAddress.Parse(url);
        void Configure(ListenOptions listen)
        {
            if (certificates is null)
                return;
            listen.UseHttps(new TlsHandshakeCallbackOptions
            {
                OnConnection = _ => ValueTask.FromResult(certificates.ForConnection()),
                HandshakeTimeout = HandshakeTimeout,
            });
        }

        if (address.Host == "localhost")
            kestrel.ListenLocalhost(address.Port, Configure);
        else if (IPAddress.TryParse(address.Host, out var ip))
            kestrel.Listen(ip, address.Port, Configure);
        else
            kestrel.ListenAnyIP(address.Port, Configure);
    }

    private static bool IsTls(string url) => url.StartsWith("https://", StringComparison.Ordinal);
}
