using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace DynamicLb.AddressService.Security;

/// <summary>How a caller proves who it is.</summary>
internal enum CredentialKind
{
    /// <summary>A token, known by its SHA-256.</summary>
    Token = 0,

    /// <summary>A client certificate, by a name in it.</summary>
    Certificate,

    /// <summary>A Kubernetes service account, as <c>namespace/name</c>.</summary>
    ServiceAccount,
}

/// <summary>
/// One line of a token file: a token alone, which may do everything, or <c>name roles namespaces credential</c> apart by blanks. Roles and namespaces are
/// lists with commas, <c>*</c> is all namespaces. The credential is a token, <c>sha256:</c> and its hash in hexadecimal, <c>cert:</c> and the common name or
/// a DNS or URI name of a client certificate, or <c>serviceaccount:</c> and <c>namespace/name</c>.
/// </summary>
internal sealed partial record AccessEntry(Caller Caller, CredentialKind Kind, byte[] Hash, string Subject)
{
    private const int ShortestToken = 8;
    private const string HashPrefix = "sha256:";
    private const string CertificatePrefix = "cert:";
    private const string ServiceAccountPrefix = "serviceaccount:";

    /// <param name="line">The line, neither empty nor a comment.</param>
    /// <param name="number">Its number, which names a token without a name.</param>
    /// <param name="entry">The entry, unless there is a fault.</param>
    /// <returns>What is wrong with it, or null. Never holds the credential.</returns>
    public static string? Parse(string line, int number, out AccessEntry? entry)
    {
        entry = null;
        string[] fields = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        string name = $"line {number}";
        var roles = Roles.Admin;
        IReadOnlySet<string>? namespaces = null;
        switch (fields.Length)
        {
            case 1:
                break;
            case 4:
                name = fields[0];
                if (!Name().IsMatch(name))
                    return "the name has other characters than letters, digits, '-', '_', '.' and ':', or more than 63";
                if (ParseRoles(fields[1], out roles) is { } fault)
                    return fault;
                if ((fault = ParseNamespaces(fields[2], out namespaces)) is not null)
                    return fault;
                if (roles.HasFlag(Roles.Admin) && namespaces is not null)
                    return "the role admin goes with the namespaces '*' only: MACs belong to none";
                break;
            default:
                return "it is neither a token alone nor 'name roles namespaces token'";
        }
        return ParseCredential(fields[^1], new Caller(name, roles, namespaces), isNamed: fields.Length > 1, out entry);
    }

    private static string? ParseCredential(string text, Caller caller, bool isNamed, out AccessEntry? entry)
    {
        entry = null;
        var kind = text.StartsWith(CertificatePrefix, StringComparison.Ordinal) ? CredentialKind.Certificate
            : text.StartsWith(ServiceAccountPrefix, StringComparison.Ordinal) ? CredentialKind.ServiceAccount : CredentialKind.Token;
        if (kind != CredentialKind.Token)
        {
            string subject = text[(text.IndexOf(':', StringComparison.Ordinal) + 1)..];
            if (!isNamed)
                return "a certificate or service account needs a name, roles and namespaces before it";
            if (kind == CredentialKind.ServiceAccount ? !Leasing.ServiceName.IsValid(subject) : subject.Length == 0)
                return kind == CredentialKind.ServiceAccount ? "the service account is not namespace/name" : "the certificate's name is missing";
            entry = new AccessEntry(caller, kind, [], subject);
            return null;
        }
        if (!text.StartsWith(HashPrefix, StringComparison.Ordinal))
        {
            if (text.Length < ShortestToken)
                return $"the token has less than {ShortestToken} characters";
            entry = new AccessEntry(caller, kind, HashOf(text), "");
            return null;
        }
        string hex = text[HashPrefix.Length..];
        if (hex.Length != 2 * SHA256.HashSizeInBytes || !hex.All(char.IsAsciiHexDigit))
            return "sha256: is not followed by 64 hexadecimal digits";
        entry = new AccessEntry(caller, kind, Convert.FromHexString(hex), "");
        return null;
    }

    public static byte[] HashOf(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));

    private static string? ParseRoles(string text, out Roles roles)
    {
        roles = Roles.None;
        foreach (string item in text.Split(','))
        {
            var role = item switch { "read" => Roles.Read, "lease" => Roles.Lease, "admin" => Roles.Admin, _ => Roles.None };
            if (role == Roles.None)
                return $"'{item}' is none of the roles read, lease and admin";
            roles |= role;
        }
        return null;
    }

    private static string? ParseNamespaces(string text, out IReadOnlySet<string>? namespaces)
    {
        namespaces = null;
        if (text == "*")
            return null;
        var names = text.Split(',').ToHashSet(StringComparer.Ordinal);
        if (names.FirstOrDefault(static item => !Leasing.ServiceName.IsValidNamespace(item)) is { } fault)
            return $"'{fault}' is not a namespace";
        namespaces = names;
        return null;
    }

    [GeneratedRegex(@"\A[A-Za-z0-9][-A-Za-z0-9_.:]{0,62}\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex Name();
}
