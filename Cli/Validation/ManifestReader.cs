using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Cli.Validation;

/// <summary>
/// Reads manifests as they would be applied: resources of all files make one configuration. Secrets and Nodes among them are used to check what refers to them; other kinds are passed by.
/// A document without kind is a configuration file, and so is the key <c>config</c> of a ConfigMap.
/// </summary>
internal sealed class ManifestReader(BgpRules rules)
{
    private static readonly string[] SecretFields = ["data", "stringData"];

    private readonly List<ConfigFault> _faults = [];
    private readonly List<ConfigFault> _notices = [];
    private readonly List<ConfigItem<IPAddressPoolSpec>> _pools = [];
    private readonly List<ConfigItem<AddressServiceSpec>> _services = [];
    private readonly List<ConfigItem<L2AdvertisementSpec>> _layer2 = [];
    private readonly List<ConfigItem<BGPAdvertisementSpec>> _bgp = [];
    private readonly List<ConfigItem<BGPPeerSpec>> _peers = [];
    private readonly List<ConfigItem<BFDProfileSpec>> _profiles = [];
    private readonly List<ConfigItem<CommunitySpec>> _communities = [];
    private readonly Dictionary<string, SecretShape> _secrets = [];
    private readonly Dictionary<string, IReadOnlyDictionary<string, string>?> _nodes = [];

    /// <summary>Objects read so far, those of configuration files among them.</summary>
    public int Objects { get; private set; }

