using System.Text.RegularExpressions;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Contracts.Resources;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Contracts.Configuration;

/// <summary>
/// Reads the configuration file: MetalLB's ConfigMap format (before 0.13) with <c>address-services</c> added. It is judged as resources are (<see cref="ConfigValidator"/>); what this
/// reader adds is the form: unknown keys and values of the wrong type are faults of their object.
/// </summary>
public static partial class ConfigFileReader
{
    private static readonly Dictionary<string, string> Spellings = new()
    {
        ["autoAssign"] = "auto-assign",
        ["avoidBuggyIPs"] = "avoid-buggy-ips",
        ["tokenSecretRef"] = "token-secret",
        ["timeouts.request"] = "timeout",
        ["myASN"] = "my-asn",
        ["peerASN"] = "peer-asn",
        ["dynamicASN"] = "dynamic-asn",
        ["localASN"] = "local-asn",
        ["routerID"] = "router-id",
        ["ebgpMultiHop"] = "ebgp-multihop",
        ["disableMP"] = "disable-mp",
        ["localPref"] = "localpref",
        ["aggregationLengthV6"] = "aggregation-length-v6",
    };

    /// <summary>Reads a file's text.</summary>
    /// <param name="yaml">The text.</param>
    /// <param name="previous">What is in force, or null.</param>
    /// <param name="rules">Restrictions on BGP.</param>
    public static ConfigResult Read(string yaml, LoadBalancerConfig? previous = null, BgpRules rules = BgpRules.Own)
    {
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
        return Read(root, previous, rules);
    }

    /// <summary>Reads a document.</summary>
    /// <param name="root">Its sections.</param>
    /// <param name="previous">What is in force, or null.</param>
    /// <param name="rules">Restrictions on BGP.</param>
    public static ConfigResult Read(YamlMappingNode root, LoadBalancerConfig? previous = null, BgpRules rules = BgpRules.Own)
    {
        var reader = new Reader(root);
        var set = reader.Read() with { BgpRules = rules, KeepsOrder = true };
        // A section that has no list in it is nothing: that it takes the place of what was in force would be too much.
        if (reader.Faults.Exists(static fault => fault.Object.Length == 0 && fault.Reason == ConfigSection.NoList))
            return new ConfigResult(null, reader.Faults, []);
        var result = ConfigValidator.Validate(set, previous, reader.Faults);
        return result with { Notices = [.. reader.Notices, .. result.Notices] };
    }

    private static string Spell(string path)
    {
        string rest = path;
        foreach (var (camel, kebab) in Spellings)
        {
            if (rest == camel || rest.StartsWith(camel + ".", StringComparison.Ordinal) || rest.StartsWith(camel + "[", StringComparison.Ordinal))
                return kebab + Spell(rest[camel.Length..]);
        }
        return Capital().Replace(rest, static match => "-" + match.Value.ToLowerInvariant());
    }

    [GeneratedRegex("[A-Z]", RegexOptions.CultureInvariant)]
    private static partial Regex Capital();

    private sealed class Reader(YamlMappingNode root)
    {
        private readonly List<ConfigItem<L2AdvertisementSpec>> _layer2 = [];
        private readonly List<ConfigItem<BGPAdvertisementSpec>> _bgp = [];

        public List<ConfigFault> Faults { get; } = [];

        public List<ConfigFault> Notices { get; } = [];

        public ConfigSet Read()
        {
            var document = new ConfigSection("", root, Faults);
            var pools = document.Items("address-pools").Select(section => Item(section, "IPAddressPool", null, ReadPool)).ToList();
            var services = document.Items("address-services").Select(section => Item(section, "AddressService", null, ReadService)).ToList();
            var peers = document.Items("peers").Select((section, index) => Item(section, "BGPPeer", $"peer{index + 1}", ReadPeer)).ToList();
            var profiles = document.Items("bfd-profiles").Select(section => Item(section, "BFDProfile", null, ReadProfile)).ToList();
            var communities = new List<ConfigItem<CommunitySpec>>();
            if (document.Child("bgp-communities") is { } aliases)
                communities.Add(Item(aliases, "Community", "communities", ReadCommunities));
            document.RefuseUnknown();
            return new ConfigSet
            {
                Pools = pools,
                AddressServices = services,
                L2Advertisements = _layer2,
                BgpAdvertisements = _bgp,
                BgpPeers = peers,
                BfdProfiles = profiles,
                Communities = communities,
            };
        }

