using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Kubernetes.Client;

/// <summary>Reads the current context of a kubeconfig file (Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files").</summary>
internal static class KubeConfigFile
{
    public static KubernetesClientConfiguration Load(string path)
    {
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KubeConfigException($"{path}: {e.Message}", e);
        }
        try
        {
            return Parse(text, Path.GetDirectoryName(Path.GetFullPath(path))!);
        }
        catch (Exception e) when (e is YamlException or KubeConfigException or FormatException or CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new KubeConfigException($"{path}: {e.Message}", e);
        }
    }

    internal static KubernetesClientConfiguration Parse(string text, string folder)
    {
        var yaml = new YamlStream();
        yaml.Load(new StringReader(text));
        if (yaml.Documents.Count == 0 || yaml.Documents[0].RootNode is not YamlMappingNode root)
            throw new KubeConfigException("not a kubeconfig: the file is empty.");

        string current = Text(root, "current-context") is { Length: > 0 } name ? name : throw new KubeConfigException("current-context is not set.");
        var context = Named(root, "contexts", "context", current);
        var cluster = Named(root, "clusters", "cluster", Text(context, "cluster") ?? "");
        var user = Text(context, "user") is { Length: > 0 } userName ? Named(root, "users", "user", userName) : new YamlMappingNode();

        if (Child(user, "exec") is not null || Child(user, "auth-provider") is not null)
            throw new KubeConfigException($"user of context '{current}': exec and auth-provider are not supported; use a token or a certificate.");
        string server = Text(cluster, "server") ?? throw new KubeConfigException($"cluster of context '{current}' has no server.");
        if (!Uri.TryCreate(server, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
            throw new KubeConfigException($"server '{server}' is not an http or https address.");

        var authority = Bytes(cluster, "certificate-authority", folder);
        var certificate = Bytes(user, "client-certificate", folder);
        var key = Bytes(user, "client-key", folder);
        if (certificate is null != key is null)
            throw new KubeConfigException("client-certificate and client-key belong together.");

        return new KubernetesClientConfiguration
        {
            Server = uri,
            CertificateAuthorities = authority is null ? null : Authorities(authority),
            TlsServerName = Text(cluster, "tls-server-name"),
            SkipTlsVerify = Text(cluster, "insecure-skip-tls-verify") == "true",
            ClientCertificate = certificate is null ? null : X509Certificate2.CreateFromPem(certificate, key),
            Token = Text(user, "token"),
            TokenFile = Text(user, "tokenFile") is { } file ? Path.Combine(folder, file) : null,
            Namespace = Text(context, "namespace"),
        };
    }

    private static X509Certificate2Collection Authorities(string pem)
    {
        var collection = new X509Certificate2Collection();
        collection.ImportFromPem(pem);
        return collection;
    }

    /// <summary>PEM text from <c>KEY-data</c> in base64, or from the file that <c>KEY</c> names, relative to the kubeconfig's folder.</summary>
    private static string? Bytes(YamlMappingNode node, string key, string folder)
    {
        if (Text(node, key + "-data") is { Length: > 0 } data)
            return System.Text.Encoding.UTF8.GetString(Convert.FromBase64String(data));
        return Text(node, key) is { Length: > 0 } file ? File.ReadAllText(Path.Combine(folder, file)) : null;
    }

    private static YamlMappingNode Named(YamlMappingNode root, string list, string key, string name)
    {
        if (Child(root, list) is YamlSequenceNode entries)
        {
            foreach (var entry in entries.Children.OfType<YamlMappingNode>())
            {
                if (Text(entry, "name") == name && Child(entry, key) is YamlMappingNode found)
                    return found;
            }
        }
        throw new KubeConfigException($"{list} has no entry named '{name}'.");
    }

    private static YamlNode? Child(YamlMappingNode node, string key) =>
        node.Children.TryGetValue(new YamlScalarNode(key), out var child) ? child : null;

    private static string? Text(YamlMappingNode node, string key) => (Child(node, key) as YamlScalarNode)?.Value;
}
