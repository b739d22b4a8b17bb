using System.Security.Cryptography.X509Certificates;

namespace DynamicLb.Kubernetes.Client;

/// <summary>Where the API server is and how to prove who we are. Immutable.</summary>
public sealed record KubernetesClientConfiguration
{
    private const string ServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

    /// <summary>Base address, with a path if the server sits behind one.</summary>
    public required Uri Server { get; init; }

    /// <summary>Certificates that the server's must chain to; null for the system's.</summary>
    public X509Certificate2Collection? CertificateAuthorities { get; init; }

    /// <summary>Name to check in the server's certificate instead of the host's.</summary>
    public string? TlsServerName { get; init; }

    /// <summary>Accept any certificate. For tests.</summary>
    public bool SkipTlsVerify { get; init; }

    /// <summary>Our certificate, with its key.</summary>
    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>A bearer token; <see cref="TokenFile"/> goes before it.</summary>
    public string? Token { get; init; }

    /// <summary>A file with the bearer token, read again every minute because Kubernetes rotates it.</summary>
    public string? TokenFile { get; init; }

    /// <summary>The namespace of the context, or of the pod.</summary>
    public string? Namespace { get; init; }

    /// <summary>Loads the file given; else those named by <c>KUBECONFIG</c>; else the pod's service account; else <c>~/.kube/config</c>.</summary>
    /// <exception cref="KubeConfigException">Nothing usable was found; the message says what was tried and what is wrong with it.</exception>
    public static KubernetesClientConfiguration Load(string? path)
    {
        if (!string.IsNullOrEmpty(path))
            return KubeConfigFile.Load(path);
        var fromEnvironment = Environment.GetEnvironmentVariable("KUBECONFIG")?.Split(':', StringSplitOptions.RemoveEmptyEntries);
        if (fromEnvironment is { Length: > 0 })
            return KubeConfigFile.Load(fromEnvironment.FirstOrDefault(File.Exists) ?? fromEnvironment[0]);
        if (Environment.GetEnvironmentVariable("KUBERNETES_SERVICE_HOST") is { Length: > 0 } host)
            return InCluster(host, Environment.GetEnvironmentVariable("KUBERNETES_SERVICE_PORT") ?? "443", ServiceAccount);
        string home = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".kube", "config");
        if (File.Exists(home))
            return KubeConfigFile.Load(home);
        throw new KubeConfigException($"No Kubernetes configuration: no --kubeconfig, KUBECONFIG is not set, this is not a pod, and {home} does not exist.");
    }

    /// <summary>The pod's service account (Kubernetes documentation, "Accessing the API from within a Pod").</summary>
    /// <exception cref="KubeConfigException">A file is missing or unreadable.</exception>
    internal static KubernetesClientConfiguration InCluster(string host, string port, string folder)
    {
        string tokenFile = Path.Combine(folder, "token"), authorities = Path.Combine(folder, "ca.crt"), space = Path.Combine(folder, "namespace");
        if (!File.Exists(tokenFile) || !File.Exists(authorities))
            throw new KubeConfigException($"In a pod, but {tokenFile} or {authorities} is missing: automountServiceAccountToken is off?");
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPemFile(authorities);
        return new KubernetesClientConfiguration
        {
            Server = new Uri($"https://{(host.Contains(':') ? $"[{host}]" : host)}:{port}"),
            CertificateAuthorities = certificates,
            TokenFile = tokenFile,
            Namespace = File.Exists(space) ? File.ReadAllText(space).Trim() : null,
        };
    }
}

/// <summary>A kubeconfig or service account that cannot be used.</summary>
public sealed class KubeConfigException : Exception
{
    /// <summary>Creates the exception.</summary>
    public KubeConfigException()
    {
    }

    /// <summary>Creates the exception with a cause in words.</summary>
    public KubeConfigException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with a cause in words and the exception behind it.</summary>
    public KubeConfigException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
