using DynamicLb.AddressService;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Replicas;

var result = BuildTimeDocument.IsGenerating
    ? new OptionsResult(new AddressServiceOptions { AllowAnonymous = true }, null, 0)
    : OptionSources.Read(args, Environment.GetEnvironmentVariable);
if (result.Options is not { } options)
{
    await (result.ExitCode == 0 ? Console.Out : Console.Error).WriteAsync(result.Text);
    return result.ExitCode;
}

try
{
    var builder = WebApplication.CreateSlimBuilder();
    builder.AddAddressService(options);
    await using var app = builder.Build();
    app.MapAddressService();
    var leadership = app.Services.GetRequiredService<Leadership>();
    await app.RunAsync();
    return leadership.IsLost ? 1 : 0;
}
catch (UnusableException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}