    /// <summary>Reads one file's text.</summary>
    public void Read(string file, string text)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException e)
        {
            _faults.Add(new ConfigFault("", "", (int)e.Start.Line, $"not YAML: {e.Message}") { File = file });
            return;
        }
        foreach (var document in stream.Documents)
            ReadDocument(file, document.RootNode);
    }

    /// <summary>Judges what was read.</summary>
    public (IReadOnlyList<ConfigFault> Faults, IReadOnlyList<ConfigFault> Notices) Judge()
    {
        var result = ConfigValidator.Validate(
            new ConfigSet
            {
                Pools = _pools,
                AddressServices = _services,
                L2Advertisements = _layer2,
                BgpAdvertisements = _bgp,
                BgpPeers = _peers,
                BfdProfiles = _profiles,
                Communities = _communities,
                BgpRules = rules,
                Nodes = _nodes.Count > 0 ? _nodes : null,
                Secrets = _secrets.Count > 0 ? _secrets : null,
            },
            null, _faults);
        return (result.Faults, [.. _notices, .. result.Notices]);
    }

    private void ReadDocument(string file, YamlNode root)
    {
        if (SchemaCheck.IsNull(root))
            return;
        if (root is not YamlMappingNode mapping)
        {
            _faults.Add(new ConfigFault("", "", (int)root.Start.Line, "is neither a resource nor a configuration") { File = file });
            return;
        }
        string apiVersion = Text(mapping, "apiVersion"), kind = Text(mapping, "kind");
        if (apiVersion.Length == 0 && kind.Length == 0)
        {
            Take(file, ConfigFileReader.Read(mapping, rules: rules));
            Objects++;
        }
        else if (kind == "List" && Child(mapping, "items") is YamlSequenceNode items)
        {
            foreach (var item in items)
                ReadDocument(file, item);
        }
        else if ((apiVersion, kind) == ("v1", "ConfigMap") && Child(mapping, "data") is YamlMappingNode data && Child(data, "config") is YamlScalarNode config)
        {
            Take(file, ConfigFileReader.Read(config.Value ?? "", rules: rules));
            Objects++;
        }
        else if ((apiVersion, kind) == ("v1", "Secret"))
        {
            string[] keys = [.. SecretFields.SelectMany(field => (Child(mapping, field) as YamlMappingNode)?.Children.Keys ?? []).Select(static key => key.ToString())];
            _secrets[Name(mapping)] = new SecretShape(Text(mapping, "type") is { Length: > 0 } type ? type : "Opaque", keys);
        }
        else if ((apiVersion, kind) == ("v1", "Node"))
        {
            _nodes[Name(mapping)] = Labels(mapping);
        }
        else if (apiVersion.StartsWith(ConfigResourceTypes.MetalLbGroup + "/", StringComparison.Ordinal) || apiVersion.StartsWith(ConfigResourceTypes.OwnGroup + "/", StringComparison.Ordinal))
        {
            ReadResource(file, mapping, apiVersion, kind);
        }
    }

    private void ReadResource(string file, YamlMappingNode mapping, string apiVersion, string kind)
    {
        Objects++;
        string title = $"{kind} '{Name(mapping)}'";
        if (Definitions.Find(apiVersion, kind) is not { } schema)
        {
            var versions = Definitions.VersionsOf(apiVersion, kind);
            string reason = versions.Count == 0 ? $"there is no kind {kind} in {apiVersion}" : $"there is no {apiVersion} of it, but {string.Join(", ", versions)}";
            _faults.Add(new ConfigFault(title, versions.Count == 0 ? "kind" : "apiVersion", (int)mapping.Start.Line, reason) { File = file });
            return;
        }
        var faults = SchemaCheck.Check(mapping, schema);
        _faults.AddRange(faults.Select(fault => new ConfigFault(title, fault.Path, fault.Line, fault.Reason) { File = file }));
        var origin = new ConfigOrigin(kind, Name(mapping), title)
        {
            File = file,
            Line = path => LineOf(mapping, path),
            Unreadable = faults.Select(static fault => fault.Path).ToHashSet(),
        };
        var labels = Labels(mapping);
        var types = ConfigJsonContext.Default;
        switch (kind)
        {
            case "IPAddressPool": Add(_pools, types.IPAddressPoolSpec); break;
            case "AddressService": Add(_services, types.AddressServiceSpec); break;
            case "L2Advertisement": Add(_layer2, types.L2AdvertisementSpec); break;
            case "BGPAdvertisement": Add(_bgp, types.BGPAdvertisementSpec); break;
            case "BGPPeer": Add(_peers, types.BGPPeerSpec); break;
            case "BFDProfile": Add(_profiles, types.BFDProfileSpec); break;
            case "Community": Add(_communities, types.CommunitySpec); break;
            default: break;
        }

        void Add<T>(List<ConfigItem<T>> items, JsonTypeInfo<T> type)
            where T : new()
        {
            T? spec = default;
            try
            {
                spec = Child(mapping, "spec") is { } node ? JsonSerializer.Deserialize(ToJson(node), type) : default;
            }
            catch (JsonException)
            {
                // The schema has said what is wrong.
            }
            items.Add(new ConfigItem<T>(origin, spec ?? new T(), labels));
        }
    }

    private void Take(string file, ConfigResult result)
    {
        _faults.AddRange(result.Faults.Select(fault => fault with { File = file }));
        _notices.AddRange(result.Notices.Select(notice => notice with { File = file }));
    }

    /// <summary>The line of a path such as <c>spec.addresses[1]</c>, or of the nearest thing above it.</summary>
    private static int LineOf(YamlNode node, string path)
    {
        int line = (int)node.Start.Line;
        foreach (string part in path.Replace("[", ".", StringComparison.Ordinal).Replace("]", "", StringComparison.Ordinal).Split('.'))
        {
            YamlNode? next = node switch
            {
                YamlMappingNode mapping => Child(mapping, part),
                YamlSequenceNode list when int.TryParse(part, out int index) && index < list.Children.Count => list.Children[index],
                _ => null,
            };
            if (next is null)
                break;
            (node, line) = (next, (int)next.Start.Line);
        }
        return line;
    }

    private static JsonNode? ToJson(YamlNode node)
    {
        switch (node)
        {
            case YamlMappingNode mapping:
                var json = new JsonObject();
                foreach (var (key, child) in mapping.Children)
                    json[key.ToString()] = ToJson(child);
                return json;
            case YamlSequenceNode list:
                return new JsonArray([.. list.Children.Select(ToJson)]);
            case YamlScalarNode scalar when SchemaCheck.IsNull(scalar):
                return null;
            case YamlScalarNode scalar when SchemaCheck.AsBool(scalar) is { } truth:
                return JsonValue.Create(truth);
            case YamlScalarNode scalar when SchemaCheck.AsInteger(scalar) is { } number:
                return JsonValue.Create(number);
            default:
                return JsonValue.Create(((YamlScalarNode)node).Value);
        }
    }

    private static Dictionary<string, string>? Labels(YamlMappingNode mapping) =>
        Child(mapping, "metadata") is YamlMappingNode metadata && Child(metadata, "labels") is YamlMappingNode labels
            ? labels.Children.ToDictionary(static entry => entry.Key.ToString(), static entry => entry.Value.ToString())
            : null;

    private static string Name(YamlMappingNode mapping) => Child(mapping, "metadata") is YamlMappingNode metadata ? Text(metadata, "name") : "";

    private static string Text(YamlMappingNode mapping, string key) => (Child(mapping, key) as YamlScalarNode)?.Value ?? "";

    private static YamlNode? Child(YamlMappingNode mapping, string key) => mapping.Children.TryGetValue(new YamlScalarNode(key), out var child) ? child : null;
}
