using System.Net;
using System.Text.RegularExpressions;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>The files of the dashboard as they are served; how it behaves is tested in a browser, by the network suite.</summary>
public sealed partial class DashboardFileTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Fault", "C19")]
    public async Task The_page_and_all_it_names_are_served_without_a_token_under_a_strict_policy()
    {
        await using var host = await ApiHost.StartAsync();
        host.Http.DefaultRequestHeaders.Remove("X-Auth-Token");
        string page = await host.Http.GetStringAsync("/", Cancelled);
        var named = Reference().Matches(page).Select(m => m.Groups["path"].Value).Append("").ToHashSet(StringComparer.Ordinal);
        Assert.Contains("dashboard/app.js", named);
        foreach (string script in named.Where(n => n.EndsWith(".js", StringComparison.Ordinal)).ToList())
            named.UnionWith(Import().Matches(await host.Http.GetStringAsync(script, Cancelled)).Select(m => $"dashboard/{m.Groups["path"].Value}"));
        Assert.Contains("dashboard/stream.js", named);
        foreach (string path in named)
        {
            using var answer = await host.Http.GetAsync($"/{path}", Cancelled);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            string policy = Assert.Single(answer.Headers.GetValues("Content-Security-Policy"));
            Assert.StartsWith("default-src 'none';", policy, StringComparison.Ordinal);
            Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
            Assert.Equal("nosniff", Assert.Single(answer.Headers.GetValues("X-Content-Type-Options")));
        }
    }

    [Fact]
    public async Task A_file_that_the_browser_has_is_not_sent_again()
    {
        await using var host = await ApiHost.StartAsync();
        using var first = await host.Http.GetAsync("/dashboard/app.css", Cancelled);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/dashboard/app.css");
        request.Headers.IfNoneMatch.Add(first.Headers.ETag!);
        using var second = await host.Http.SendAsync(request, Cancelled);
        Assert.Equal(HttpStatusCode.NotModified, second.StatusCode);
        Assert.Empty(await second.Content.ReadAsByteArrayAsync(Cancelled));
    }

    [GeneratedRegex("(?:src|href)=\"(?<path>dashboard/[^\"]+)\"", RegexOptions.ExplicitCapture)]
    private static partial Regex Reference();

    [GeneratedRegex("from '\\./(?<path>[^']+)'", RegexOptions.ExplicitCapture)]
    private static partial Regex Import();
}
