using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Contracts.Hosting;

/// <summary>
/// The certificate of a server: from <c>tls.crt</c> and <c>tls.key</c> of a folder, which is looked at again at a connection, ten seconds after the last look; or, without a folder, one
/// that we signed ourselves and that ends with the process. A faulty file leaves the last in force. Thread-safe.
/// </summary>
public sealed partial class ServingCertificate
{
    private const int LongestFile = 1 << 20;
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromSeconds(10);
    private readonly string? _folder;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private SslStreamCertificateContext _current;
    private string _text = "";
    private long _readAt;
    private string? _lastFault;

    /// <summary>Reads, or makes, the certificate.</summary>
    /// <param name="folder">The folder, or null.</param>
    /// <param name="names">Names of a certificate of our own.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Where faults are told.</param>
    /// <exception cref="IOException">The files cannot be used.</exception>
    public ServingCertificate(string? folder, IReadOnlyList<string> names, TimeProvider time, ILogger<ServingCertificate> logger)
    {
        (_folder, _time, _logger) = (folder, time, logger);
        _readAt = time.GetTimestamp();
        if (folder is null)
            _current = Own(names, time.GetUtcNow());
        else if (Read(folder, out _text, out var context) is { } fault)
            throw new IOException(fault);
        else
            _current = context!;
    }

    /// <summary>What to show now.</summary>
    public SslStreamCertificateContext Current
    {
        get
        {
            lock (_gate)
            {
                if (_folder is null || _time.GetElapsedTime(_readAt) < LookAgainAfter)
                    return _current;
                _readAt = _time.GetTimestamp();
                string? fault = Read(_folder, out string text, out var context);
                if (fault is not null && fault != _lastFault)
                    LogUnusable(_logger, fault);
                _lastFault = fault;
                if (context is not null && text != _text)
                {
                    (_current, _text) = (context, text);
                    var until = context.TargetCertificate.NotAfter;
                    LogRenewed(_logger, until);
                }
                return _current;
            }
        }
    }

    /// <summary>A certificate with what is between it and its root, from PEM.</summary>
    /// <exception cref="CryptographicException">It is none, or the key is another's.</exception>
    public static SslStreamCertificateContext Parse(string certificates, string key)
    {
        var leaf = X509Certificate2.CreateFromPem(certificates, key);
        var chain = new X509Certificate2Collection();
        chain.ImportFromPem(certificates);
        chain.RemoveAt(0);
        return SslStreamCertificateContext.Create(leaf, chain, offline: true);
    }

    private static string? Read(string folder, out string text, out SslStreamCertificateContext? context)
    {
        (text, context) = ("", null);
        try
        {
            string certificates = Text(Path.Combine(folder, "tls.crt")), key = Text(Path.Combine(folder, "tls.key"));
            (text, context) = (certificates + key, Parse(certificates, key));
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            return $"tls.crt and tls.key in {folder} cannot be used: {e.Message}";
        }
    }

    private static string Text(string path) =>
        new FileInfo(path).Length <= LongestFile ? File.ReadAllText(path) : throw new IOException($"{path} is longer than {LongestFile} bytes");

    private static SslStreamCertificateContext Own(IReadOnlyList<string> names, DateTimeOffset now)
    {
        const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=dynamiclb", key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (string name in names)
            alternatives.AddDnsName(name);
        request.CertificateExtensions.Add(alternatives.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerAuthentication)], false));
        return SslStreamCertificateContext.Create(request.CreateSelfSigned(now.AddHours(-1), now.AddYears(10)), null, offline: true);
    }

    [LoggerMessage(1, LogLevel.Warning, "The certificate stays as it is: {Reason}")]
    private static partial void LogUnusable(ILogger logger, string reason);

    [LoggerMessage(2, LogLevel.Information, "The certificate was renewed, it is good until {NotAfter}")]
    private static partial void LogRenewed(ILogger logger, DateTime notAfter);
}
