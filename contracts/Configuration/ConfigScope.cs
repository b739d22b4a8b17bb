namespace DynamicLb.Contracts.Configuration;

/// <summary>
/// What of the configuration a program answers for, as in MetalLB: the controller for pools, address services and communities; a speaker for everything, but of sessions and announcements by
/// BGP only for those of its own node, so that what is wrong with one node's peers is that node's alone. Immutable.
/// </summary>
public sealed class ConfigScope
{
    private static readonly string[] _controllerKinds = ["IPAddressPool", "AddressService", "Community"];
    private readonly string? _node;

    private ConfigScope(string? node, bool checksPasswords) => (_node, ChecksPasswords) = (node, checksPasswords);

    /// <summary>That of the controller.</summary>
    public static ConfigScope Controller { get; } = new(null, false);

    /// <summary>That of the speaker of a node.</summary>
    /// <param name="node">The node.</param>
    /// <param name="checksPasswords">Whether it needs the passwords of peers.</param>
    public static ConfigScope OfSpeaker(string node, bool checksPasswords = true) => new(node, checksPasswords);

    /// <summary>Whether passwords of peers are looked at.</summary>
    public bool ChecksPasswords { get; }

    /// <summary>What is judged of all resources.</summary>
    public ConfigResources Of(ConfigResources all)
    {
        if (_node is null)
            return all;
        var own = all.Nodes?.FirstOrDefault(node => node.Metadata.Name == _node);
        bool Concerns(IReadOnlyList<LabelSelector>? selectors) =>
            LabelSelector.AnyMatches(selectors, own?.Metadata.Labels) || selectors!.Any(static selector => selector.Faults().Any());
        return all with
        {
            BgpPeers = [.. all.BgpPeers.Where(peer => Concerns(peer.Spec.NodeSelectors))],
            BgpAdvertisements = [.. all.BgpAdvertisements.Where(ad => Concerns(ad.Spec.NodeSelectors))],
            Nodes = own is null ? [] : [own],
        };
    }

    /// <summary>Whether a fault is ours to tell.</summary>
    public bool Tells(ConfigFault fault) => _node is not null || Array.Exists(_controllerKinds, kind => fault.Object.StartsWith(kind + " ", StringComparison.Ordinal));
}
