using System.Net;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Security;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Kubernetes service accounts as callers.</summary>
public sealed class TokenReviewTests : IAsyncLifetime
{
    private const string Controller = "head.controller.signature";
    private const string Entries = "ctl lease,read team-a serviceaccount:lb/controller\n";
    private readonly FakeTime _time = new();
    private KubeApiServer _kubernetes = null!;

    public async ValueTask InitializeAsync()
    {
        _kubernetes = await KubeApiServer.StartAsync();
        _kubernetes.Tokens.Add(Controller, "system:serviceaccount:lb:controller", "address-service");
    }

    public ValueTask DisposeAsync() => _kubernetes.DisposeAsync();

    [Fact]
    public async Task A_service_account_has_the_rights_of_its_entry()
    {
        await using var host = await StartAsync();
        Assert.Equal(HttpStatusCode.OK, await PostAsync(host, Controller, "team-a/web"));
        Assert.Equal(HttpStatusCode.Forbidden, await PostAsync(host, Controller, "team-b/web"));
        Assert.Equal(HttpStatusCode.OK, await PostAsync(host, ApiHost.Token, "team-b/web"));
    }

    [Fact]
    public async Task One_without_an_entry_is_somebody_who_may_do_nothing()
    {
        _kubernetes.Tokens.Add("a.b.c", "system:serviceaccount:demo:other", "address-service");
        await using var host = await StartAsync();
        Assert.Equal(HttpStatusCode.Forbidden, await PostAsync(host, "a.b.c", "team-a/web"));
    }

    [Theory]
    [InlineData("an.unknown.token", "system:serviceaccount:lb:controller", "other-audience")]
    [InlineData("a.persons.token", "jane", "address-service")]
    public async Task A_token_for_another_audience_or_of_no_service_account_is_refused(string token, string username, string audience)
    {
        _kubernetes.Tokens.Add(token, username, audience);
        await using var host = await StartAsync();
        Assert.Equal(HttpStatusCode.Unauthorized, await PostAsync(host, token, "team-a/web"));
        Assert.Equal(1, _kubernetes.Tokens.Reviews);
    }

    [Fact]
    public async Task What_is_no_service_accounts_token_is_not_even_asked_about()
    {
        await using var host = await StartAsync();
        Assert.Equal(HttpStatusCode.Unauthorized, await PostAsync(host, "wrong-token", "team-a/web"));
        Assert.Equal(HttpStatusCode.OK, await PostAsync(host, ApiHost.Token, "team-a/web"));
        Assert.Equal(0, _kubernetes.Tokens.Reviews);
    }

    [Fact]
    public async Task An_answer_is_kept_for_a_minute_and_a_bad_one_for_ten_seconds()
    {
        var reviewer = new TokenReviewer(_kubernetes.Client, "address-service", _time);
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => reviewer.AccountAsync(Controller, TestContext.Current.CancellationToken)));
        Assert.Equal(1, _kubernetes.Tokens.Reviews);
        _kubernetes.Tokens.Remove(Controller);
        _time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal("lb/controller", await reviewer.AccountAsync(Controller, TestContext.Current.CancellationToken));
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Null(await reviewer.AccountAsync(Controller, TestContext.Current.CancellationToken));
        _kubernetes.Tokens.Add(Controller, "system:serviceaccount:lb:controller", "address-service");
        Assert.Null(await reviewer.AccountAsync(Controller, TestContext.Current.CancellationToken));
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal("lb/controller", await reviewer.AccountAsync(Controller, TestContext.Current.CancellationToken));
        Assert.Equal(3, _kubernetes.Tokens.Reviews);
    }

    [Fact]
    public async Task While_the_API_server_does_not_answer_calls_get_503_and_our_own_tokens_work()
    {
        await using var host = await StartAsync();
        _kubernetes.Faults.AnswerWith(HttpStatusCode.InternalServerError);
        using (var response = await host.CallAsync(Controller, HttpMethod.Get, "/v1/status"))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
            Assert.NotNull(response.Headers.RetryAfter);
        }
        Assert.Equal(HttpStatusCode.OK, await PostAsync(host, ApiHost.Token, "team-a/web"));
    }

    [Fact]
    public void A_kubeconfig_that_cannot_be_used_is_told()
    {
        var options = new AddressServiceOptions { KubeConfig = "/nowhere/kubeconfig" };
        options.TokenReview.IsEnabled = true;
        var services = new ServiceCollection().AddSingleton(TimeProvider.System).AddLogging();
        services.AddAccess(options);
        using var provider = services.BuildServiceProvider();
        var e = Assert.Throws<UnusableException>(() => provider.GetRequiredService<TokenReviewer>());
        Assert.Contains("/nowhere/kubeconfig", e.Message, StringComparison.Ordinal);
    }

    private Task<ApiHost> StartAsync() => ApiHost.StartAsync(
        o => o.TokenReview.IsEnabled = true, tokens: Entries, build: b => b.Services.AddSingleton<IKubernetesClient>(_kubernetes.Client));

    private static async Task<HttpStatusCode> PostAsync(ApiHost host, string token, string service)
    {
        using var response = await host.CallAsync(token, HttpMethod.Post, "/v1/ip", $$"""{"service":"{{service}}"}""");
        return response.StatusCode;
    }
}
