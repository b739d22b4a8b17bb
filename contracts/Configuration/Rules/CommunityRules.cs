namespace DynamicLb.Contracts.Configuration.Rules;

/// <summary>Rules of the aliases of communities, which are known everywhere.</summary>
internal sealed class CommunityRules(ConfigPass pass)
{
    public Dictionary<string, (ConfigOrigin Origin, BgpCommunity Value)> Read()
    {
        pass.Names(pass.Set.Communities);
        var aliases = new Dictionary<string, (ConfigOrigin, BgpCommunity)>();
        foreach (var item in pass.Set.Communities)
        {
            for (int i = 0; i < (item.Spec.Communities?.Count ?? 0); i++)
            {
                var (name, value) = (item.Spec.Communities![i].Name ?? "", item.Spec.Communities[i].Value ?? "");
                var reason = BgpCommunity.TryParse(value, out var community, out _);
                if (reason is not null)
                    pass.Fault(item.Origin, $"communities[{i}].value", reason);
                if (name.Length == 0)
                    pass.Fault(item.Origin, $"communities[{i}].name", "is required");
                else if (aliases.ContainsKey(name))
                    pass.Fault(item.Origin, $"communities[{i}].name", $"duplicate definition of community \"{name}\"");
                else if (reason is null)
                    aliases[name] = (item.Origin, community);
            }
        }
        return aliases;
    }
}
