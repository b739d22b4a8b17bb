using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace DynamicLb.Controller.Admission;

/// <summary>A certificate authority of our own and the certificate that it vouches for, all as PEM. Immutable; the keys are secrets.</summary>
/// <param name="Authorities">Certificates of the authorities to be trusted, that of <paramref name="AuthorityKey"/> first, then older ones.</param>
/// <param name="AuthorityKey">Key of the first authority.</param>
/// <param name="Certificate">The certificate to show.</param>
/// <param name="Key">Its key.</param>
internal sealed record WebhookCertificates(string Authorities, string AuthorityKey, string Certificate, string Key);

/// <summary>
/// Makes and renews the certificates of the webhooks. An authority is replaced two years before its end, a certificate thirty days before. When the authority is replaced, the old one
/// vouches for one more certificate and stays trusted, so that nobody is shown a certificate of an authority that the API server has not been told of. Pure.
/// </summary>
internal static class WebhookAuthority
{
    /// <summary>How long an authority is valid.</summary>
    public static readonly TimeSpan AuthorityLife = TimeSpan.FromDays(3650);

    /// <summary>How long before its end an authority is replaced.</summary>
    public static readonly TimeSpan AuthorityAhead = TimeSpan.FromDays(730);

    /// <summary>How long a certificate is valid.</summary>
    public static readonly TimeSpan CertificateLife = TimeSpan.FromDays(90);

    /// <summary>How long before its end a certificate is replaced.</summary>
    public static readonly TimeSpan CertificateAhead = TimeSpan.FromDays(30);

    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    // Clocks of other machines may be behind.
    private static readonly TimeSpan Backdate = TimeSpan.FromHours(1);

    /// <summary>What is to be used from now on: <paramref name="current"/> itself while nothing of it has to be replaced.</summary>
    /// <param name="current">What is used; null or unusable for none.</param>
    /// <param name="names">Names and addresses that the certificate vouches for.</param>
    /// <param name="now">The time.</param>
    public static WebhookCertificates Renew(WebhookCertificates? current, IReadOnlyList<string> names, DateTimeOffset now)
    {
        using var authority = TryAuthority(current, now);
        if (current is null || authority is null)
        {
            using var first = NewAuthority(now);
            return Issue(first, first.ExportCertificatePem() + "\n", first.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem() + "\n", names, now);
        }
        if (authority.NotAfter - now.UtcDateTime < AuthorityAhead)
        {
            using var next = NewAuthority(now);
            string authorities = $"{next.ExportCertificatePem()}\n{authority.ExportCertificatePem()}\n";
            return Issue(authority, authorities, next.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem() + "\n", names, now);
        }
        return IsGood(current, names, now) ? current : Issue(authority, current.Authorities, current.AuthorityKey, names, now);
    }

    /// <summary>Whether a certificate can be shown: it has its key, is valid for a while, vouches for the names, and chains to the authorities.</summary>
    public static bool IsGood(WebhookCertificates certificates, IReadOnlyList<string> names, DateTimeOffset now)
    {
        try
        {
            using var leaf = X509Certificate2.CreateFromPem(certificates.Certificate, certificates.Key);
            if (leaf.NotBefore.ToUniversalTime() > now.UtcDateTime || leaf.NotAfter.ToUniversalTime() - now.UtcDateTime < CertificateAhead
                || !names.All(name => leaf.MatchesHostname(name)))
                return false;
            using var chain = new X509Chain();
            chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.CustomTrustStore.ImportFromPem(certificates.Authorities);
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            chain.ChainPolicy.DisableCertificateDownloads = true;
            chain.ChainPolicy.VerificationTimeIgnored = false;
            chain.ChainPolicy.VerificationTime = now.UtcDateTime;
            return chain.Build(leaf);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return false;
        }
    }

    private static X509Certificate2? TryAuthority(WebhookCertificates? current, DateTimeOffset now)
    {
        if (current is null)
            return null;
        try
        {
            var authority = X509Certificate2.CreateFromPem(current.Authorities, current.AuthorityKey);
            if (authority.NotBefore.ToUniversalTime() <= now.UtcDateTime && authority.NotAfter.ToUniversalTime() > now.UtcDateTime
                && authority.Extensions.OfType<X509BasicConstraintsExtension>().Any(static basic => basic.CertificateAuthority))
                return authority;
            authority.Dispose();
            return null;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return null;
        }
    }

    private static X509Certificate2 NewAuthority(DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=dynamiclb-webhooks", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        return request.CreateSelfSigned(now - Backdate, now + AuthorityLife);
    }

    private static WebhookCertificates Issue(X509Certificate2 authority, string authorities, string authorityKey, IReadOnlyList<string> names, DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(new X500DistinguishedName("CN=dynamiclb-controller"), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerAuthentication)], false));
        // An authority of another program may have none.
        if (authority.Extensions.OfType<X509SubjectKeyIdentifierExtension>().Any())
            request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, true, false));
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (string name in names)
        {
            if (IPAddress.TryParse(name, out var address))
                alternatives.AddIpAddress(address);
            else
                alternatives.AddDnsName(name);
        }
        request.CertificateExtensions.Add(alternatives.Build());
        var end = new DateTimeOffset(authority.NotAfter.ToUniversalTime());
        var begin = new DateTimeOffset(authority.NotBefore.ToUniversalTime());
        using var certificate = request.Create(
            authority.SubjectName, Signer(authority), begin > now - Backdate ? begin : now - Backdate, end < now + CertificateLife ? end : now + CertificateLife, Serial());
        return new WebhookCertificates(authorities, authorityKey, certificate.ExportCertificatePem() + "\n", key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    /// <summary>Ours are elliptic curves; one that was there before may be RSA.</summary>
    private static X509SignatureGenerator Signer(X509Certificate2 authority) => authority.GetECDsaPrivateKey() is { } curve
        ? X509SignatureGenerator.CreateForECDsa(curve)
        : X509SignatureGenerator.CreateForRSA(authority.GetRSAPrivateKey() ?? throw new CryptographicException("the authority's key is neither ECDSA nor RSA"), RSASignaturePadding.Pkcs1);

    private static byte[] Serial()
    {
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        // Positive, and of full length.
        serial[0] = (byte)((serial[0] & 0x7F) | 0x40);
        return serial;
    }
}
