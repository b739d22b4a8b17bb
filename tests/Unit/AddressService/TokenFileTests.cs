using DynamicLb.AddressService.Security;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class TokenFileTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("dynamiclb-tokens-");
    private readonly FakeTime _time = new();

    private string FilePath => Path.Combine(_folder.FullName, "token");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Every_line_is_a_token_and_comments_are_not()
    {
        var tokens = Write("# one of ours\nfirst-token\n\n second-token \n");
        Assert.True(tokens.Accepts("first-token"));
        Assert.True(tokens.Accepts("second-token"));
        Assert.False(tokens.Accepts("# one of ours"));
        Assert.False(tokens.Accepts(""));
        Assert.False(tokens.Accepts("first-toke"));
    }

    [Fact]
    public void A_rotated_token_takes_effect_without_a_restart()
    {
        var tokens = Write("first-token");
        File.WriteAllText(FilePath, "second-token");
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.True(tokens.Accepts("second-token"));
        Assert.False(tokens.Accepts("first-token"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_file_that_vanished_or_is_empty_leaves_the_last_tokens_in_force(bool vanished)
    {
        var tokens = Write("first-token");
        if (vanished)
            File.Delete(FilePath);
        else
            File.WriteAllText(FilePath, "");
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.True(tokens.Accepts("first-token"));
        Assert.False(tokens.Accepts(""));
    }

    [Theory]
    [InlineData("")]
    [InlineData("# only a comment\n")]
    [InlineData("short")]
    public void A_file_without_a_proper_token_is_a_fault_at_start(string content)
    {
        File.WriteAllText(FilePath, content);
        Assert.NotNull(TokenFile.Fault(FilePath));
    }

    [Fact]
    public void A_missing_file_is_a_fault_at_start() => Assert.NotNull(TokenFile.Fault(FilePath));

    private TokenFile Write(string content)
    {
        File.WriteAllText(FilePath, content);
        return new TokenFile(FilePath, _time, NullLogger<TokenFile>.Instance);
    }
}
