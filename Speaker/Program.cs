using DynamicLb.Contracts.Hosting;
using DynamicLb.Speaker;

return await SpeakerCommand.Create(async (options, cancellationToken) =>
{
    var builder = WebApplication.CreateSlimBuilder();
    builder.AddDynamicLbDefaults(options.Common.LogLevel);
    builder.WebHost.UseUrls(options.Common.Listen);
    builder.Services.AddSpeaker(options);

    await using var app = builder.Build();
    app.MapDynamicLbDefaults();
    await app.RunAsync(cancellationToken);
}).Parse(args).InvokeAsync();
