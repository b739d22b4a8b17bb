using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Security;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>The REST API by TLS, and client certificates instead of tokens, between our own two sides of it.</summary>
public sealed class TlsTests : IDisposable
{
    private const string Entries = "ctl lease,read team-a cert:ctl\nops admin * cert:spiffe://example/ops\n";
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("dynamiclb-tls-");
    private readonly TestCertificates _certificates;
    private readonly FakeTime _time = new();

    public TlsTests() => _certificates = new TestCertificates(_folder.FullName);

    public void Dispose()
    {
        _certificates.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task The_API_answers_by_TLS_and_HTTP_2_to_whoever_trusts_its_root()
    {
        await using var host = await StartAsync();
        using var http = Client(host, null);
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/config") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        request.Headers.Add("X-Auth-Token", ApiHost.Token);
        using var response = await http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);

        using var distrustful = new HttpClient(AddressServiceTls.CreateHandler(null)) { BaseAddress = host.Http.BaseAddress };
        await Assert.ThrowsAsync<HttpRequestException>(() => distrustful.GetAsync("healthz", TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("ctl", HttpStatusCode.OK, "team-a/web")]
    [InlineData("ctl", HttpStatusCode.Forbidden, "team-b/web")]
    [InlineData("ops", HttpStatusCode.OK, "team-b/web")]
    [InlineData("stranger", HttpStatusCode.Unauthorized, "team-a/web")]
    [InlineData(null, HttpStatusCode.Unauthorized, "team-a/web")]
    public async Task A_client_certificate_has_the_rights_of_its_entry(string? subject, HttpStatusCode expected, string service)
    {
        await using var host = await StartAsync(clients: true);
        using var http = Client(host, subject is null ? null : _certificates.Issue("client", subject, isServer: false));
        using var content = new StringContent($$"""{"service":"{{service}}"}""", System.Text.Encoding.UTF8, "application/json");
        using var response = await http.PostAsync("v1/ip", content, TestContext.Current.CancellationToken);
        Assert.Equal(expected, response.StatusCode);
    }

    [Fact]
    public async Task A_certificate_of_another_root_or_not_for_clients_does_not_connect()
    {
        await using var host = await StartAsync(clients: true);
        using var others = new TestCertificates(_folder.FullName, "other");
        foreach (var files in new[] { others.Issue("foreign", "ctl", isServer: false), _certificates.Issue("wrong-use", "ctl", isServer: true) })
        {
            using var http = Client(host, files);
            await Assert.ThrowsAsync<HttpRequestException>(() => http.GetAsync("healthz", TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public async Task Where_client_certificates_are_required_nobody_connects_without()
    {
        await using var host = await StartAsync(clients: true, change: o => o.Tls.RequireClientCertificate = true);
        using var without = Client(host, null);
        await Assert.ThrowsAsync<HttpRequestException>(() => without.GetAsync("healthz", TestContext.Current.CancellationToken));
        using var with = Client(host, _certificates.Issue("client", "anybody", isServer: false));
        using var response = await with.GetAsync("healthz", TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task A_renewed_certificate_takes_effect_without_a_restart_and_a_broken_one_does_not()
    {
        await using var host = await StartAsync();
        string first = await ThumbprintAsync(host);
        _certificates.Issue("server", "address-service", isServer: true);
        Assert.Equal(first, await ThumbprintAsync(host));
        _time.Advance(TimeSpan.FromSeconds(10));
        string second = await ThumbprintAsync(host);
        Assert.NotEqual(first, second);
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, "server-key.pem"), "half of a", TestContext.Current.CancellationToken);
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(second, await ThumbprintAsync(host));
    }

    [Fact]
    public async Task The_controllers_client_calls_with_root_and_certificate_from_files()
    {
        await using var host = await StartAsync(clients: true);
        using var http = Client(host, _certificates.Issue("client", "ctl", isServer: false));
        var client = new AddressServiceClient(http, _ => ValueTask.FromResult<string?>(null), TimeSpan.FromSeconds(30), TimeProvider.System);
        var answer = await client.AcquireAsync(new AcquireAddressRequest("team-a/web"), TestContext.Current.CancellationToken);
        Assert.Equal((AnswerStatus.Success, "10.77.0.100"), (answer.Status, answer.Ip));
    }

    [Fact]
    public void All_faults_of_TLS_are_told_at_start()
    {
        var (certificate, key) = _certificates.Issue("server", "address-service", isServer: true);
        var (_, otherKey) = _certificates.Issue("other", "address-service", isServer: true);
        string missing = Path.Combine(_folder.FullName, "missing");
        foreach (var (arguments, names) in new (string[], string)[]
        {
            (["--listen", "https://0.0.0.0:8443"], "--tls-certificate-file"),
            (["--listen", "https://0.0.0.0:8443", "--tls-certificate-file", certificate], "--tls-key-file"),
            (["--listen", "https://0.0.0.0:8443", "--tls-certificate-file", certificate, "--tls-key-file", otherKey], "cannot be used"),
            (["--listen", "https://0.0.0.0:8443", "--tls-certificate-file", missing, "--tls-key-file", key], missing),
            (["--listen", "https://0.0.0.0:8443", "--tls-certificate-file", certificate, "--tls-key-file", key, "--tls-client-ca-file", key], "--tls-client-ca-file"),
            (["--tls-certificate-file", certificate, "--tls-key-file", key], "no https URL"),
            (["--tls-require-client-certificate"], "--tls-client-ca-file"),
        })
        {
            var result = OptionSources.Read(["--allow-anonymous", .. arguments], _ => null);
            Assert.Contains(names, result.Text ?? "", StringComparison.Ordinal);
        }
        Assert.NotNull(OptionSources.Read(
            ["--allow-anonymous", "--listen", "https://*:8443;http://localhost:8080", "--tls-certificate-file", certificate, "--tls-key-file", key], _ => null).Options);
    }

    [Fact]
    public void A_certificate_is_known_by_common_name_DNS_names_and_URI()
    {
        var (file, _) = _certificates.Issue("client", "ctl", isServer: false);
        using var certificate = X509CertificateLoader.LoadCertificateFromFile(file);
        Assert.Equal(["ctl", "ctl.example", "spiffe://example/ctl"], ServerCertificates.Names(certificate).Order(StringComparer.Ordinal));
    }

    private Task<ApiHost> StartAsync(bool clients = false, Action<AddressServiceOptions>? change = null)
    {
        var (certificate, key) = _certificates.Issue("server", "address-service", isServer: true);
        return ApiHost.StartAsync(
            o =>
            {
                o.Listen = "https://127.0.0.1:0";
                (o.Tls.CertificateFile, o.Tls.KeyFile) = (certificate, key);
                o.Tls.ClientCaFile = clients ? _certificates.CaFile : null;
                change?.Invoke(o);
            },
            time: _time, tokens: Entries);
    }

    private HttpClient Client(ApiHost host, (string Certificate, string Key)? own) =>
        new(AddressServiceTls.CreateHandler(new AddressServiceTls(_certificates.CaFile, own?.Certificate, own?.Key))) { BaseAddress = host.Http.BaseAddress };

    private static async Task<string> ThumbprintAsync(ApiHost host)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(IPAddress.Loopback, host.Http.BaseAddress!.Port, TestContext.Current.CancellationToken);
        await using var tls = new SslStream(socket.GetStream());
        var options = new SslClientAuthenticationOptions { TargetHost = "address-service" };
        string thumbprint = "";
        options.RemoteCertificateValidationCallback = (_, certificate, _, _) =>
        {
            thumbprint = certificate!.GetCertHashString();
            return thumbprint.Length > 0;
        };
        await tls.AuthenticateAsClientAsync(options, TestContext.Current.CancellationToken);
        return thumbprint;
    }
}
