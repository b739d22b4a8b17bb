using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Contracts.Resources;
using DynamicLb.Controller.Admission;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Admission;

public sealed class WebhookKeeperTests
{
    private const string Own = "default";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Replicas_that_start_together_agree_on_one_certificate()
    {
        await using var api = await KubeApiServer.StartAsync();
        var keepers = Enumerable.Range(0, 8).Select(_ => Keeper(api)).ToList();

        await Task.WhenAll(keepers.Select(static keeper => keeper.KeepAsync(Cancelled)));

        Assert.Single(keepers.Select(static keeper => keeper.Options().ServerCertificateContext!.TargetCertificate.Thumbprint).Distinct());
    }

    [Fact]
    public async Task A_certificate_is_renewed_in_time_by_whoever_comes_first_and_the_others_follow()
    {
        var time = new FakeTime();
        await using var api = await KubeApiServer.StartAsync();
        var (first, second) = (Keeper(api, time: time), Keeper(api, time: time));
        await first.KeepAsync(Cancelled);
        await second.KeepAsync(Cancelled);
        string before = Thumbprint(first);

        time.Advance(TimeSpan.FromDays(61));
        await second.KeepAsync(Cancelled);
        await first.KeepAsync(Cancelled);

        Assert.NotEqual(before, Thumbprint(first));
        Assert.Equal(Thumbprint(second), Thumbprint(first));
    }

    [Fact]
    public async Task A_Secret_that_others_keep_is_shown_and_left_alone()
    {
        await using var api = await KubeApiServer.StartAsync();
        var options = new WebhookOptions { ManagesCertificates = false };
        var keeper = Keeper(api, options);
        var missing = await Assert.ThrowsAsync<IOException>(() => keeper.KeepAsync(Cancelled));
        Assert.Contains("Secret default/metallb-webhook-cert has no tls.crt and tls.key", missing.Message, StringComparison.Ordinal);
        Assert.Throws<IOException>(() => keeper.Options());

        var theirs = WebhookAuthority.Renew(null, ["elsewhere"], TimeProvider.System.GetUtcNow());
        var made = await api.Client.CreateAsync(
            ResourceTypes.Secrets,
            new Secret
            {
                Metadata = new ObjectMeta { Namespace = Own, Name = "metallb-webhook-cert" },
                Data = new Dictionary<string, string> { ["tls.crt"] = Encode(theirs.Certificate), ["tls.key"] = Encode(theirs.Key) },
            },
            Cancelled);
        await keeper.KeepAsync(Cancelled);

        using var leaf = X509Certificate2.CreateFromPem(theirs.Certificate);
        Assert.Equal(leaf.Thumbprint, Thumbprint(keeper));
        Assert.Equal(made.Metadata.ResourceVersion, (await api.Client.GetAsync(ResourceTypes.Secrets, Own, "metallb-webhook-cert", Cancelled)).Metadata.ResourceVersion);
    }

