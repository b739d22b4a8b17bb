using DynamicLb.Contracts.Hosting;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Status;

var command = SpeakerCommand.Create(async (options, cancellationToken) =>
{
    var builder = WebApplication.CreateSlimBuilder();
    builder.AddDynamicLbDefaults(options.Common.LogLevel);
    builder.ListenOn(ExplainEndpoint.AddTo(options.Common));
    options.Common.AddTo(builder.Services);
    builder.Services.AddSpeaker(options);

    await using var app = builder.Build();
    app.UsePorts();
    app.MapDynamicLbDefaults();
    app.MapExplanations();
    app.MapBgp();
    await app.RunAsync(cancellationToken);
});
return await command.Parse(command.WithEnvironment(args, Environment.GetEnvironmentVariable)).InvokeAsync();
