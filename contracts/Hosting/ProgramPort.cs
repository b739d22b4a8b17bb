using System.Net;
using System.Net.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace DynamicLb.Contracts.Hosting;

/// <summary>A port of a program and what is served there: what is meant for one is not to be found at another.</summary>
/// <param name="Url">Where it listens: http or https, an address or <c>*</c>, a port.</param>
/// <param name="Paths">Paths that are served there.</param>
public sealed record ProgramPort(string Url, IReadOnlyList<string> Paths)
{
    /// <summary>Makes the options of each TLS connection; needed for https.</summary>
    public Func<IServiceProvider, SslServerAuthenticationOptions>? Tls { get; init; }

    /// <summary>Says whether a request may pass; by itself it has answered those that may not. Null lets all pass.</summary>
    public Func<HttpContext, Task<bool>>? Admit { get; init; }
}

/// <summary>Lets a program listen on its ports.</summary>
public static class ProgramPorts
{
    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Whether a text is a URL that a port can have.</summary>
    public static bool IsUrl(string? text, params ReadOnlySpan<string> schemes)
    {
        if (text is null)
            return false;
        try
        {
            var address = BindingAddress.Parse(text);
            return schemes.Contains(address.Scheme) && address.PathBase.Length == 0;
        }
        catch (FormatException)
        {
            return false;
        }
    }

    /// <summary>Listens on these ports and no others.</summary>
    public static void ListenOn(this WebApplicationBuilder builder, params IReadOnlyList<ProgramPort> ports) => builder.WebHost.ConfigureKestrel(kestrel =>
    {
        foreach (var port in ports)
            Listen(kestrel, port);
    });

    /// <summary>Keeps what is served at one port from being found at another.</summary>
    public static void UsePorts(this WebApplication app) => app.Use(static async (context, next) =>
    {
        var port = context.Features.Get<Entrance>()?.Port;
        if (port is not null && !port.Paths.Any(path => context.Request.Path.StartsWithSegments(path, StringComparison.Ordinal)))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        if (port?.Admit is not { } admit || await admit(context))
            await next(context);
    });

    private static void Listen(KestrelServerOptions kestrel, ProgramPort port)
    {
        var address = BindingAddress.Parse(port.Url);
        var services = kestrel.ApplicationServices;
        void Configure(ListenOptions listen)
        {
            if (port.Tls is { } tls)
            {
                // One protocol is enough for the few callers of such a port, and the less to be abused.
                listen.Protocols = HttpProtocols.Http1;
                listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(tls(services)), HandshakeTimeout = HandshakeTimeout });
            }
            var entrance = new Entrance(port);
            listen.Use(next => connection =>
            {
                connection.Features.Set(entrance);
                return next(connection);
            });
        }

        if (address.Host == "localhost")
            kestrel.ListenLocalhost(address.Port, Configure);
        else if (IPAddress.TryParse(address.Host.Trim('[', ']'), out var ip))
            kestrel.Listen(ip, address.Port, Configure);
        else
            kestrel.ListenAnyIP(address.Port, Configure);
    }

    /// <summary>Through which port a connection came.</summary>
    private sealed record Entrance(ProgramPort Port);
}
