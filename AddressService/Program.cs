using DynamicLb.AddressService;
using DynamicLb.AddressService.Configuration;

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
    await app.RunAsync();
    return 0;
}
catch (UnusableException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}
