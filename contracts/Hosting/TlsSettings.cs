using System.Net.Security;
using System.Security.Authentication;

namespace DynamicLb.Contracts.Hosting;

/// <summary>Which TLS a server speaks (MetalLB's <c>--tls-min-version</c> and <c>--tls-cipher-suites</c>). Immutable.</summary>
/// <param name="Protocols">Versions that are spoken.</param>
/// <param name="CipherSuites">Suites of TLS 1.2, or null for the system's; those of TLS 1.3 are always the system's.</param>
public sealed record TlsSettings(SslProtocols Protocols, IReadOnlyList<TlsCipherSuite>? CipherSuites = null)
{
    /// <summary>TLS 1.3 and nothing else.</summary>
    public static TlsSettings Default { get; } = new(SslProtocols.Tls13);

    /// <summary>Reads the two flags; both may be empty.</summary>
    /// <param name="minimum"><c>VersionTLS12</c>, <c>VersionTLS13</c> or empty.</param>
    /// <param name="suites">Names of the IANA registry, separated by commas.</param>
    /// <param name="settings">The settings, unless there is a fault.</param>
    /// <returns>What is wrong, or null.</returns>
    public static string? TryParse(string? minimum, string? suites, out TlsSettings settings)
    {
        settings = Default;
        if (minimum is not (null or "" or "VersionTLS12" or "VersionTLS13"))
            return $"--tls-min-version: '{minimum}' is neither VersionTLS12 nor VersionTLS13";
        var protocols = minimum == "VersionTLS12" ? SslProtocols.Tls12 | SslProtocols.Tls13 : SslProtocols.Tls13;
        if (string.IsNullOrEmpty(suites))
        {
            settings = new TlsSettings(protocols);
            return null;
        }
        if (minimum != "VersionTLS12")
            return "--tls-cipher-suites: the suites of TLS 1.3 cannot be chosen; it goes with --tls-min-version VersionTLS12";
        var chosen = new List<TlsCipherSuite>();
        foreach (string name in suites.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (char.IsAsciiDigit(name[0]) || !Enum.TryParse(name, out TlsCipherSuite suite))
                return $"--tls-cipher-suites: there is no '{name}'";
            chosen.Add(suite);
        }
        settings = new TlsSettings(protocols, chosen);
        return null;
    }

    /// <summary>Options for a connection that shows a certificate.</summary>
    public SslServerAuthenticationOptions With(SslStreamCertificateContext certificate) => new()
    {
        ServerCertificateContext = certificate,
        EnabledSslProtocols = Protocols,
        AllowRenegotiation = false,
        // Where the platform can choose suites at all.
        CipherSuitesPolicy = CipherSuites is null || !OperatingSystem.IsLinux() ? null : new CipherSuitesPolicy([
            .. CipherSuites, TlsCipherSuite.TLS_AES_128_GCM_SHA256, TlsCipherSuite.TLS_AES_256_GCM_SHA384, TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256]),
    };
}
