using DynamicLb.Contracts.Hosting;
using DynamicLb.Controller;

return await ControllerCommand.Create(async (options, cancellationToken) =>
{
    var builder = WebApplication.CreateSlimBuilder();
    builder.AddDynamicLbDefaults(options.Common.LogLevel);
    builder.WebHost.UseUrls(options.Common.Listen);
    builder.Services.AddController(options);

    await using var app = builder.Build();
    app.MapDynamicLbDefaults();
    await app.RunAsync(cancellationToken);
}).Parse(args).InvokeAsync();
