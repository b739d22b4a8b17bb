using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace DynamicLb.Contracts.AddressServices;

/// <summary>TLS on the way to an address service. Files are PEM.</summary>
/// <param name="CaFile">Certificates that the service's must chain to; null for the system's.</param>
/// <param name="CertificateFile">Our certificate, or null.</param>
/// <param name="KeyFile">Its key; given when <paramref name="CertificateFile"/> is.</param>
public sealed record AddressServiceTls(string? CaFile, string? CertificateFile, string? KeyFile)
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ConnectionLifetime = TimeSpan.FromMinutes(5);

    /// <summary>Certificates that the service's must chain to, as text in place of <see cref="CaFile"/>; null for none.</summary>
    public string? CaPem { get; init; }

    /// <summary>
    /// Connections to one address service. The files are read again for each new connection, and connections are replaced every few minutes, so that renewed
    /// certificates take effect. A file that cannot be read fails the connection, as an <see cref="HttpRequestException"/>.
    /// </summary>
    /// <param name="tls">The files; null for the system's defaults.</param>
    public static SocketsHttpHandler CreateHandler(AddressServiceTls? tls)
    {
        var handler = new SocketsHttpHandler { ConnectTimeout = ConnectTimeout, UseProxy = false, UseCookies = false, AllowAutoRedirect = false };
        if (tls is null)
            return handler;
        handler.PooledConnectionLifetime = ConnectionLifetime;
        if (tls.CaFile is not null || tls.CaPem is not null)
            handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, chain, errors) => tls.IsTrusted(certificate, chain, errors);
        if (tls is { CertificateFile: { } own, KeyFile: { } key })
            handler.SslOptions.LocalCertificateSelectionCallback = (_, _, _, _, _) => X509Certificate2.CreateFromPemFile(own, key);
        return handler;
    }

    private bool IsTrusted(X509Certificate? certificate, X509Chain? received, SslPolicyErrors errors)
    {
        // The name must be right in any case; that the chain does not end at a root of the system is what the file is for.
        if (certificate is not X509Certificate2 leaf || (errors & ~SslPolicyErrors.RemoteCertificateChainErrors) != SslPolicyErrors.None)
            return false;
        const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        if (CaPem is not null)
            chain.ChainPolicy.CustomTrustStore.ImportFromPem(CaPem);
        else
            chain.ChainPolicy.CustomTrustStore.ImportFromPemFile(CaFile!);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
        if (received is not null)
            chain.ChainPolicy.ExtraStore.AddRange(received.ChainPolicy.ExtraStore);
        return chain.Build(leaf);
    }
}