        /// <summary>Reads one object. What could not be read of it is found among the faults that came meanwhile.</summary>
        private ConfigItem<T> Item<T>(ConfigSection section, string kind, string? name, Func<ConfigSection, string, T> read)
        {
            int before = Faults.Count;
            name ??= section.Name();
            var spec = read(section, name);
            if (kind != "Community")
                section.RefuseUnknown();
            var origin = new ConfigOrigin(kind, name, section.Title)
            {
                Line = section.LineOf,
                Spell = Spell,
                Unreadable = Faults.Skip(before).Select(static fault => fault.Field).ToHashSet(),
            };
            return new ConfigItem<T>(origin, spec);
        }

        private IPAddressPoolSpec ReadPool(ConfigSection section, string name)
        {
            var spec = new IPAddressPoolSpec
            {
                AutoAssign = section.Bool("auto-assign"),
                AvoidBuggyIPs = section.Bool("avoid-buggy-ips"),
                Addresses = [.. section.Texts("addresses")],
                ServiceAllocation = Allocation(section),
            };
            Announce(section, name);
            return spec;
        }

        private AddressServiceSpec ReadService(ConfigSection section, string name)
        {
            var secret = section.Child("token-secret");
            string? ca = section.Text("ca-file"), certificate = section.Text("client-certificate-file"), key = section.Text("client-key-file");
            var spec = new AddressServiceSpec
            {
                Url = section.Text("url"),
                AutoAssign = section.Bool("auto-assign"),
                AvoidBuggyIPs = section.Bool("avoid-buggy-ips"),
                Cidrs = [.. section.Texts("cidrs")],
                Families = section.Texts("families").ToList() is { Count: > 0 } families ? families : null,
                Interface = section.Text("interface"),
                OnLeaseChange = section.Text("on-lease-change"),
                AnnouncedMac = section.Text("announced-mac"),
                Concurrency = section.Number("concurrency", long.MinValue, long.MaxValue),
                ServiceAllocation = Allocation(section),
                TokenSecretRef = secret is null ? null : new SecretKeySpec { Name = secret.Text("name"), Key = secret.Text("key") },
                Timeouts = new AddressServiceTimeouts { Request = section.Text("timeout") },
                Files = new AddressServiceFiles(
                    section.Text("token-file"), ca is null && certificate is null && key is null ? null : new AddressServiceTls(ca, certificate, key)),
            };
            secret?.RefuseUnknown();
            Announce(section, name);
            return spec;
        }

        /// <summary>What the file says of a pool becomes advertisements, as in MetalLB's converter.</summary>
        private void Announce(ConfigSection section, string name)
        {
            string? protocol = section.Text("protocol");
            if (protocol is not ("layer2" or "bgp"))
                section.Fault("protocol", protocol is null ? "is required: layer2 or bgp" : $"'{protocol}' is neither layer2 nor bgp");
            var entries = section.Items("bgp-advertisements");
            if (name.Length == 0)
                return;
            string[] sources = [name];
            if (protocol == "layer2")
            {
                var origin = new ConfigOrigin("L2Advertisement", $"l2advertisement{_layer2.Count + 1}", section.Title) { Line = section.LineOf, Spell = Spell };
                _layer2.Add(new ConfigItem<L2AdvertisementSpec>(origin, new L2AdvertisementSpec { IPAddressPools = sources }));
            }
            foreach (var entry in entries)
            {
                _bgp.Add(Item(entry, "BGPAdvertisement", $"bgpadvertisement{_bgp.Count + 1}", (ad, _) => new BGPAdvertisementSpec
                {
                    AggregationLength = (int?)ad.Number("aggregation-length", int.MinValue, int.MaxValue),
                    AggregationLengthV6 = (int?)ad.Number("aggregation-length-v6", int.MinValue, int.MaxValue),
                    LocalPref = ad.Number("localpref", long.MinValue, long.MaxValue),
                    Communities = [.. ad.Texts("communities")],
                    IPAddressPools = sources,
                }));
            }
            if (protocol == "bgp" && entries.Count == 0)
            {
                var origin = new ConfigOrigin("BGPAdvertisement", $"bgpadvertisement{_bgp.Count + 1}", section.Title) { Line = section.LineOf, Spell = Spell };
                _bgp.Add(new ConfigItem<BGPAdvertisementSpec>(origin, new BGPAdvertisementSpec { IPAddressPools = sources }));
            }
        }

