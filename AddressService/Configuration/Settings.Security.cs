using System.Globalization;
using DynamicLb.AddressService.Leasing;
using static DynamicLb.AddressService.Configuration.Values;

namespace DynamicLb.AddressService.Configuration;

/// <summary>The settings of limits and access.</summary>
internal static partial class Settings
{
    private static IEnumerable<Setting> Security() =>
    [
        new("tls-certificate-file", "FILE", "certificate for https, PEM, those between it and the root after it; read again when it changes",
            (o, v) => Text(v, x => o.Tls.CertificateFile = x)),
        new("tls-key-file", "FILE", "its key, PEM", (o, v) => Text(v, x => o.Tls.KeyFile = x)),
        new("tls-client-ca-file", "FILE", "certificates that those of clients must chain to, PEM; which of them may call say the token files",
            (o, v) => Text(v, x => o.Tls.ClientCaFile = x)),
        new("tls-require-client-certificate", "", "refuse connections without a client certificate", (o, v) => Switch(v, x => o.Tls.RequireClientCertificate = x)),
        new("token-review", "", "accept tokens of Kubernetes service accounts that the token files name", (o, v) => Switch(v, x => o.TokenReview.IsEnabled = x)),
        new("token-review-audience", "NAME", "audience that these tokens must have (address-service)", (o, v) => Text(v, x => o.TokenReview.Audience = x)),
        new("kubeconfig", "FILE", "kubeconfig to reach Kubernetes by (KUBECONFIG, then the pod's service account, then ~/.kube/config)", (o, v) => Text(v, x => o.KubeConfig = x)),
        new("max-leases", "N", "leases at a time, 1 to 100000 (10000)", (o, v) => Number(v, 1, 100_000, x => o.Limits.MaxLeases = x)),
        new("namespace-quota", "N", "leases of each namespace, 0 to 100000 (as many as it likes)", (o, v) => Number(v, 0, 100_000, x => o.Limits.NamespaceQuota = x)),
        new("namespace-quotas", "LIST", "leases of certain namespaces, such as team-a=5,team-b=50", (o, v) => Quotas(o, v)),
        new("namespace-rate", "N", "new leases of each namespace in a minute, twice as many at once; 0 for no limit (0)",
            (o, v) => Number(v, 0, 100_000, x => o.Limits.NamespaceRate = x)),
        new("requests-per-second", "N", "calls of each caller that change something, 1 to 100000 (50)",
            (o, v) => Number(v, 1, 100_000, x => o.Limits.RequestsPerSecond = x)),
        new("request-burst", "N", "such calls at once after a pause, 1 to 100000 (500)", (o, v) => Number(v, 1, 100_000, x => o.Limits.RequestBurst = x)),
        new("concurrent-requests", "N", "such calls of all callers at a time, 1 to 10000 (512)", (o, v) => Number(v, 1, 10_000, x => o.Limits.ConcurrentRequests = x)),
        new("claim-time", "SECONDS", "how long a lease has an owner after its service asked for it last, 60 to 2592000 (for ever)",
            (o, v) => Seconds(v, 60, 2_592_000, x => o.Limits.ClaimTime = x)),
        new("orphan-grace", "SECONDS", "how long a lease that nobody claims is kept, 0 to 2592000 (600)", (o, v) => Seconds(v, 0, 2_592_000, x => o.Limits.OrphanGrace = x)),
        new("failures-per-minute", "N", "wrong tokens from one address before it has to wait; 0 for no limit (20)",
            (o, v) => Number(v, 0, 100_000, x => o.Limits.FailuresPerMinute = x)),
    ];

    private static string? Quotas(AddressServiceOptions options, string value)
    {
        var quotas = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (string item in Items(value, ','))
        {
            int equals = item.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0 || !ServiceName.IsValidNamespace(item[..equals].TrimEnd())
                || !int.TryParse(item.AsSpan(equals + 1).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int quota))
                return $"has '{item}', which is not NAMESPACE=NUMBER";
            if (!quotas.TryAdd(item[..equals].TrimEnd(), quota))
                return $"has '{item}', whose namespace it has twice";
        }
        return Do(() => options.Limits.NamespaceQuotas = quotas);
    }
}
