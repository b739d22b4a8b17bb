using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Contracts.Resources;

namespace DynamicLb.Contracts.Configuration.Rules;

/// <summary>Rules of address pools and address services.</summary>
internal sealed class SourceRules(ConfigPass pass)
{
    private const int LongestInterface = 128;
    private const int MostConcurrency = 256;
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(40);
    private static readonly TimeSpan ShortestTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestTimeout = TimeSpan.FromMinutes(10);

    public (List<Read<AddressPool>> Pools, List<Read<AddressServiceSource>> Services) Read()
    {
        CheckNames();
        var pools = pass.Set.Pools.Select(ReadPool).ToList();
        var services = pass.Set.AddressServices.Select(ReadService).ToList();
        CheckOverlaps(pools);
        return (
            [.. pools.Where(pool => !pass.Bad.Contains(pool.Origin))],
            [.. services.OfType<Read<AddressServiceSource>>().Where(service => !pass.Bad.Contains(service.Origin))]);
    }

    private void CheckNames()
    {
        var seen = new HashSet<string>();
        foreach (var origin in pass.Set.Pools.Select(static item => item.Origin).Concat(pass.Set.AddressServices.Select(static item => item.Origin)))
        {
            if (origin.Name.Length == 0)
                pass.Fault(origin, "", "is required");
            else if (!seen.Add(origin.Name))
                pass.Fault(origin, "", $"'{origin.Name}' is used twice; pools and address services share their names");
        }
    }

    private Read<AddressPool> ReadPool(ConfigItem<IPAddressPoolSpec> item)
    {
        var ranges = Ranges(item.Origin, "addresses", item.Spec.Addresses);
        if (item.Spec.Addresses is null or { Count: 0 })
            pass.Fault(item.Origin, "addresses", "at least one CIDR or range is needed");
        var pool = new AddressPool(item.Name, AnnouncementProtocol.None, item.Spec.AutoAssign ?? true, ranges, item.Spec.AvoidBuggyIPs ?? false)
        {
            Allocation = Allocation(item.Origin, item.Spec.ServiceAllocation),
        };
        return new Read<AddressPool>(item.Origin, pool, item.Labels);
    }

