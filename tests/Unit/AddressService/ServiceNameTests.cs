using DynamicLb.AddressService.Leasing;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class ServiceNameTests
{
    private static readonly string Long = new('a', 63);

    [Theory]
    [InlineData("demo/web")]
    [InlineData("1/2")]
    [InlineData("kube-system/dns-1")]
    public void Case45_namespace_and_name_are_taken(string service) => Assert.True(ServiceName.IsValid(service));

    [Fact]
    public void Case45_sixty_three_characters_each_are_taken_and_not_one_more()
    {
        Assert.True(ServiceName.IsValid($"{Long}/{Long}"));
        Assert.False(ServiceName.IsValid($"{Long}a/b"));
        Assert.False(ServiceName.IsValid($"b/{Long}a"));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("web")]
    [InlineData("/web")]
    [InlineData("demo/")]
    [InlineData("a/b/c")]
    [InlineData("demo/-web")]
    [InlineData("demo/web-")]
    [InlineData("Demo/web")]
    [InlineData("demo/web.x")]
    [InlineData("demo/web\n")]
    [InlineData("démo/web")]
    [InlineData("demo/ｗeb")]
    [InlineData("../etc/passwd")]
    public void Case45_anything_else_is_refused(string? service) => Assert.False(ServiceName.IsValid(service));

    [Fact]
    [Trait("Fault", "A10")]
    [Trait("Fault", "C21")]
    public void Case45_the_host_name_is_one_label_and_tells_namespaces_apart()
    {
        Assert.Equal("web-demo", HostNameTemplate.Name(HostNameTemplate.Default, "demo/web"));
        Assert.NotEqual(HostNameTemplate.Name(HostNameTemplate.Default, "demo/web"), HostNameTemplate.Name(HostNameTemplate.Default, "test/web"));

        string cut = HostNameTemplate.Name(HostNameTemplate.Default, $"{Long}/{Long}");
        Assert.Matches(@"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\z", cut);
        Assert.NotEqual(cut, HostNameTemplate.Name(HostNameTemplate.Default, $"{Long}/{Long[..62]}"));
        Assert.Equal(cut, HostNameTemplate.Name(HostNameTemplate.Default, $"{Long}/{Long}"));
    }
}
