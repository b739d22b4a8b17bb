using System.Security.Cryptography;

namespace DynamicLb.AddressService.Dashboard;

/// <summary>The dashboard at <c>/</c>: a few files within the program, which talk to the same API as everybody else.</summary>
internal static class DashboardFiles
{
    /// <summary>Scripts, styles and calls of our own, nothing inline, nothing from elsewhere, and no page around us.</summary>
    private const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        + "frame-ancestors 'none'; require-trusted-types-for 'script'";

    private static readonly (string Path, string File, string Type)[] s_files =
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/dashboard/app.css", "app.css", "text/css; charset=utf-8"),
        ("/dashboard/app.js", "app.js", Script),
        ("/dashboard/dom.js", "dom.js", Script),
        ("/dashboard/leases.js", "leases.js", Script),
        ("/dashboard/model.js", "model.js", Script),
        ("/dashboard/stream.js", "stream.js", Script),
        ("/dashboard/icon.svg", "icon.svg", "image/svg+xml"),
    ];

    private const string Script = "text/javascript; charset=utf-8";

    public static void MapDashboard(this IEndpointRouteBuilder endpoints)
    {
        foreach (var (path, file, type) in s_files)
        {
            byte[] content = Read(file);
            string tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(content).AsSpan(0, 12))}\"";
            endpoints.MapMethods(path, [HttpMethods.Get, HttpMethods.Head], context => WriteAsync(context, content, type, tag)).ExcludeFromDescription();
        }
    }

    private static async Task WriteAsync(HttpContext context, byte[] content, string type, string tag)
    {
        var headers = context.Response.Headers;
        headers.ETag = tag;
        headers.CacheControl = "no-cache";
        headers.ContentSecurityPolicy = ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        // Browsers complain of it where the connection proves nothing.
        if (context.Request.IsHttps)
            headers["Cross-Origin-Opener-Policy"] = "same-origin";
        if (context.Request.Headers.IfNoneMatch == tag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }
        context.Response.ContentType = type;
        context.Response.ContentLength = content.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(content, context.RequestAborted);
    }

    private static byte[] Read(string file)
    {
        using var stream = typeof(DashboardFiles).Assembly.GetManifestResourceStream($"dashboard/{file}")
            ?? throw new InvalidOperationException($"{file} is not part of the program.");
        byte[] content = new byte[stream.Length];
        stream.ReadExactly(content);
        return content;
    }
}
