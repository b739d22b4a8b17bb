using DynamicLb.AddressService.Leasing;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.AddressService.Configuration;

/// <summary>An entry of <c>interfaces</c>: what it says itself. All else it has from the settings of the same names outside of the list.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Values">Its other keys.</param>
internal sealed record ListedInterface(string Name, IReadOnlyList<(InterfaceSetting Setting, string Value)> Values)
{
    public InterfaceOptions On(InterfaceOptions defaults)
    {
        var options = defaults.Clone();
        (options.Name, options.Device, options.Vlan) = (Name, Name, 0);
        foreach (var (setting, value) in Values)
            setting.Apply(options, value);
        return options;
    }
}

/// <summary>The setting <c>interfaces</c>: several interfaces in one address service.</summary>
internal static class InterfaceList
{
    public const int Most = 64;

    /// <returns>Every fault, with the entry and the key; null when there is none.</returns>
    public static string? Parse(string text, Action<IReadOnlyList<ListedInterface>> set)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException e)
        {
            return $"is no YAML: {e.Message}";
        }
        if (stream.Documents.Count == 0 || stream.Documents[0].RootNode is not YamlSequenceNode { Children.Count: > 0 and <= Most } list)
            return $"is not a list of 1 to {Most} entries with a name each";
        var faults = new List<string>();
        var entries = new List<ListedInterface>();
        foreach (var node in list.Children)
        {
            string where = $"entry {entries.Count + 1}";
            if (node is not YamlMappingNode mapping)
            {
                faults.Add($"{where} is not a mapping");
                continue;
            }
            entries.Add(Read(mapping, where, faults));
        }
        foreach (var twice in entries.GroupBy(e => e.Name, StringComparer.Ordinal).Where(g => g.Count() > 1 && g.Key.Length > 0))
            faults.Add($"{twice.Key} is there {twice.Count()} times");
        if (faults.Count > 0)
            return string.Join("; ", faults);
        set(entries);
        return null;
    }

    /// <summary>What is wrong with the interfaces in force taken together.</summary>
    public static IEnumerable<string> Faults(AddressServiceOptions options)
    {
        foreach (var relay in options.Interfaces.Where(i => i.Transport == TransportMode.Relay))
        {
            string where = relay.Name is null ? "--transport relay" : $"--interfaces has {relay.Name}, whose transport relay";
            if (relay.RelayServers.Count == 0)
                yield return $"{where} needs relay-servers";
            if (relay.Vlan != 0)
                yield return $"{where} does not go with vlan: it sends no frames of its own";
        }
        foreach (var both in options.Interfaces.Where(i => i.LinkSelection is not null && i.SubnetSelection is not null))
            yield return $"{(both.Name is null ? "" : $"--interfaces has {both.Name} with ")}link-selection and subnet-selection: two ways to say the same, choose one";
        foreach (string fault in Relay6Faults(options))
            yield return fault;
        if (options.Listed.Count == 0)
            yield break;
        if (options.Interface.Device != "auto" || options.Interface.Vlan != 0)
            yield return "--interface and --vlan do not go with a list of interfaces: each of the list has its own";
        foreach (var same in options.Interfaces.Where(i => !i.IsRelayed6 || i.Families.Contains(LeaseFamily.IPv4)).GroupBy(i => (i.Device, i.Vlan, Subnet: Relayed(i))).Where(g => g.Count() > 1))
            yield return $"--interfaces has {string.Join(" and ", same.Select(i => i.Name))}, both of which are {same.Key.Device}, {(same.Key.Subnet is { } subnet ? $"relayed for {subnet}" : $"VLAN {same.Key.Vlan}")}";
        foreach (var same in options.Interfaces.SelectMany(i => i.Namespaces.Select(n => (Namespace: n, i.Name))).GroupBy(i => i.Namespace, StringComparer.Ordinal).Where(g => g.Count() > 1))
            yield return $"--interfaces has the namespace {same.Key} with {string.Join(" and ", same.Select(i => i.Name))}";
    }

    private static IEnumerable<string> Relay6Faults(AddressServiceOptions options)
    {
        foreach (var half in options.Interfaces.Where(i => i.Relay6Servers.Count == 0 && (i.Relay6Address is not null || i.Relay6Link is not null)))
            yield return $"{Where(half)}relay6-address and relay6-link go with relay6-servers";
        if (options.Interfaces.Any(i => i.Relay6Servers.Count > 0) && !options.Interfaces.Any(i => i.IsRelayed6))
            yield return "relay6-servers go with families that include ipv6";
        foreach (var tagged in options.Interfaces.Where(i => i is { Vlan: not 0, IsRelayed6: true, Relay6Address: null }))
            yield return $"{Where(tagged)}relay6-servers and vlan need a relay6-address: a VLAN by its tag has none";
        foreach (var same in options.Interfaces.Where(i => i.IsRelayed6).GroupBy(i => i.Relay6Link?.ToString() ?? $"the link of {i.Relay6Address?.ToString() ?? i.Device}", StringComparer.Ordinal).Where(g => g.Count() > 1))
            yield return $"--interfaces has {string.Join(" and ", same.Select(i => i.Name))}, both of which relay DHCPv6 for {same.Key}";

        static string Where(InterfaceOptions i) => i.Name is null ? "" : $"--interfaces has {i.Name}, whose ";
    }

    /// <summary>Through one interface a relay leases from as many subnets as it likes.</summary>
    private static string? Relayed(InterfaceOptions options) => options.Transport != TransportMode.Relay ? null
        : (options.LinkSelection ?? options.SubnetSelection)?.ToString() ?? $"the subnet of {options.RelayAddress?.ToString() ?? "its address"}";

    private static ListedInterface Read(YamlMappingNode mapping, string where, List<string> faults)
    {
        var values = new List<(InterfaceSetting, string)>();
        var scratch = new InterfaceOptions();
        string name = "";
        foreach (var (keyNode, valueNode) in mapping.Children)
        {
            string key = (keyNode as YamlScalarNode)?.Value ?? "";
            string? value = OptionSources.Scalar(valueNode);
            if (key == "name" && value is not null)
            {
                name = value;
                continue;
            }
            var setting = InterfaceSettings.Find(key);
            if (setting is null)
                faults.Add($"{where}: {key} is unknown");
            else if (value is null)
                faults.Add($"{where}: {key} is neither a value nor a list of values");
            else if (setting.Apply(scratch, value) is { } fault)
                faults.Add($"{where}: {key} {fault}");
            else
                values.Add((setting, value));
        }
        if (name.Length is 0 or > 63 || !name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            faults.Add(name.Length == 0 ? $"{where} has no name" : $"{where}: name '{name}' is not of 1 to 63 letters, digits, hyphens, dots and underscores");
        return new ListedInterface(name, values);
    }
}
