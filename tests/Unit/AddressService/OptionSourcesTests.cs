using DynamicLb.AddressService.Configuration;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class OptionSourcesTests
{
    [Fact]
    public void It_does_not_start_without_a_token_and_says_how_to_fix_that()
    {
        var result = Read();

        Assert.Null(result.Options);
        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("--token-file", result.Text, StringComparison.Ordinal);
        Assert.Contains("--allow-anonymous", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void All_faults_are_told_at_once()
    {
        var result = Read("--transport", "wifi", "--cidrs", "10.0.0.1/8", "--request-timeout=0", "--colour", "red");

        Assert.Null(result.Options);
        Assert.All((string[])["--transport", "--cidrs", "--request-timeout", "--colour", "No token"], name => Assert.Contains(name, result.Text, StringComparison.Ordinal));
    }

    [Fact]
    public void Flags_win_over_the_environment()
    {
        var result = OptionSources.Read(
            ["--allow-anonymous", "--transport", "chaddr"], name => name == "DYNAMICLB_TRANSPORT" ? "nic" : name == "DYNAMICLB_INTERFACE" ? "eth7" : null);

        Assert.Equal((TransportMode.ChAddr, "eth7", true), (result.Options!.Interface.Transport, result.Options.Interface.Device, result.Options.AllowAnonymous));
    }

    [Fact]
    public void Help_lists_every_setting_and_is_no_fault()
    {
        var result = Read("--help");

        Assert.Equal(0, result.ExitCode);
        Assert.All(Settings.All, setting => Assert.Contains($"--{setting.Name}", result.Text, StringComparison.Ordinal));
    }

    private static OptionsResult Read(params string[] arguments) => OptionSources.Read(arguments, _ => null);
}