    private Read<AddressServiceSource>? ReadService(ConfigItem<AddressServiceSpec> item)
    {
        var (origin, spec) = (item.Origin, item.Spec);
        if (!Uri.TryCreate(spec.Url, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
        {
            pass.Fault(origin, "url", string.IsNullOrEmpty(spec.Url) ? "is required" : $"'{spec.Url}' is not an http or https address");
            url = null;
        }
        if (spec.TokenSecretRef is { Name: null or "" })
            pass.Fault(origin, "tokenSecretRef.name", "is required");
        if (spec.Files?.TokenFile is not null && spec.TokenSecretRef is not null)
            pass.Fault(origin, "tokenSecretRef", "not together with token-file");
        var timeout = DefaultTimeout;
        if (spec.Timeouts?.Request is { } text)
        {
            if (!GoDuration.TryParse(text, out timeout))
                pass.Fault(origin, "timeouts.request", $"'{text}' is not a duration such as 40s or 1m30s");
            else if (timeout < ShortestTimeout || timeout > LongestTimeout)
                pass.Fault(origin, "timeouts.request", $"'{text}' is not between 1s and 10m");
        }
        long concurrency = spec.Concurrency ?? AddressServiceSource.DefaultConcurrency;
        if (concurrency is < 1 or > MostConcurrency)
            pass.Fault(origin, "concurrency", $"{concurrency} is not between 1 and {MostConcurrency}");
        var families = Families(origin, spec.Families);
        if (spec.Interface is { } name && (name.Length is 0 or > LongestInterface || name.Any(char.IsWhiteSpace)))
            pass.Fault(origin, "interface", $"'{name}' is not the name of an interface");
        var onLeaseChange = Choice<LeaseChangePolicy>(origin, "onLeaseChange", spec.OnLeaseChange);
        var announcedMac = Choice<AnnouncedMac>(origin, "announcedMac", spec.AnnouncedMac);
        var ranges = Ranges(origin, "cidrs", spec.Cidrs);
        var allocation = Allocation(origin, spec.ServiceAllocation);
        var tls = Tls(origin, spec, url);
        if (url is null)
            return null;
        var source = new AddressServiceSource(
            item.Name, AnnouncementProtocol.None, spec.AutoAssign ?? true, url, ranges, spec.Files?.TokenFile,
            spec.TokenSecretRef is { } secret ? new SecretKeyReference(secret.Name ?? "", secret.Key ?? "token") : null, timeout, tls)
        {
            Allocation = allocation,
            AvoidBuggyIPs = spec.AvoidBuggyIPs ?? false,
            LeasesIPv4 = families.Contains(AddressFamilies.IPv4),
            LeasesIPv6 = families.Contains(AddressFamilies.IPv6),
            Interface = spec.Interface,
            OnLeaseChange = onLeaseChange,
            AnnouncedMac = announcedMac,
            Concurrency = (int)Math.Clamp(concurrency, 1, MostConcurrency),
        };
        return new Read<AddressServiceSource>(origin, source, item.Labels);
    }

    /// <summary>The value of a name, in whatever case it is written; the first value for none.</summary>
    private T Choice<T>(ConfigOrigin origin, string path, string? text)
        where T : struct, Enum
    {
        if (text is null)
            return default;
        // Not Enum.TryParse: that takes numbers, and several names at once.
        foreach (var value in Enum.GetValues<T>())
        {
            if (string.Equals(Enum.GetName(value), text, StringComparison.OrdinalIgnoreCase))
                return value;
        }
        pass.Fault(origin, path, $"'{text}' is neither {string.Join(" nor ", Enum.GetNames<T>())}");
        return default;
    }

    private IReadOnlyList<string> Families(ConfigOrigin origin, IReadOnlyList<string>? texts)
    {
        if (texts is null)
            return [AddressFamilies.IPv4];
        if (texts.Count == 0)
            pass.Fault(origin, "families", "at least one of ipv4 and ipv6 is needed");
        pass.Distinct(origin, "families", texts, "family");
        foreach (string text in texts.Where(static text => text is not (AddressFamilies.IPv4 or AddressFamilies.IPv6)))
            pass.Fault(origin, "families", $"'{text}' is neither ipv4 nor ipv6");
        return texts;
    }

    private AddressServiceTls? Tls(ConfigOrigin origin, AddressServiceSpec spec, Uri? url)
    {
        if (spec.Files?.Tls is { } files)
        {
            if ((files.CertificateFile is null) != (files.KeyFile is null))
            {
                pass.Fault(
                    origin, files.CertificateFile is null ? "clientKeyFile" : "clientCertificateFile", "client-certificate-file and client-key-file go together");
            }
            if (url?.Scheme == "http")
                pass.Fault(origin, files.CaFile is not null ? "caFile" : "clientCertificateFile", "has no effect: the url is not https");
            return files;
        }
        if (string.IsNullOrEmpty(spec.CaBundle))
            return null;
        if (url?.Scheme == "http")
            pass.Fault(origin, "caBundle", "has no effect: the url is not https");
        try
        {
            string pem = Encoding.UTF8.GetString(Convert.FromBase64String(spec.CaBundle));
            var certificates = new X509Certificate2Collection();
            certificates.ImportFromPem(pem);
            if (certificates.Count > 0)
                return new AddressServiceTls(null, null, null) { CaPem = pem };
            pass.Fault(origin, "caBundle", "holds no certificate in PEM form");
        }
        catch (Exception e) when (e is FormatException or CryptographicException)
        {
            pass.Fault(origin, "caBundle", $"is not PEM in base64: {e.Message}");
        }
        return null;
    }

    private ServiceAllocation? Allocation(ConfigOrigin origin, ServiceAllocationSpec? spec)
    {
        if (spec is null)
            return null;
        pass.Distinct(origin, "serviceAllocation.namespaces", spec.Namespaces, "namespace");
        pass.Selectors(origin, "serviceAllocation.namespaceSelectors", spec.NamespaceSelectors);
        pass.Selectors(origin, "serviceAllocation.serviceSelectors", spec.ServiceSelectors);
        return new ServiceAllocation(spec.Priority ?? 0, (spec.Namespaces ?? []).ToFrozenSet(), spec.NamespaceSelectors ?? [], spec.ServiceSelectors ?? []);
    }

    private List<AddressRange> Ranges(ConfigOrigin origin, string path, IReadOnlyList<string>? texts)
    {
        var ranges = new List<AddressRange>();
        for (int i = 0; i < (texts?.Count ?? 0); i++)
        {
            if (AddressRange.TryParse(texts![i] ?? "", out var range) is { } reason)
                pass.Fault(origin, path, reason);
            else
                ranges.Add(range);
        }
        return ranges;
    }

    /// <summary>Of two that overlap, the one that was there later is at fault.</summary>
    private void CheckOverlaps(List<Read<AddressPool>> pools)
    {
        // Sorted by their beginnings, ranges that overlap anything overlap the one before that reaches furthest.
        var all = pools.SelectMany(static (pool, index) => pool.Value.Ranges.Select(range => (Range: range, Pool: pool, Index: index)))
            .OrderBy(static entry => entry.Range.Family).ThenBy(static entry => entry.Range.First).ToList();
        for (int i = 1, furthest = 0; i < all.Count; i++)
        {
            if (all[i].Range.Overlaps(all[furthest].Range))
            {
                var (later, earlier) = all[i].Index >= all[furthest].Index ? (all[i], all[furthest]) : (all[furthest], all[i]);
                pass.Fault(later.Pool.Origin, "addresses", $"{later.Range} overlaps with already defined CIDR {earlier.Range} of '{earlier.Pool.Value.Name}'");
            }
            if (all[i].Range.Family != all[furthest].Range.Family || all[i].Range.Last > all[furthest].Range.Last)
                furthest = i;
        }
    }
}
