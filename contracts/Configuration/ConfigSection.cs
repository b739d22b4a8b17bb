using System.Globalization;
using System.Text.RegularExpressions;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Contracts.Configuration;

/// <summary>A mapping of the configuration file that is being read: takes its fields one by one and notes what is wrong with them.</summary>
internal sealed partial class ConfigSection(string title, YamlMappingNode node, List<ConfigFault> faults)
{
    /// <summary>Said of a section that should be a list.</summary>
    public const string NoList = "must be a list";

    private readonly HashSet<string> _taken = [];

    public string Title { get; private set; } = title;

    public IEnumerable<string> Keys => node.Children.Keys.OfType<YamlScalarNode>().Select(static key => key.Value ?? "");

    public int Line => (int)node.Start.Line;

    public void Fault(string field, string reason) => faults.Add(new ConfigFault(Title, field, LineOf(field), reason));

    private bool HasFault(string field) => faults.Exists(fault => fault.Object == Title && fault.Field == field);

    public YamlNode? Take(string field)
    {
        _taken.Add(field);
        return node.Children.TryGetValue(new YamlScalarNode(field), out var child) && child is not YamlScalarNode { Value: null or "" } ? child : null;
    }

    public string? Text(string field)
    {
        switch (Take(field))
        {
            case null:
                return null;
            case YamlScalarNode scalar:
                return scalar.Value;
            default:
                Fault(field, "must be a single value");
                return null;
        }
    }

    public string Required(string field)
    {
        if (Text(field) is { } text)
            return text;
        if (!HasFault(field))
            Fault(field, "is required");
        return "";
    }

    /// <summary>The field <c>name</c>, which also becomes part of the title of later faults.</summary>
    public string Name()
    {
        string name = Required("name");
        if (name.Length > 0 && !NamePattern().IsMatch(name))
            Fault("name", $"'{name}' has other characters than letters, digits, '-', '_' and '.', or more than 63 of them");
        if (name.Length > 0)
            Title = $"{Title} '{name}'";
        return name;
    }

    public bool? Bool(string field)
    {
        switch (Text(field)?.ToLowerInvariant())
        {
            case null:
                return null;
            case "true" or "yes" or "on":
                return true;
            case "false" or "no" or "off":
                return false;
            case var other:
                Fault(field, $"'{other}' is neither true nor false");
                return null;
        }
    }

    /// <summary>A whole number between two.</summary>
    public long? Number(string field, long least, long most)
    {
        if (Text(field) is not { } text)
            return null;
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) && number >= least && number <= most)
            return number;
        Fault(field, $"'{text}' is not a whole number{(least == long.MinValue ? "" : string.Create(CultureInfo.InvariantCulture, $" from {least} to {most}"))}");
        return null;
    }

    /// <summary>A mapping of texts.</summary>
    public Dictionary<string, string> Map(string field)
    {
        var map = new Dictionary<string, string>();
        if (Child(field) is { } child)
        {
            foreach (string key in child.Keys)
                map[key] = child.Text(key) ?? "";
        }
        return map;
    }

    public IEnumerable<string> Texts(string field)
    {
        switch (Take(field))
        {
            case null:
                yield break;
            case YamlSequenceNode list:
                foreach (var item in list.Children)
                {
                    if (item is YamlScalarNode { Value: { Length: > 0 } text })
                        yield return text;
                    else
                        Fault(field, "has an entry that is not a single value");
                }
                break;
            default:
                Fault(field, NoList);
                break;
        }
    }

    public ConfigSection? Child(string field)
    {
        switch (Take(field))
        {
            case null:
                return null;
            case YamlMappingNode mapping:
                return new ConfigSection(Title.Length > 0 ? $"{Title}.{field}" : field, mapping, faults);
            default:
                Fault(field, "must be a mapping");
                return null;
        }
    }

    /// <summary>The mappings in a list.</summary>
    public List<ConfigSection> Items(string field)
    {
        var items = new List<ConfigSection>();
        switch (Take(field))
        {
            case null:
                break;
            case YamlSequenceNode list:
                for (int i = 0; i < list.Children.Count; i++)
                {
                    string entry = string.Create(CultureInfo.InvariantCulture, $"{Title}{(Title.Length > 0 ? "." : "")}{field}[{i}]");
                    if (list.Children[i] is YamlMappingNode mapping)
                        items.Add(new ConfigSection(entry, mapping, faults));
                    else
                        faults.Add(new ConfigFault(entry, "", (int)list.Children[i].Start.Line, "must be a mapping"));
                }
                break;
            default:
                Fault(field, NoList);
                break;
        }
        return items;
    }

    /// <summary>Whatever was not taken is a misspelling that would otherwise go unnoticed.</summary>
    public void RefuseUnknown()
    {
        foreach (var key in node.Children.Keys.OfType<YamlScalarNode>())
        {
            if (!_taken.Contains(key.Value ?? ""))
                faults.Add(new ConfigFault(Title, key.Value ?? "", (int)key.Start.Line, "unknown field"));
        }
    }

    /// <summary>The line of a field, or of the first part of a path; that of the mapping when it is not there.</summary>
    public int LineOf(string path)
    {
        string field = path.Split('.', '[')[0];
        return (int)(node.Children.TryGetValue(new YamlScalarNode(field), out var child) ? child.Start.Line : node.Start.Line);
    }

    [GeneratedRegex("^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex NamePattern();
}
