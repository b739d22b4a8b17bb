using System.Net;
using System.Text;

namespace DynamicLb.Lab.Demo;

/// <summary>The web server behind the demo's Service.</summary>
internal static class WebBackend
{
    /// <summary>Answers every request, whatever host it names, with a line that names the node; runs until cancelled.</summary>
    public static async Task RunAsync(string port, string node, CancellationToken cancellationToken)
    {
        using var listener = new HttpListener();
        listener.Prefixes.Add($"http://*:{port}/");
        listener.Start();
        await using var stop = cancellationToken.Register(listener.Close);
        while (!cancellationToken.IsCancellationRequested)
        {
            HttpListenerContext context;
            try
            {
                context = await listener.GetContextAsync();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                return;
            }

            context.Response.ContentType = "text/plain";
            context.Response.Close(Encoding.UTF8.GetBytes($"Hello from a pod on {node}.\n"), willBlock: false);
        }
    }
}
