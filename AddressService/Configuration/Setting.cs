using DynamicLb.AddressService.MacPool;
using DynamicLb.AddressService.Webhooks;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Networking.Addresses;
using static DynamicLb.AddressService.Configuration.Values;

namespace DynamicLb.AddressService.Configuration;

/// <summary>One setting: the same name as flag, as key of the configuration file, and in capitals as environment variable.</summary>
/// <param name="Name">Kebab-case.</param>
/// <param name="Value">What stands for its value in the help; empty for a switch.</param>
/// <param name="Help">What it does, and the default.</param>
/// <param name="Apply">Takes a value; returns what is wrong with it, or null.</param>
internal sealed record Setting(string Name, string Value, string Help, Func<AddressServiceOptions, string, string?> Apply)
{
    public bool IsSwitch => Value.Length == 0;

    /// <summary>Whether its value is YAML of more than one level; in the file it is written as such, elsewhere as text.</summary>
    public bool IsStructured { get; init; }

    public string Variable => "DYNAMICLB_" + Name.ToUpperInvariant().Replace('-', '_');
}

/// <summary>All settings.</summary>
internal static partial class Settings
{
    public static IReadOnlyList<Setting> All { get; } =
    [
        .. InterfaceSettings.All.Select(static setting => new Setting(setting.Name, setting.Value, setting.Help, (o, v) => setting.Apply(o.Interface, v))),
        new("interfaces", "YAML", "several interfaces: [{name: lan}, {name: dmz, interface: eth1, vlan: 7, cidrs: [...]}], each with any of the settings above (none)",
            (o, v) => InterfaceList.Parse(v, x => o.Listed = x)) { IsStructured = true },
        new("listen", "URL", "where the REST API listens; several separated by ';' (http://0.0.0.0:8080)", (o, v) => Listen(o, v)),
        new("store", "files|kubernetes", "where leases are kept: in the data folder, or as AddressLease objects, for several replicas (files)", (o, v) => v switch
        {
            "files" => Do(() => o.Store = StoreKind.Files),
            "kubernetes" => Do(() => o.Store = StoreKind.Kubernetes),
            _ => "is neither files nor kubernetes",
        }),
        new("standby", "", "wait while another process uses the data folder, and take over when it ends", (o, v) => Switch(v, x => o.Standby = x)),
        new("import-from", "DIR", "with --store kubernetes: data folder whose leases the leader takes over, once (none)", (o, v) => Text(v, x => o.ImportFrom = x)),
        new("namespace", "NAME", "namespace of the AddressLeases (the Pod's, else dynamiclb-system)", (o, v) => Text(v, x => o.Namespace = x)),
        new("leader-lease", "SECONDS", "how long the replicas wait for a leader that is silent, 3 to 60 (10)", (o, v) => Seconds(v, 3, 60, x => o.LeaderLease = x)),
        new("data", "DIR", "folder of the leases (/var/lib/dynamiclb)", (o, v) => Text(v, x => o.Data = x)),
        new("token-file", "LIST", "files of tokens, one a line, alone or as 'name roles namespaces token'; read again when they change", (o, v) => Text(v, x => o.TokenFiles = Items(x, ','))),
        new("allow-anonymous", "", "accept calls without a token", (o, v) => Switch(v, x => o.AllowAnonymous = x)),
        new("request-timeout", "SECONDS", "how long a call waits for DHCP, 1 to 3600 (30)", (o, v) => Seconds(v, 1, 3600, x => o.RequestTimeout = x)),
        new("abandon-after", "SECONDS", "how long the search for a first address goes on after the last call for it, 1 to 86400 (600)",
            (o, v) => Seconds(v, 1, 86400, x => o.AbandonAfter = x)),
        new("mac-source", "WHERE", "generate, pool or poolThenGenerate (generate)", (o, v) => v switch
        {
            "generate" => Do(() => o.MacSource = MacSource.Generate),
            "pool" => Do(() => o.MacSource = MacSource.Pool),
            "poolThenGenerate" => Do(() => o.MacSource = MacSource.PoolThenGenerate),
            _ => "is none of generate, pool, poolThenGenerate",
        }),
        new("mac-prefix", "PREFIX", "first three octets of generated MACs (02:4c:42)", (o, v) =>
        {
            if (!MacGenerator.TryParsePrefix(v, out uint prefix, out string fault))
                return fault;
            o.MacPrefix = prefix;
            return null;
        }),
        new("mac-key", "uid|name", "what a generated MAC follows from: the Service's UID if it is given, or always its name (uid)", (o, v) => v switch
        {
            "uid" => Do(() => o.MacFromName = false),
            "name" => Do(() => o.MacFromName = true),
            _ => "is neither uid nor name",
        }),
        new("mac-key-file", "FILE", "secret behind generated MACs, in hexadecimal (made at random, kept in the data folder)", (o, v) => Text(v, x => o.MacKeyFile = x)),
        new("mac", "LIST", "MACs for the pool: a list, or a file with one a line", (o, v) => Macs(o, v)),
        new("release-delay", "SECONDS", "pause before a released address is given back, 0 to 60 (2)", (o, v) => Seconds(v, 0, 60, x => o.ReleaseDelay = x)),
        new("watchers", "N", "readers of /v1/leases/watch at once, 1 to 1000 (64)", (o, v) => Number(v, 1, 1000, x => o.Watchers = x)),
        new("webhooks", "YAML", "receivers of events: [{url: https://..., secret-file: FILE, events: [lost, changed]}] (none)",
            (o, v) => WebhookOptions.Parse(v, x => o.Webhooks = x)) { IsStructured = true },
        new("log-level", "LEVEL", "all, debug, info, warn, error or none (info)", (o, v) =>
            DynamicLbHostExtensions.ParseLogLevel(v) is { } level ? Do(() => o.LogLevel = level) : "is none of all, debug, info, warn, error, none"),
        .. Security(),
    ];

    private static string? Listen(AddressServiceOptions options, string value)
    {
        foreach (string url in Items(value, ';'))
        {
            if (!(url.StartsWith("http://", StringComparison.Ordinal) || url.StartsWith("https://", StringComparison.Ordinal)) || !Uri.TryCreate(url.Replace("*", "0.0.0.0", StringComparison.Ordinal), UriKind.Absolute, out _))
                return $"has '{url}', which is no http or https URL";
        }
        return Text(value, x => options.Listen = x);
    }

    private static string? Macs(AddressServiceOptions options, string value)
    {
        var macs = new List<MacAddress>();
        IEnumerable<string> items = Items(value, ',');
        if (File.Exists(value))
        {
            try
            {
                items = File.ReadAllLines(value).Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#');
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return $"cannot be read: {e.Message}";
            }
        }
        foreach (string item in items)
        {
            if (MacList.Parse(item, out var mac) is { } fault)
                return $"has '{item}': {fault}";
            macs.Add(mac);
        }
        return Do(() => options.Macs = macs);
    }
}
