using System.CommandLine;
using System.Net.Security;
using System.Security.Authentication;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Hosting;

public sealed class ProgramSettingsTests
{
    [Fact]
    public void A_flag_is_taken_from_the_environment_unless_the_command_line_has_it()
    {
        var environment = new Dictionary<string, string> { ["DYNAMICLB_LB_CLASS"] = "ours", ["DYNAMICLB_LISTEN"] = "http://*:1", ["DYNAMICLB_PORT"] = "tcp://10.0.0.1:80", ["DYNAMICLB_CONFIG"] = "" };

        Assert.Equal("ours", Read(environment).LoadBalancerClass);
        Assert.Equal("http://*:1", Read(environment).Listen);
        Assert.Equal("/etc/dynamiclb/config", Read(environment).ConfigFile);
        Assert.Equal("other", Read(environment, "--lb-class", "other").LoadBalancerClass);
        Assert.Equal("other", Read(environment, "--lb-class=other").LoadBalancerClass);
        // Kubernetes puts the addresses of Services into variables of this form.
        Assert.Null(Read(environment).MetricsListen);
    }

    [Fact]
    public void Metrics_are_beside_health_or_at_a_port_of_their_own_or_nowhere()
    {
        Assert.Equal(["http://*:2 /healthz /readyz /metrics"], Ports("--listen=http://*:2"));
        Assert.Equal(["http://*:2 /healthz /readyz", "https://*:9120 /metrics TLS"], Ports("--listen=http://*:2", "--port=9120"));
        Assert.Equal(["http://*:2 /healthz /readyz", "http://*:3 /metrics"], Ports("--listen=http://*:2", "--metrics-listen=http://*:3"));
        Assert.Equal(["http://*:2 /healthz /readyz"], Ports("--listen=http://*:2", "--port=0"));
    }

    [Theory]
    [InlineData("--listen=ftp://a", "--listen: not an http address")]
    [InlineData("--listen=https://*:1", "--listen: not an http address")]
    [InlineData("--metrics-listen=9120", "--metrics-listen: not an http or https address")]
    [InlineData("--port=70000", "--port: not a port")]
    [InlineData("--tls-min-version=1.2", "neither VersionTLS12 nor VersionTLS13")]
    [InlineData("--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "goes with --tls-min-version VersionTLS12")]
    [InlineData("--tls-min-version=VersionTLS12 --tls-cipher-suites=TLS_NONE", "there is no 'TLS_NONE'")]
    [InlineData("--tls-min-version=VersionTLS12 --tls-cipher-suites=7", "there is no '7'")]
    public void What_is_no_setting_is_refused_by_its_name(string arguments, string reason)
    {
        var (command, _) = Command();

        Assert.Contains(command.Parse(arguments.Split(' ')).Errors, error => error.Message.Contains(reason, StringComparison.Ordinal));
    }

    [Fact]
    public void TLS_is_1_3_unless_less_is_asked_for()
    {
        Assert.Equal(SslProtocols.Tls13, Read([]).Tls.Protocols);
        var tls = Read([], "--tls-min-version", "VersionTLS12", "--tls-cipher-suites", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").Tls;
        Assert.Equal(SslProtocols.Tls12 | SslProtocols.Tls13, tls.Protocols);
        Assert.Equal([TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], tls.CipherSuites!);
    }

    [Theory]
    [InlineData("controller-1", null, "u", "controller-1")]
    [InlineData(null, "controller-2", "u", "controller-2")]
    [InlineData("controller-1", null, null, null)]
    [InlineData(null, null, "u", null)]
    public void Our_own_Pod_is_known_by_name_and_uid(string? metalLb, string? plain, string? uid, string? expected)
    {
        var owner = OwnerReference.OwnPod(variable => variable switch { "METALLB_POD_NAME" => metalLb, "POD_NAME" => plain, "POD_UID" => uid, _ => null });

        Assert.Equal(expected, owner?.Name);
    }

    private static KubernetesProgramSettings Read(Dictionary<string, string> environment, params string[] arguments)
    {
        var (command, common) = Command();
        var result = command.Parse(command.WithEnvironment(arguments, environment.GetValueOrDefault));
        Assert.Empty(result.Errors);
        return common.Read(result);
    }

    private static List<string> Ports(params string[] arguments) =>
        [.. Read([], arguments).Ports().Select(static port => $"{port.Url} {string.Join(' ', port.Paths)}{(port.Tls is null ? "" : " TLS")}")];

    private static (RootCommand Command, KubernetesProgramArguments Common) Command()
    {
        var (command, common) = (new RootCommand(), new KubernetesProgramArguments("http://127.0.0.1:1"));
        common.AddTo(command);
        return (command, common);
    }
}
