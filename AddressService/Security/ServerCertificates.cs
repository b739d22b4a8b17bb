using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using DynamicLb.AddressService.Configuration;

namespace DynamicLb.AddressService.Security;

/// <summary>The certificates in force. Immutable.</summary>
/// <param name="Texts">The files as they were read.</param>
/// <param name="Server">Ours, with its chain.</param>
/// <param name="ClientRoots">What client certificates must chain to; null when none are asked for.</param>
internal sealed record CertificateSet(IReadOnlyList<string> Texts, SslStreamCertificateContext Server, X509Certificate2Collection? ClientRoots);

/// <summary>
/// The certificates of the REST API. The files are looked at again at a connection, ten seconds after the last look: a renewed certificate takes effect without a
/// restart, and a faulty one leaves the last in force. Thread-safe.
/// </summary>
internal sealed partial class ServerCertificates
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";
    private const int LongestFile = 1 << 20;
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromSeconds(10);
    private readonly TlsOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger<ServerCertificates> _logger;
    private readonly Lock _gate = new();
    private CertificateSet _current;
    private long _readAt;
    private string? _lastFault;

    /// <exception cref="UnusableException">The files cannot be used.</exception>
    public ServerCertificates(TlsOptions options, TimeProvider time, ILogger<ServerCertificates> logger)
    {
        _options = options;
        _time = time;
        _logger = logger;
        _readAt = time.GetTimestamp();
        if (Read(options, out var set) is { } fault)
            throw new UnusableException(fault);
        _current = set!;
    }

    /// <summary>Options for one connection.</summary>
    public SslServerAuthenticationOptions ForConnection()
    {
        var set = Current();
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = set.Server,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            AllowRenegotiation = false,
            // A resumed session would be one without the client's certificate.
            AllowTlsResume = set.ClientRoots is null,
            ClientCertificateRequired = set.ClientRoots is not null,
            RemoteCertificateValidationCallback = (_, certificate, _, _) => IsWelcome(certificate, set.ClientRoots),
        };
    }

    /// <param name="options">Where the files are; certificate and key are given.</param>
    /// <param name="set">The certificates, unless there is a fault.</param>
    /// <returns>What is wrong, or null.</returns>
    public static string? Read(TlsOptions options, out CertificateSet? set)
    {
        set = null;
        string file = options.CertificateFile!, setting = "--tls-certificate-file";
        try
        {
            string certificate = Text(file);
            (file, setting) = (options.KeyFile!, "--tls-key-file");
            string key = Text(file);
            var leaf = X509Certificate2.CreateFromPem(certificate, key);
            (file, setting) = (options.CertificateFile!, "--tls-certificate-file");
            var chain = new X509Certificate2Collection();
            chain.ImportFromPem(certificate);
            chain.RemoveAt(0);
            var texts = new List<string> { certificate, key };
            X509Certificate2Collection? roots = null;
            if (options.ClientCaFile is { } ca)
            {
                (file, setting) = (ca, "--tls-client-ca-file");
                texts.Add(Text(ca));
                roots = [];
                roots.ImportFromPem(texts[^1]);
                if (roots.Count == 0)
                    return $"{setting} {file} holds no certificate";
            }
            set = new CertificateSet(texts, SslStreamCertificateContext.Create(leaf, chain, offline: true), roots);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            return $"{setting} {file} cannot be used: {e.Message}";
        }
    }

    /// <summary>The names that a certificate vouches for: the common name, and DNS names and the URI among the alternative names.</summary>
    public static IReadOnlyCollection<string> Names(X509Certificate2 certificate)
    {
        const string CommonName = "2.5.4.3";
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var part in certificate.SubjectName.EnumerateRelativeDistinguishedNames())
        {
            if (!part.HasMultipleElements && part.GetSingleElementType().Value == CommonName && part.GetSingleElementValue() is { } name)
                names.Add(name);
        }
        foreach (var alternatives in certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>())
            names.UnionWith(alternatives.EnumerateDnsNames());
        if (certificate.GetNameInfo(X509NameType.UrlName, forIssuer: false) is { Length: > 0 } uri)
            names.Add(uri);
        return names;
    }

    private CertificateSet Current()
    {
        lock (_gate)
        {
            if (_time.GetElapsedTime(_readAt) < LookAgainAfter)
                return _current;
            _readAt = _time.GetTimestamp();
            string? fault = Read(_options, out var set);
            if (fault is not null && fault != _lastFault)
                Log.Unusable(_logger, fault);
            _lastFault = fault;
            if (set is null || set.Texts.SequenceEqual(_current.Texts))
                return _current;
            _current = set;
            var notAfter = set.Server.TargetCertificate.NotAfter;
            Log.Renewed(_logger, notAfter);
            return set;
        }
    }

    private bool IsWelcome(X509Certificate? certificate, X509Certificate2Collection? roots)
    {
        if (certificate is null || roots is null)
            return !_options.RequireClientCertificate;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(roots);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        return chain.Build((X509Certificate2)certificate);
    }

    private static string Text(string path) =>
        new FileInfo(path).Length <= LongestFile ? File.ReadAllText(path) : throw new IOException($"it is longer than {LongestFile} bytes");

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "The certificates stay as they are: {Reason}")]
        public static partial void Unusable(ILogger logger, string reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "The certificates were renewed, ours is good until {NotAfter}")]
        public static partial void Renewed(ILogger logger, DateTime notAfter);
    }
}