    [Fact]
    public async Task Questions_in_both_forms_are_answered_by_TLS_and_what_is_no_question_is_refused()
    {
        await using var api = await KubeApiServer.StartAsync();
        await api.Client.CreateAsync(
            ConfigResourceTypes.IPAddressPools,
            new IPAddressPool { Metadata = new ObjectMeta { Namespace = Own, Name = "lab" }, Spec = new IPAddressPoolSpec { Addresses = ["10.0.0.0/24"] } }, Cancelled);
        var keeper = Keeper(api, new WebhookOptions { ExtraNames = ["127.0.0.1"] });
        await keeper.KeepAsync(Cancelled);
        using var endpoints = new AdmissionEndpoints(api.Client, Own, NullLogger<AdmissionEndpoints>.Instance);
        var builder = WebApplication.CreateSlimBuilder();
        builder.AddDynamicLbDefaults(LogLevel.None);
        builder.ListenOn(
            new ProgramPort("https://127.0.0.1:0", AdmissionEndpoints.Paths) { Tls = _ => keeper.Options() }, new ProgramPort("http://127.0.0.1:0", ["/healthz", "/metrics"]));
        await using var app = builder.Build();
        app.UsePorts();
        app.MapDynamicLbDefaults();
        endpoints.Map(app);
        await app.StartAsync(Cancelled);
        var addresses = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.ToList();
        var secret = await api.Client.GetAsync(ResourceTypes.Secrets, Own, "metallb-webhook-cert", Cancelled);
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.ImportFromPem(Encoding.UTF8.GetString(Convert.FromBase64String(secret.Data!["ca.crt"])));
        using var http = new HttpClient(new SocketsHttpHandler { SslOptions = { CertificateChainPolicy = policy } });
        var (tls, plain) = (new Uri(addresses.Single(static address => address.StartsWith("https:", StringComparison.Ordinal))), new Uri(addresses.Single(static address => address.StartsWith("http:", StringComparison.Ordinal))));

        foreach (string version in new[] { "v1", "v1beta1" })
        {
            var answer = await AskAsync(
                "/validate-metallb-io-v1beta1-ipaddresspool",
                $$$$$"""{"apiVersion":"admission.k8s.io/{{{{{version}}}}}","kind":"AdmissionReview","request":{"uid":"7","operation":"CREATE","namespace":"default","name":"two","object":{"metadata":{"name":"two"},"spec":{"addresses":["10.0.0.9/32"]}}}}""");
            Assert.Equal(("AdmissionReview", $"admission.k8s.io/{version}"), (answer.GetProperty("kind").GetString(), answer.GetProperty("apiVersion").GetString()));
            var response = answer.GetProperty("response");
            Assert.Equal(("7", false), (response.GetProperty("uid").GetString(), response.GetProperty("allowed").GetBoolean()));
            Assert.Contains("overlaps", response.GetProperty("status").GetProperty("message").GetString(), StringComparison.Ordinal);
            answer = await AskAsync(
                "/convert",
                $$$$$"""{"apiVersion":"apiextensions.k8s.io/{{{{{version}}}}}","kind":"ConversionReview","request":{"uid":"8","desiredAPIVersion":"metallb.io/v1beta2","objects":[{"apiVersion":"metallb.io/v1beta1","kind":"BGPPeer","metadata":{"name":"a"},"spec":{"myASN":1}}]}}""");
            Assert.Equal("Success", answer.GetProperty("response").GetProperty("result").GetProperty("status").GetString());
            Assert.Equal("metallb.io/v1beta2", answer.GetProperty("response").GetProperty("convertedObjects")[0].GetProperty("apiVersion").GetString());
        }
        foreach (string body in new[] { "", "nonsense", "[]", "{}", """{"apiVersion":"admission.k8s.io/v2","request":{}}""" })
            Assert.Equal(HttpStatusCode.BadRequest, await CodeAsync(tls, "/convert", body));
        Assert.Equal(HttpStatusCode.BadRequest, await CodeAsync(tls, "/validate-metallb-io-v1beta1-community", "{}"));
        // Each at its own port.
        Assert.Equal(HttpStatusCode.NotFound, await CodeAsync(plain, "/convert", "{}"));
        using var metrics = await http.GetAsync(new Uri(tls, "/metrics"), Cancelled);
        Assert.Equal(HttpStatusCode.NotFound, metrics.StatusCode);
        Assert.Equal("ok\n", await http.GetStringAsync(new Uri(plain, "/healthz"), Cancelled));

        // The API server cannot be read: no judgement, and the failure policy decides. What needs no reading is answered all the same.
        api.Faults.AnswerWith(HttpStatusCode.InternalServerError);
        Assert.Equal(HttpStatusCode.InternalServerError, await CodeAsync(tls, "/validate-metallb-io-v1beta1-ipaddresspool", """{"apiVersion":"admission.k8s.io/v1","request":{"uid":"9","operation":"CREATE","namespace":"default","name":"x","object":{}}}"""));
        Assert.Equal(HttpStatusCode.OK, await CodeAsync(tls, "/validate-metallb-io-v1beta1-ipaddresspool", """{"apiVersion":"admission.k8s.io/v1","request":{"uid":"9","operation":"DELETE","namespace":"default","name":"x","oldObject":{}}}"""));

        async Task<JsonElement> AskAsync(string path, string body)
        {
            using var content = new StringContent(body, new MediaTypeHeaderValue("application/json"));
            using var answer = await http.PostAsync(new Uri(tls, path), content, Cancelled);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            using var json = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Cancelled));
            return json.RootElement.Clone();
        }

        async Task<HttpStatusCode> CodeAsync(Uri to, string path, string body)
        {
            using var content = new StringContent(body, new MediaTypeHeaderValue("application/json"));
            using var answer = await http.PostAsync(new Uri(to, path), content, Cancelled);
            return answer.StatusCode;
        }
    }

    private static WebhookKeeper Keeper(KubeApiServer api, WebhookOptions? options = null, TimeProvider? time = null) =>
        new(options ?? new WebhookOptions(), Own, TlsSettings.Default, api.Client, time ?? TimeProvider.System, new Random(1), NullLogger<WebhookKeeper>.Instance);

    private static string Thumbprint(WebhookKeeper keeper) => keeper.Options().ServerCertificateContext!.TargetCertificate.Thumbprint;

    private static string Encode(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
}
