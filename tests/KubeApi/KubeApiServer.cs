using System.Net;
using DynamicLb.Kubernetes.Client;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace DynamicLb.Tests.KubeApi;

/// <summary>
/// An API server for tests and the demo: the kinds that the programs use, stored in memory, served over plain HTTP as kubectl and our client expect
/// (lists in pages, watches with bookmarks, patches, conflicts, tables). For speed, beside the real kube-apiserver, not instead of it.
/// </summary>
public sealed class KubeApiServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly string? _token;

    private KubeApiServer(WebApplication app, ObjectStore store, FaultInjector faults, TokenOwners tokens, string? token)
    {
        _app = app;
        Store = store;
        Faults = faults;
        Tokens = tokens;
        _token = token;
        Url = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        Client = new KubernetesClient(new KubernetesClientConfiguration { Server = Url, Token = token }, TimeProvider.System);
    }

    /// <summary>Where it listens.</summary>
    public Uri Url { get; }

    /// <summary>A client of it.</summary>
    public KubernetesClient Client { get; }

    /// <summary>Makes it misbehave.</summary>
    public FaultInjector Faults { get; }

    /// <summary>The tokens that it knows the owners of.</summary>
    public TokenOwners Tokens { get; }

    internal ObjectStore Store { get; }

    /// <summary>Makes watches from before this moment answer 410.</summary>
    public void Compact() => Store.Compact();

    /// <summary>Starts one, with the namespaces that every cluster has.</summary>
    /// <param name="url">Where to listen; a free loopback port by default.</param>
    /// <param name="token">A bearer token to require; null for none.</param>
    public static async Task<KubeApiServer> StartAsync(string url = "http://127.0.0.1:0", string? token = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url);
        var app = builder.Build();
        var store = new ObjectStore(TimeProvider.System);
        var faults = new FaultInjector();
        var tokens = new TokenOwners();
        foreach (string name in new[] { "default", "kube-system", "kube-node-lease" })
            store.Create(ApiResource.Find("", "v1", "namespaces")!, "", new() { ["metadata"] = new System.Text.Json.Nodes.JsonObject { ["name"] = name } });
        var handler = new ApiHandler(store, faults, tokens, token, app.Lifetime.ApplicationStopping);
        app.Run(handler.HandleAsync);
        await app.StartAsync();
        return new KubeApiServer(app, store, faults, tokens, token);
    }

    /// <summary>A kubeconfig for it.</summary>
    public string KubeConfig() => $$"""
        apiVersion: v1
        kind: Config
        current-context: dynamiclb
        clusters:
        - name: dynamiclb
          cluster: {server: "{{Url.ToString().TrimEnd('/')}}"}
        users:
        - name: dynamiclb
          user: {{(_token is null ? "{}" : $"{{token: \"{_token}\"}}")}}
        contexts:
        - name: dynamiclb
          context: {cluster: dynamiclb, user: dynamiclb, namespace: default}
        """;

    /// <summary>Completes when the process is told to end.</summary>
    public Task WaitForShutdownAsync() => _app.WaitForShutdownAsync();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        using var quickly = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _app.StopAsync(quickly.Token);
        await _app.DisposeAsync();
    }
}

/// <summary>Makes the server misbehave. Thread-safe.</summary>
public sealed class FaultInjector
{
    private volatile TaskCompletionSource _drop = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile int _status;

    /// <summary>Answers every request with this code until <see cref="Heal"/>.</summary>
    public void AnswerWith(HttpStatusCode status) => _status = (int)status;

    /// <summary>Ends the misbehaviour.</summary>
    public void Heal() => _status = 0;

    /// <summary>Looks at each request, by method and path, and may refuse it with a code. Called by several threads.</summary>
    public Func<string, string, HttpStatusCode?> Judge { get; set; } = static (_, _) => null;

    /// <summary>Breaks all watches that are open, in the middle.</summary>
    public void DropWatches()
    {
        var dropped = Interlocked.Exchange(ref _drop, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        dropped.SetResult();
    }

    internal int Status => _status;

    internal Task Dropped => _drop.Task;
}
