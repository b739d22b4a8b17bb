using DynamicLb.Contracts.Explanations;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Status;

var command = SpeakerCommand.Create(async (options, cancellationToken) =>
{
    var builder = WebApplication.CreateSlimBuilder();
    builder.AddDynamicLbDefaults(options.Common.LogLevel);
    builder.ListenOn(options.Common.Ports());
    options.Common.AddTo(builder.Services);
    builder.Services.AddSpeaker(options);

    await using var app = builder.Build();
    app.UsePorts();
    app.MapDynamicLbDefaults();
    app.MapGet("/v1/explain/{space}/{name}", static (string space, string name, ServiceExplainer explainer) =>
        explainer.Explain(new NamespacedName(space, name)) is { } explanation
            ? Results.Json(explanation, ExplanationJsonContext.Default.ServiceExplanation)
            : Results.NotFound());
    await app.RunAsync(cancellationToken);
});
return await command.Parse(command.WithEnvironment(args, Environment.GetEnvironmentVariable)).InvokeAsync();