        private static ServiceAllocationSpec? Allocation(ConfigSection section)
        {
            if (section.Child("service-allocation") is not { } allocation)
                return null;
            var spec = new ServiceAllocationSpec
            {
                Priority = allocation.Number("priority", long.MinValue, long.MaxValue),
                Namespaces = [.. allocation.Texts("namespaces")],
                NamespaceSelectors = Selectors(allocation, "namespace-selectors"),
                ServiceSelectors = Selectors(allocation, "service-selectors"),
            };
            allocation.RefuseUnknown();
            return spec;
        }

        private static List<LabelSelector> Selectors(ConfigSection section, string field)
        {
            var selectors = new List<LabelSelector>();
            foreach (var item in section.Items(field))
            {
                selectors.Add(new LabelSelector
                {
                    MatchLabels = item.Map("match-labels"),
                    MatchExpressions =
                    [
                        .. item.Items("match-expressions").Select(static expression =>
                        {
                            var requirement = new LabelRequirement { Key = expression.Text("key"), Operator = expression.Text("operator"), Values = [.. expression.Texts("values")] };
                            expression.RefuseUnknown();
                            return requirement;
                        }),
                    ],
                });
                item.RefuseUnknown();
            }
            return selectors;
        }

        private BGPPeerSpec ReadPeer(ConfigSection section, string name) => new()
        {
            MyASN = section.Number("my-asn", 0, uint.MaxValue) ?? 0,
            PeerASN = section.Number("peer-asn", 0, uint.MaxValue),
            PeerAddress = section.Text("peer-address"),
            SourceAddress = section.Text("source-address"),
            PeerPort = (int?)section.Number("peer-port", 0, ushort.MaxValue),
            HoldTime = section.Text("hold-time") ?? "90s",
            KeepaliveTime = section.Text("keepalive-time"),
            RouterID = section.Text("router-id"),
            NodeSelectors = Selectors(section, "node-selectors"),
            Password = section.Text("password"),
            BfdProfile = section.Text("bfd-profile"),
            EbgpMultiHop = section.Bool("ebgp-multihop"),
            DynamicASN = section.Text("dynamic-asn"),
            LocalASN = section.Number("local-asn", 1, uint.MaxValue),
            Interface = section.Text("interface"),
            ConnectTime = section.Text("connect-time"),
            PasswordSecret = section.Text("password-secret") is { } secret ? new SecretName { Name = secret } : null,
            EnableGracefulRestart = section.Bool("enable-graceful-restart"),
            Vrf = section.Text("vrf"),
            DisableMP = section.Bool("disable-mp"),
            DualStackAddressFamily = section.Bool("dual-stack-address-family"),
        };

        private static BFDProfileSpec ReadProfile(ConfigSection section, string name) => new()
        {
            ReceiveInterval = (int?)section.Number("receive-interval", int.MinValue, int.MaxValue),
            TransmitInterval = (int?)section.Number("transmit-interval", int.MinValue, int.MaxValue),
            DetectMultiplier = (int?)section.Number("detect-multiplier", int.MinValue, int.MaxValue),
            EchoInterval = (int?)section.Number("echo-interval", int.MinValue, int.MaxValue),
            EchoMode = section.Bool("echo-mode"),
            PassiveMode = section.Bool("passive-mode"),
            MinimumTtl = (int?)section.Number("minimum-ttl", int.MinValue, int.MaxValue),
        };

        private static CommunitySpec ReadCommunities(ConfigSection section, string name) => new()
        {
            Communities = [.. section.Keys.Select(key => new CommunityAlias { Name = key, Value = section.Text(key) })],
        };
    }
}
