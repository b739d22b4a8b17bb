using DynamicLb.Contracts.Hosting;
using DynamicLb.Controller;
using DynamicLb.Controller.Admission;

var command = ControllerCommand.Create(async (options, cancellationToken) =>
{
    var builder = WebApplication.CreateSlimBuilder();
    builder.AddDynamicLbDefaults(options.Common.LogLevel);
    var ports = options.Common.Ports().ToList();
    options.Common.AddTo(builder.Services);
    builder.Services.AddController(options);
    if (options.Webhooks.Mode != WebhookMode.Disabled)
        ports.Add(builder.Services.AddAdmission(options));
    builder.ListenOn(ports);

    await using var app = builder.Build();
    app.UsePorts();
    app.MapDynamicLbDefaults();
    if (options.Webhooks.Mode != WebhookMode.Disabled)
        app.Services.GetRequiredService<AdmissionEndpoints>().Map(app);
    await app.RunAsync(cancellationToken);
});
return await command.Parse(command.WithEnvironment(args, Environment.GetEnvironmentVariable)).InvokeAsync();
