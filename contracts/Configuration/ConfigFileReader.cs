using System.Globalization;
using System.Text.RegularExpressions;
using DynamicLb.Contracts.AddressServices;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Contracts.Configuration;

/// <summary>
/// Reads the configuration file: MetalLB's ConfigMap format (before 0.13) with <c>address-services</c> added. All faults are listed at once, and with one there is no
/// configuration.
/// </summary>
public static partial class ConfigFileReader
{
    private static readonly string[] NotYet = ["peers", "bgp-communities", "bfd-profiles"];
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(40);

    /// <summary>Reads a file's text.</summary>
    public static ConfigResult Read(string yaml)
    {
        var faults = new List<ConfigFault>();
        var notices = new List<ConfigFault>();
        YamlMappingNode root;
        try
        {
            var stream = new YamlStream();
            stream.Load(new StringReader(yaml));
            if (stream.Documents.Count == 0 || stream.Documents[0].RootNode is YamlScalarNode { Value: null or "" })
                root = [];
            else if (stream.Documents[0].RootNode is YamlMappingNode mapping)
                root = mapping;
            else
                return new ConfigResult(null, [new ConfigFault("", "", 1, "the configuration must be a mapping of sections")], []);
        }
        catch (YamlException e)
        {
            return new ConfigResult(null, [new ConfigFault("", "", (int)e.Start.Line, $"not YAML: {e.Message}")], []);
        }

        var document = new ConfigSection("", root, faults);
        var pools = document.Items("address-pools").Select(item => ReadPool(item, notices)).ToList();
        var services = document.Items("address-services").Select(ReadService).ToList();
        foreach (string section in NotYet)
        {
            if (document.Take(section) is { } node)
                notices.Add(new ConfigFault("", section, (int)node.Start.Line, "BGP is not supported yet: ignored"));
        }
        document.RefuseUnknown();
        CheckNames(pools, services, faults);
        CheckOverlaps(pools, faults);
        return faults.Count > 0
            ? new ConfigResult(null, faults, notices)
            : new ConfigResult(new LoadBalancerConfig([.. pools.Select(static p => p.Pool)], [.. services.Select(static s => s.Service)]), [], notices);
    }

    private static (AddressPool Pool, ConfigSection Section) ReadPool(ConfigSection section, List<ConfigFault> notices)
    {
        string name = section.Name();
        var protocol = Protocol(section);
        bool autoAssign = section.Bool("auto-assign", true);
        bool avoidBuggy = section.Bool("avoid-buggy-ips", false);
        var ranges = Ranges(section, "addresses");
        if (ranges.Count == 0 && !section.HasFault("addresses"))
            section.Fault("addresses", "at least one CIDR or range is needed");
        if (section.Take("bgp-advertisements") is { } node)
            notices.Add(new ConfigFault(section.Title, "bgp-advertisements", (int)node.Start.Line, "BGP is not supported yet: ignored"));
        section.RefuseUnknown();
        return (new AddressPool(name, protocol, autoAssign, ranges, avoidBuggy), section);
    }

    private static (AddressServiceSource Service, ConfigSection Section) ReadService(ConfigSection section)
    {
        string name = section.Name();
        var protocol = Protocol(section);
        bool autoAssign = section.Bool("auto-assign", true);
        string? text = section.Text("url");
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
        {
            section.Fault("url", text is null ? "is required" : $"'{text}' is not an http or https address");
            url = new Uri("http://invalid");
        }
        var cidrs = Ranges(section, "cidrs");
        string? file = section.Text("token-file");
        var secret = section.Child("token-secret");
        SecretKeyReference? reference = null;
        if (secret is not null)
        {
            reference = new SecretKeyReference(secret.Required("name"), secret.Text("key") ?? "token");
            secret.RefuseUnknown();
        }
        if (file is not null && reference is not null)
            section.Fault("token-secret", "not together with token-file");
        var timeout = Duration(section, "timeout", DefaultTimeout);
        var tls = Tls(section, url);
        section.RefuseUnknown();
        return (new AddressServiceSource(name, protocol, autoAssign, url, cidrs, file, reference, timeout, tls), section);
    }

