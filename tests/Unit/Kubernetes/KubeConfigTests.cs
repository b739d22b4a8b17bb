using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using DynamicLb.Kubernetes.Client;

namespace DynamicLb.Tests.Unit.Kubernetes;

public sealed class KubeConfigTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("dynamiclb-kubeconfig-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_current_context_names_server_user_and_namespace()
    {
        var configuration = Load(
            """
            current-context: b
            contexts:
            - {name: a, context: {cluster: one, user: one}}
            - {name: b, context: {cluster: two, user: two, namespace: demo}}
            clusters:
            - {name: one, cluster: {server: "https://one:6443"}}
            - {name: two, cluster: {server: "https://two:6443/path", insecure-skip-tls-verify: true, tls-server-name: kubernetes}}
            users:
            - {name: one, user: {token: x}}
            - {name: two, user: {token: y}}
            """);
        Assert.Equal(new Uri("https://two:6443/path"), configuration.Server);
        Assert.Equal(("y", "demo", "kubernetes", true), (configuration.Token, configuration.Namespace, configuration.TlsServerName, configuration.SkipTlsVerify));
    }

    [Fact]
    public void Certificates_are_read_inline_and_from_files_relative_to_the_kubeconfig()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(200));
        File.WriteAllText(Path.Combine(_folder, "ca.crt"), certificate.ExportCertificatePem());
        string Inline(string pem) => Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(pem));
        var configuration = Load(
            $$$"""
            current-context: a
            contexts: [{name: a, context: {cluster: c, user: u}}]
            clusters: [{name: c, cluster: {server: "https://h", certificate-authority: ca.crt}}]
            users: [{name: u, user: {client-certificate-data: {{{Inline(certificate.ExportCertificatePem())}}}, client-key-data: {{{Inline(key.ExportPkcs8PrivateKeyPem())}}}, tokenFile: token}}]
            """);
        Assert.Equal(certificate.Thumbprint, Assert.Single(configuration.CertificateAuthorities!).Thumbprint);
        Assert.True(configuration.ClientCertificate!.HasPrivateKey);
        Assert.Equal(Path.Combine(_folder, "token"), configuration.TokenFile);
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("a: [", "")]
    [InlineData("clusters: []", "current-context")]
    [InlineData("{current-context: a, contexts: []}", "no entry named 'a'")]
    [InlineData("{current-context: a, contexts: [{name: a, context: {cluster: c}}], clusters: [{name: c, cluster: {server: nowhere}}]}", "nowhere")]
    [InlineData(
        "{current-context: a, contexts: [{name: a, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: 'https://h'}}], users: [{name: u, user: {exec: {command: x}}}]}",
        "exec")]
    [InlineData(
        "{current-context: a, contexts: [{name: a, context: {cluster: c}}], clusters: [{name: c, cluster: {server: 'https://h', certificate-authority-data: '%%'}}]}", "")]
    [InlineData(
        "{current-context: a, contexts: [{name: a, context: {cluster: c}}], clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: missing.crt}}]}",
        "missing.crt")]
    public void What_cannot_be_used_is_refused_with_the_file_and_the_cause(string text, string cause)
    {
        var fault = Assert.Throws<KubeConfigException>(() => Load(text));
        Assert.Contains(_folder, fault.Message, StringComparison.Ordinal);
        Assert.Contains(cause, fault.Message, StringComparison.Ordinal);
    }

    private KubernetesClientConfiguration Load(string text)
    {
        string file = Path.Combine(_folder, "config");
        File.WriteAllText(file, text);
        return KubernetesClientConfiguration.Load(file);
    }
}
