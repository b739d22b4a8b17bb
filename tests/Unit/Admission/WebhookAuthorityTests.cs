using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using DynamicLb.Controller.Admission;

namespace DynamicLb.Tests.Unit.Admission;

public sealed class WebhookAuthorityTests
{
    private static readonly DateTimeOffset _start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly string[] _names = ["metallb-webhook-service.dynamiclb-system.svc", "127.0.0.1"];

    [Fact]
    public void The_first_certificate_vouches_for_the_names_and_chains_to_its_authority()
    {
        var made = WebhookAuthority.Renew(null, _names, _start);

        using var leaf = X509Certificate2.CreateFromPem(made.Certificate, made.Key);
        Assert.All(_names, name => Assert.True(leaf.MatchesHostname(name)));
        Assert.False(leaf.MatchesHostname("other.dynamiclb-system.svc"));
        Assert.True(IsTrusted(made.Certificate, made.Authorities, _start));
        Assert.Same(made, WebhookAuthority.Renew(made, _names, _start));
    }

    [Fact]
    public void A_certificate_is_renewed_thirty_days_before_its_end_by_the_same_authority()
    {
        var first = WebhookAuthority.Renew(null, _names, _start);

        Assert.Same(first, WebhookAuthority.Renew(first, _names, _start.AddDays(59)));
        var second = WebhookAuthority.Renew(first, _names, _start.AddDays(61));

        Assert.Equal((first.Authorities, first.AuthorityKey), (second.Authorities, second.AuthorityKey));
        Assert.NotEqual(first.Certificate, second.Certificate);
        Assert.True(IsTrusted(second.Certificate, first.Authorities, _start.AddDays(140)));
    }

    [Fact]
    public void Over_ten_years_whoever_trusts_what_was_told_last_trusts_what_is_shown_next()
    {
        var current = WebhookAuthority.Renew(null, _names, _start);
        int authorities = 1;
        for (var now = _start; now < _start.AddDays(4000); now = now.AddDays(5))
        {
            var next = WebhookAuthority.Renew(current, _names, now);
            Assert.True(IsTrusted(next.Certificate, current.Authorities, now), $"on day {(now - _start).TotalDays}");
            if (next.AuthorityKey != current.AuthorityKey)
                authorities++;
            current = next;
        }
        Assert.Equal(2, authorities);
    }

    [Fact]
    public void What_cannot_be_used_is_made_anew()
    {
        var good = WebhookAuthority.Renew(null, _names, _start);
        var other = WebhookAuthority.Renew(null, _names, _start);

        // A name that is not vouched for, a key of another, a certificate of another authority: a new certificate.
        Assert.Equal(good.AuthorityKey, WebhookAuthority.Renew(good, [.. _names, "more"], _start).AuthorityKey);
        Assert.True(WebhookAuthority.IsGood(WebhookAuthority.Renew(good with { Key = other.Key }, _names, _start), _names, _start));
        Assert.True(WebhookAuthority.IsGood(WebhookAuthority.Renew(good with { Certificate = other.Certificate, Key = other.Key }, _names, _start), _names, _start));
        // No authority that could sign: everything.
        Assert.NotEqual(good.Authorities, WebhookAuthority.Renew(good with { AuthorityKey = other.AuthorityKey }, _names, _start).Authorities);
        Assert.NotEqual(good.Authorities, WebhookAuthority.Renew(good with { Authorities = "nonsense" }, _names, _start).Authorities);
        Assert.True(WebhookAuthority.IsGood(WebhookAuthority.Renew(new WebhookCertificates("", "", "", ""), _names, _start), _names, _start));
        Assert.NotEqual(good.Authorities, WebhookAuthority.Renew(good, _names, _start.AddDays(4000)).Authorities);
    }

    [Fact]
    public void An_authority_that_another_program_made_with_RSA_is_kept()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=cert, O=metallb", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var authority = request.CreateSelfSigned(_start.AddDays(-1), _start.AddDays(3000));
        var theirs = new WebhookCertificates(authority.ExportCertificatePem(), key.ExportRSAPrivateKeyPem(), "", "");

        var ours = WebhookAuthority.Renew(theirs, _names, _start);

        Assert.Equal((theirs.Authorities, theirs.AuthorityKey), (ours.Authorities, ours.AuthorityKey));
        Assert.True(IsTrusted(ours.Certificate, theirs.Authorities, _start));
    }

    private static bool IsTrusted(string certificate, string authorities, DateTimeOffset at)
    {
        using var leaf = X509Certificate2.CreateFromPem(certificate);
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.ImportFromPem(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.VerificationTimeIgnored = false;
        chain.ChainPolicy.VerificationTime = at.UtcDateTime;
        return chain.Build(leaf);
    }
}