    private static AddressServiceTls? Tls(ConfigSection section, Uri url)
    {
        string? ca = section.Text("ca-file"), certificate = section.Text("client-certificate-file"), key = section.Text("client-key-file");
        if (certificate is null != key is null)
            section.Fault(certificate is null ? "client-key-file" : "client-certificate-file", "client-certificate-file and client-key-file go together");
        if (ca is null && certificate is null && key is null)
            return null;
        if (url.Scheme == "http")
            section.Fault(ca is not null ? "ca-file" : "client-certificate-file", "has no effect: the url is not https");
        return new AddressServiceTls(ca, certificate, key);
    }

    private static AnnouncementProtocol Protocol(ConfigSection section)
    {
        switch (section.Text("protocol"))
        {
            case "layer2":
                return AnnouncementProtocol.Layer2;
            case "bgp":
                return AnnouncementProtocol.Bgp;
            case null:
                section.Fault("protocol", "is required: layer2 or bgp");
                return default;
            case var other:
                section.Fault("protocol", $"'{other}' is neither layer2 nor bgp");
                return default;
        }
    }

    private static List<AddressRange> Ranges(ConfigSection section, string field)
    {
        var ranges = new List<AddressRange>();
        foreach (string text in section.Texts(field))
        {
            if (AddressRange.TryParse(text, out var range) is { } reason)
                section.Fault(field, reason);
            else
                ranges.Add(range);
        }
        return ranges;
    }

    /// <summary>Go's form of durations, as MetalLB uses: <c>40s</c>, <c>1m30s</c>, <c>500ms</c>.</summary>
    private static TimeSpan Duration(ConfigSection section, string field, TimeSpan otherwise)
    {
        if (section.Text(field) is not { } text)
            return otherwise;
        var match = DurationPattern().Match(text);
        if (!match.Success)
        {
            section.Fault(field, $"'{text}' is not a duration such as 40s or 1m30s");
            return otherwise;
        }
        double milliseconds = 0;
        for (int i = 0; i < match.Groups["number"].Captures.Count; i++)
        {
            double number = double.Parse(match.Groups["number"].Captures[i].ValueSpan, CultureInfo.InvariantCulture);
            milliseconds += number * (match.Groups["unit"].Captures[i].Value switch { "ms" => 1, "s" => 1000, "m" => 60_000, _ => 3_600_000 });
        }
        if (milliseconds is >= 1000 and <= 600_000)
            return TimeSpan.FromMilliseconds(milliseconds);
        section.Fault(field, $"'{text}' is not between 1s and 10m");
        return otherwise;
    }

    private static void CheckNames(
        List<(AddressPool Pool, ConfigSection Section)> pools, List<(AddressServiceSource Service, ConfigSection Section)> services,
        List<ConfigFault> faults)
    {
        var seen = new HashSet<string>();
        foreach (var (name, section) in pools.Select(static p => (p.Pool.Name, p.Section)).Concat(services.Select(static s => (s.Service.Name, s.Section))))
        {
            if (name.Length > 0 && !seen.Add(name))
                faults.Add(new ConfigFault(section.Title, "name", section.Line, $"'{name}' is used twice; pools and address services share their names"));
        }
    }

    private static void CheckOverlaps(List<(AddressPool Pool, ConfigSection Section)> pools, List<ConfigFault> faults)
    {
        // Sorted by their beginnings, ranges that overlap anything overlap the one before that reaches furthest.
        var all = pools.SelectMany(static p => p.Pool.Ranges.Select(range => (Range: range, p.Pool, p.Section)))
            .OrderBy(static entry => entry.Range.Family).ThenBy(static entry => entry.Range.First).ToList();
        for (int i = 1, furthest = 0; i < all.Count; i++)
        {
            if (all[i].Range.Overlaps(all[furthest].Range))
            {
                faults.Add(new ConfigFault(
                    all[i].Section.Title, "addresses", all[i].Section.Line,
                    $"{all[i].Range} overlaps with {all[furthest].Range} of '{all[furthest].Pool.Name}'"));
            }
            if (all[i].Range.Family != all[furthest].Range.Family || all[i].Range.Last > all[furthest].Range.Last)
                furthest = i;
        }
    }

    [GeneratedRegex(@"^((?<number>\d+(\.\d+)?)(?<unit>ms|s|m|h))+$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant, 1000)]
    private static partial Regex DurationPattern();
}
