namespace DynamicLb.Contracts.Configuration.Rules;

/// <summary>One look at a configuration: all rules, all faults, and what comes of the objects that have none.</summary>
internal sealed class ConfigPass(ConfigSet set, IReadOnlySet<(string Kind, string Name)> refused)
{
    private readonly List<(ConfigOrigin Origin, ConfigFault Fault)> _faults = [];
    private readonly List<ConfigFault> _notices = [];

    public ConfigSet Set => set;

    public IReadOnlyList<(ConfigOrigin Origin, ConfigFault Fault)> Faults => _faults;

    public IReadOnlyList<ConfigFault> Notices => _notices;

    /// <summary>The objects at fault.</summary>
    public HashSet<ConfigOrigin> Bad { get; } = [];

    public LoadBalancerConfig Run()
    {
        foreach (var origin in Origins().Where(static origin => origin.Unreadable.Count > 0))
            Bad.Add(origin);
        var advertisements = new AdvertisementRules(this);
        var (pools, services) = new SourceRules(this).Read();
        var communities = new CommunityRules(this).Read();
        var profiles = new PeerRules(this).ReadProfiles();
        var peers = new PeerRules(this).ReadPeers(profiles);
        var layer2 = advertisements.ReadLayer2(pools, services);
        var bgp = advertisements.ReadBgp(pools, services, communities, peers, profiles);
        new BgpModeRules(this).Check(pools, bgp, communities, peers);

        // How a source is announced follows from the advertisements.
        AnnouncementProtocol Protocol(string name) =>
            (layer2.Exists(ad => ad.Sources.Contains(name)) ? AnnouncementProtocol.Layer2 : AnnouncementProtocol.None) | (bgp.Exists(ad => ad.Sources.Contains(name)) ? AnnouncementProtocol.Bgp : AnnouncementProtocol.None);
        return new LoadBalancerConfig(
            [.. InOrder(pools.Select(static pool => pool.Value), static pool => pool.Name).Select(pool => pool with { Protocol = Protocol(pool.Name) })],
            [.. InOrder(services.Select(static service => service.Value), static service => service.Name).Select(service => service with { Protocol = Protocol(service.Name) })])
        {
            Layer2Advertisements = [.. layer2.OrderBy(static ad => ad.Name, StringComparer.Ordinal)],
            BgpAdvertisements = [.. bgp.OrderBy(static ad => ad.Name, StringComparer.Ordinal)],
            BgpPeers = [.. peers.Select(static peer => peer.Value).OrderBy(static peer => peer.Name, StringComparer.Ordinal)],
            BfdProfiles = [.. profiles.Values.OrderBy(static profile => profile.Name, StringComparer.Ordinal)],
            Accepted = set,
        };
    }

    /// <summary>Notes a fault.</summary>
    /// <param name="origin">The object.</param>
    /// <param name="path">Path in its spec; empty for its name.</param>
    /// <param name="reason">What is wrong.</param>
    public void Fault(ConfigOrigin origin, string path, string reason)
    {
        Bad.Add(origin);
        string field = Spell(origin, path);
        if (!origin.Unreadable.Contains(field))
            _faults.Add((origin, new ConfigFault(origin.Title, field, origin.Line?.Invoke(field) ?? 0, reason) { File = origin.File }));
    }

    /// <summary>Notes what is right, but perhaps not what was meant.</summary>
    public void Notice(ConfigOrigin origin, string path, string reason)
    {
        string field = Spell(origin, path);
        _notices.Add(new ConfigFault(origin.Title, field, origin.Line?.Invoke(field) ?? 0, reason) { File = origin.File });
    }

    /// <summary>Whether a source of that name was refused.</summary>
    public bool IsRefusedSource(string name) => refused.Contains(("IPAddressPool", name)) || refused.Contains(("AddressService", name));

    /// <summary>Why a reference to an object ends nowhere: because it was refused, in this look or an earlier one, or because there is none.</summary>
    public string Absent(string kind, string name) =>
        refused.Contains((kind, name)) || Bad.Any(origin => origin.Kind == kind && origin.Name == name) ? "is refused" : "does not exist";

    /// <summary>Checks a list of selectors: each of them, and that none is there twice.</summary>
    public void Selectors(ConfigOrigin origin, string path, IReadOnlyList<LabelSelector>? selectors)
    {
        var seen = new HashSet<string>();
        for (int i = 0; i < (selectors?.Count ?? 0); i++)
        {
            var selector = selectors![i] ?? new LabelSelector();
            foreach (var (inner, reason) in selector.Faults())
                Fault(origin, $"{path}[{i}].{inner}", reason);
            if (!seen.Add(selector.Canonical))
                Fault(origin, $"{path}[{i}]", "duplicate definition of a selector");
        }
    }

    /// <summary>Checks that no text of a list is there twice, and none is empty.</summary>
    public void Distinct(ConfigOrigin origin, string path, IReadOnlyList<string>? texts, string what)
    {
        var seen = new HashSet<string>();
        for (int i = 0; i < (texts?.Count ?? 0); i++)
        {
            if (string.IsNullOrEmpty(texts![i]))
                Fault(origin, $"{path}[{i}]", "is empty");
            else if (!seen.Add(texts[i]))
                Fault(origin, $"{path}[{i}]", $"duplicate definition of {what} \"{texts[i]}\"");
        }
    }

    /// <summary>Checks that objects of a kind have names, and none has that of another.</summary>
    public void Names<T>(IEnumerable<ConfigItem<T>> items)
    {
        var seen = new HashSet<string>();
        foreach (var item in items)
        {
            if (item.Name.Length == 0)
                Fault(item.Origin, "", "is required");
            else if (!seen.Add(item.Name))
                Fault(item.Origin, "", $"a {item.Origin.Kind} '{item.Name}' already exists");
        }
    }

    /// <summary>Whether there may be a node that both selectors choose.</summary>
    public bool ShareNode(IReadOnlyList<LabelSelector>? left, IReadOnlyList<LabelSelector>? right)
    {
        if (set.Nodes is { Count: > 0 } nodes)
            return nodes.Values.Any(labels => LabelSelector.AnyMatches(left, labels) && LabelSelector.AnyMatches(right, labels));
        return left is null or { Count: 0 } || right is null or { Count: 0 } || left.Intersect(right).Any();
    }

    private static string Spell(ConfigOrigin origin, string path) =>
        path.Length == 0 ? (origin.Spell is null ? "metadata.name" : "name") : origin.Spell?.Invoke(path) ?? $"spec.{path}";

    private IEnumerable<T> InOrder<T>(IEnumerable<T> sources, Func<T, string> name) => set.KeepsOrder ? sources : sources.OrderBy(name, StringComparer.Ordinal);

    private IEnumerable<ConfigOrigin> Origins() =>
    [
        .. set.Pools.Select(static item => item.Origin), .. set.AddressServices.Select(static item => item.Origin),
        .. set.L2Advertisements.Select(static item => item.Origin), .. set.BgpAdvertisements.Select(static item => item.Origin),
        .. set.BgpPeers.Select(static item => item.Origin), .. set.BfdProfiles.Select(static item => item.Origin), .. set.Communities.Select(static item => item.Origin),
    ];
}

/// <summary>What came of an object, and where it was read.</summary>
internal sealed record Read<T>(ConfigOrigin Origin, T Value, IReadOnlyDictionary<string, string>? Labels = null);
