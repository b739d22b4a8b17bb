using System.CommandLine;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Status;

// SIGTERM is the host's business: it stops in good order.
return await SpeakerCommandLine.Create(RunAsync).Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });

static async Task<int> RunAsync(SpeakerOptions options, LogLevel logLevel, CancellationToken cancellationToken)
{
    KubernetesClientConfiguration configuration;
    try
    {
        configuration = KubernetesClientConfiguration.Load(options.Kubeconfig);
    }
    catch (KubeConfigException e)
    {
        await Console.Error.WriteLineAsync(e.Message);
        return 1;
    }

    var builder = WebApplication.CreateSlimBuilder();
    builder.AddDynamicLbDefaults(logLevel);
    builder.WebHost.UseUrls(options.Listen);
    using var client = new KubernetesClient(configuration, TimeProvider.System);
    builder.Services.AddSpeaker(options, client);

    await using var app = builder.Build();
    app.MapDynamicLbDefaults();
    // Nobody asks for it, but it has to exist for its gauges to be observed.
    _ = app.Services.GetRequiredService<SpeakerMetrics>();
    await app.RunAsync(cancellationToken);
    return 0;
}
