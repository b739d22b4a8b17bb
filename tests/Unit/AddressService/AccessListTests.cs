using DynamicLb.AddressService.Security;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class AccessListTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("dynamiclb-tokens-");
    private readonly FakeTime _time = new();

    private string FilePath => Path.Combine(_folder.FullName, "token");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_line_with_a_token_alone_may_do_everything_and_comments_are_none()
    {
        var tokens = Write("# one of ours\nfirst-token\n\n second-token \n");
        Assert.True(tokens.FindToken("first-token")!.Has(Roles.Admin));
        Assert.Null(tokens.FindToken("second-token")!.Namespaces);
        Assert.Null(tokens.FindToken("# one of ours"));
        Assert.Null(tokens.FindToken(""));
        Assert.Null(tokens.FindToken("first-toke"));
    }

    [Fact]
    public void A_line_of_four_words_gives_a_name_roles_and_namespaces()
    {
        var tokens = Write("ci lease,read team-a,team-b token-of-ci\ndash\tread *  token-of-dash\n");
        var ci = tokens.FindToken("token-of-ci")!;
        Assert.Equal(("ci", Roles.Lease | Roles.Read), (ci.Name, ci.Roles));
        Assert.True(ci.Covers("team-a/web") && ci.Covers("team-b/web") && !ci.Covers("team/web"));
        Assert.False(ci.Has(Roles.Admin));
        var dash = tokens.FindToken("token-of-dash")!;
        Assert.True(dash.Has(Roles.Read) && !dash.Has(Roles.Lease) && dash.Covers("any/web"));
    }

    [Fact]
    public void A_token_can_be_given_by_its_hash_and_the_hash_is_no_token()
    {
        string hash = Convert.ToHexString(System.Security.Cryptography.SHA256.HashData("token-of-ci"u8));
        var tokens = Write($"sha256:{hash}");
        Assert.NotNull(tokens.FindToken("token-of-ci"));
        Assert.Null(tokens.FindToken($"sha256:{hash}"));
    }

    [Fact]
    public void Certificates_and_service_accounts_are_no_tokens()
    {
        var list = Write("ctl lease * cert:controller.example\nsa read * serviceaccount:dynamiclb-system/controller\n");
        Assert.Equal("ctl", list.FindCertificate(["other", "controller.example"])!.Name);
        Assert.Equal("sa", list.FindServiceAccount("dynamiclb-system/controller")!.Name);
        Assert.Null(list.FindCertificate(["dynamiclb-system/controller"]));
        Assert.Null(list.FindToken("cert:controller.example"));
        Assert.Null(list.FindToken("controller.example"));
    }

    [Fact]
    public void Several_files_are_one_list()
    {
        string other = Path.Combine(_folder.FullName, "other");
        File.WriteAllText(other, "other-token");
        File.WriteAllText(FilePath, "first-token");
        var list = new AccessList([FilePath, other], _time, NullLogger<AccessList>.Instance);
        Assert.NotNull(list.FindToken("first-token"));
        Assert.NotNull(list.FindToken("other-token"));
    }

    [Fact]
    public void A_rotated_token_takes_effect_without_a_restart()
    {
        var tokens = Write("first-token");
        File.WriteAllText(FilePath, "second-token");
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.NotNull(tokens.FindToken("second-token"));
        Assert.Null(tokens.FindToken("first-token"));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("other-token\nx owner * token-of-x\n")]
    public void A_file_that_vanished_is_empty_or_faulty_leaves_the_last_tokens_in_force(string? content)
    {
        var tokens = Write("first-token");
        if (content is null)
            File.Delete(FilePath);
        else
            File.WriteAllText(FilePath, content);
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.NotNull(tokens.FindToken("first-token"));
        Assert.Null(tokens.FindToken("other-token"));
        Assert.Null(tokens.FindToken(""));
    }

    [Theory]
    [InlineData("", "holds no token")]
    [InlineData("# only a comment\n", "holds no token")]
    [InlineData("short", "less than 8")]
    [InlineData("ci lease secret-token", "neither")]
    [InlineData("ci owner * secret-token", "'owner'")]
    [InlineData("ci lease Team_A secret-token", "'Team_A'")]
    [InlineData("ci lease a/b secret-token", "'a/b'")]
    [InlineData("ci admin team-a secret-token", "admin")]
    [InlineData("ci{} lease * secret-token", "name")]
    [InlineData("cert:controller", "certificate")]
    [InlineData("ci lease * serviceaccount:one", "namespace/name")]
    [InlineData("sha256:123456", "64 hexadecimal")]
    public void A_fault_is_told_at_start_with_its_line_and_without_the_token(string content, string names)
    {
        File.WriteAllText(FilePath, content);
        string fault = Assert.Single(AccessList.Faults([FilePath]));
        Assert.Contains(names, fault, StringComparison.Ordinal);
        Assert.DoesNotContain("secret-token", fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Entries_that_nobody_could_ever_match_are_a_fault_at_start()
    {
        File.WriteAllText(FilePath, "ctl lease * cert:controller\nsa lease * serviceaccount:a/b\n");
        var result = DynamicLb.AddressService.Configuration.OptionSources.Read(["--token-file", FilePath], _ => null);
        Assert.Contains("'ctl' needs --tls-client-ca-file", result.Text, StringComparison.Ordinal);
        Assert.Contains("'sa' needs --token-review", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_a_line_holds_it_is_read_or_refused_without_being_repeated()
    {
        var random = new Random(7);
        string[] words = ["ci", "lease", "read,admin", "*", "a,b", ",", "sha256:", "cert:", "serviceaccount:a/b", "serviceaccount:", "\u00a0", "\0", "\ud800", "#", new string('x', 300)];
        for (int i = 0; i < 20_000; i++)
        {
            string line = string.Join(random.Next(3) == 0 ? "\t" : " ", Enumerable.Range(0, random.Next(1, 6)).Select(_ => words[random.Next(words.Length)])) + " top-secret-token";
            string? fault = AccessEntry.Parse(line.Trim(), i, out var entry);
            Assert.Equal(fault is null, entry is not null);
            Assert.DoesNotContain("top-secret-token", fault ?? "", StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_missing_file_is_a_fault_at_start() => Assert.Single(AccessList.Faults([FilePath]));

    private AccessList Write(string content)
    {
        File.WriteAllText(FilePath, content);
        return new AccessList([FilePath], _time, NullLogger<AccessList>.Instance);
    }
}
