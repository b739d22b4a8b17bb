using DynamicLb.AddressService.Security;

namespace DynamicLb.AddressService.Configuration;

/// <summary>TLS of the REST API. Files are PEM.</summary>
internal sealed class TlsOptions
{
    /// <summary>Our certificate, with those between it and the root after it.</summary>
    public string? CertificateFile { get; set; }

    public string? KeyFile { get; set; }

    /// <summary>Certificates that clients' must chain to; null when clients have none.</summary>
    public string? ClientCaFile { get; set; }

    /// <summary>Whether connections without a client certificate are refused.</summary>
    public bool RequireClientCertificate { get; set; }

    /// <returns>Everything that is wrong, also with the files.</returns>
    /// <param name="listen">Where the API listens.</param>
    public IEnumerable<string> Faults(string listen)
    {
        bool isTls = listen.Contains("https://", StringComparison.Ordinal);
        if (CertificateFile is null != KeyFile is null)
            yield return CertificateFile is null ? "--tls-certificate-file is missing beside --tls-key-file" : "--tls-key-file is missing beside --tls-certificate-file";
        else if (isTls && CertificateFile is null)
            yield return "--listen has an https URL: give --tls-certificate-file and --tls-key-file";
        if (!isTls && (CertificateFile is not null || ClientCaFile is not null))
            yield return "--listen has no https URL for the certificates given";
        if (RequireClientCertificate && ClientCaFile is null)
            yield return "--tls-require-client-certificate needs --tls-client-ca-file";
        if (CertificateFile is not null && KeyFile is not null && ServerCertificates.Read(this, out _) is { } fault)
            yield return fault;
    }
}
