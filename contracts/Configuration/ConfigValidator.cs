using System.Collections.Frozen;
using DynamicLb.Contracts.Configuration.Rules;

namespace DynamicLb.Contracts.Configuration;

/// <summary>
/// The one judgement of a configuration, whichever reader it came from. Every fault is found at once, with its object and field. An object at fault is refused, and nothing else: what
/// it was when it was last good stays in force where there is such a thing and the rest still agrees with it, else it is left out. Pure.
/// </summary>
public static class ConfigValidator
{
    /// <summary>Judges a configuration.</summary>
    /// <param name="set">The configuration.</param>
    /// <param name="previous">What is in force, or null.</param>
    /// <param name="unreadable">Faults found in reading, which are listed first.</param>
    public static ConfigResult Validate(ConfigSet set, LoadBalancerConfig? previous = null, IReadOnlyList<ConfigFault>? unreadable = null)
    {
        var faults = new List<ConfigFault>(unreadable ?? []);
        var substitution = new Substitution(previous?.Accepted);
        for (var current = set; ; current = current.Select(substitution))
        {
            var pass = new ConfigPass(current, substitution.Refused);
            var config = pass.Run();
            foreach (var (origin, fault) in pass.Faults)
            {
                // What is wrong with a former state has a cause that is told already.
                if (!substitution.IsSubstitute(origin) && !faults.Contains(fault))
                    faults.Add(fault);
            }
            if (pass.Bad.Count == 0)
                return new ConfigResult(WithRefused(config, set), faults, pass.Notices);
            substitution.Refuse(pass.Bad);
        }
    }

    private static LoadBalancerConfig WithRefused(LoadBalancerConfig config, ConfigSet set) => new(config.AddressPools, config.AddressServices)
    {
        RefusedSources = set.Pools.Select(static item => item.Name).Concat(set.AddressServices.Select(static item => item.Name))
            .Where(name => name.Length > 0 && config.Find(name) is null).ToFrozenSet(),
        Layer2Advertisements = config.Layer2Advertisements,
        BgpAdvertisements = config.BgpAdvertisements,
        BgpPeers = config.BgpPeers,
        BfdProfiles = config.BfdProfiles,
        Accepted = config.Accepted,
    };

    /// <summary>An object that is refused becomes what it was before; that, when it is refused too, nothing.</summary>
    private sealed class Substitution(ConfigSet? previous) : ConfigSet.ISubstitution
    {
        private readonly HashSet<ConfigOrigin> _bad = [];
        private readonly HashSet<ConfigOrigin> _substitutes = [];

        public HashSet<(string Kind, string Name)> Refused { get; } = [];

        public bool IsSubstitute(ConfigOrigin origin) => _substitutes.Contains(origin);

        public void Refuse(IEnumerable<ConfigOrigin> origins)
        {
            foreach (var origin in origins)
            {
                _bad.Add(origin);
                Refused.Add((origin.Kind, origin.Name));
            }
        }

        public ConfigItem<T>? For<T>(ConfigItem<T> item)
        {
            if (!_bad.Contains(item.Origin))
                return item;
            if (_substitutes.Contains(item.Origin) || item.Name.Length == 0)
                return null;
            var before = previous?.Of<T>().FirstOrDefault(candidate => candidate.Name == item.Name);
            if (before is null || _bad.Contains(before.Origin) || !_substitutes.Add(before.Origin))
                return null;
            return before;
        }
    }
}
