using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>What a client says of itself beside its identity: its name with its domain, and options by configuration.</summary>
public sealed class DhcpNameTests
{
    private static readonly MacAddress Mac = MacAddress.Parse("02:4c:42:00:00:09");
    private readonly DhcpLab _lab = new(new FakeDhcpServer());

    private static DhcpClientIdentity Identity => new(Mac, DhcpClientIdentity.HardwareClientId(Mac), "svc9", "address-service");

    [Fact]
    public void Case46_with_a_domain_option_81_is_in_every_message_and_option_12_in_none()
    {
        WholeLife(Identity with { Fqdn = "svc9.lab.example" });
        var asked = _lab.Sent.Where(s => s.Message.Type is DhcpMessageType.Discover or DhcpMessageType.Request).ToList();
        Assert.True(asked.Count > 3);
        Assert.All(asked, s =>
        {
            Assert.True(s.Message.Options.TryGet(DhcpOptionCode.Fqdn, out var name));
            Assert.Equal("0500000473766339036C6162076578616D706C6500", Convert.ToHexString(name));
            Assert.True(s.Message.Options.TryGet(DhcpOptionCode.ParameterRequestList, out var list));
            Assert.Equal([1, 3, 15, 28, 51, 54, 58, 59, 81], list.ToArray());
        });
        Assert.All(_lab.Sent, s => Assert.False(s.Message.Options.Contains(DhcpOptionCode.HostName)));
        Assert.All(_lab.Sent.Except(asked), s => Assert.False(s.Message.Options.Contains(DhcpOptionCode.Fqdn)));
    }

    [Fact]
    public void Options_by_configuration_are_in_every_question_and_in_no_RELEASE()
    {
        WholeLife(Identity with { ExtraOptions = [new((DhcpOptionCode)77, "lb"u8.ToArray()), new((DhcpOptionCode)224, new byte[30])] });
        Assert.All(_lab.Sent, s =>
        {
            bool asks = s.Message.Type is DhcpMessageType.Discover or DhcpMessageType.Request;
            Assert.Equal(asks, s.Message.Options.TryGet((DhcpOptionCode)77, out var user));
            Assert.Equal(asks ? "lb"u8.ToArray() : [], user.ToArray());
            Assert.Equal(asks, s.Message.Options.Contains((DhcpOptionCode)224));
        });
        Assert.Contains(_lab.Sent, s => s.Message.Type == DhcpMessageType.Release);
    }

    [Fact]
    public void Options_of_the_clients_own_cannot_be_added()
    {
        foreach (int code in (int[])[0, 12, 50, 51, 52, 53, 54, 55, 56, 57, 60, 61, 80, 81, 82, 90, 108, 114, 116, 118, 145, 255])
        {
            Assert.NotNull(DhcpExtraOption.Refusal(code));
            Assert.Throws<ArgumentException>(() => _lab.NewClient(Identity with { ExtraOptions = [new((DhcpOptionCode)code, default)] }));
        }
        Assert.Equal(254 - 20, Enumerable.Range(1, 254).Count(code => DhcpExtraOption.Refusal(code) is null));
    }

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("a..b")]
    [InlineData("a.b.")]
    [InlineData("-a.b")]
    [InlineData("a-.b")]
    [InlineData("a_b.c")]
    [InlineData("ä.b")]
    public void Names_that_are_no_host_names_are_refused(string name) => Assert.Throws<ArgumentException>(() => Identity with { Fqdn = name });

    [Fact]
    public void Labels_and_names_have_their_lengths()
    {
        string label = new('a', 63);
        Assert.True(DomainName.IsValid($"{label}.{label}.{label}.{new string('a', 61)}"));
        Assert.False(DomainName.IsValid($"{label}.{label}.{label}.{new string('a', 62)}"));
        Assert.False(DomainName.IsValid(label + "a"));
        Assert.Equal([3, (byte)'w', (byte)'e', (byte)'b'], DomainName.Encode("web"));
    }

    [Fact]
    public void The_longest_message_of_an_identity_is_known_beforehand()
    {
        var identity = Identity with { Fqdn = "svc9.lab.example", ExtraOptions = [new((DhcpOptionCode)224, new byte[200])] };
        WholeLife(identity);
        Assert.Equal(_lab.Sent.Max(s => s.Message.EncodedLength) + 6, identity.LongestMessage(DhcpClientSettings.Default));
    }

    private void WholeLife(DhcpClientIdentity identity)
    {
        var client = _lab.NewClient(identity);
        client.Acquire(_lab.Now, null);
        _lab.Run(TimeSpan.FromMinutes(12));
        client.Release(_lab.Now, "done");
        _lab.Run(TimeSpan.FromSeconds(5));
    }
}
