using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Cli.Validation;

/// <summary>Checks a YAML document against a structural schema as the API server does; unknown fields, which it drops in silence, are faults here.</summary>
internal static class SchemaCheck
{
    /// <summary>What is wrong: path, line, reason.</summary>
    public static List<(string Path, int Line, string Reason)> Check(YamlNode value, YamlMappingNode schema)
    {
        var faults = new List<(string, int, string)>();
        Check(value, schema, "", faults);
        return faults;
    }

    /// <summary>Whether a scalar stands for null.</summary>
    public static bool IsNull(YamlNode node) => node is YamlScalarNode { Style: ScalarStyle.Plain, Value: null or "" or "~" or "null" or "Null" or "NULL" };

    /// <summary>Whether a scalar is a truth value; YAML 1.1's further spellings count, as for kubectl.</summary>
    public static bool? AsBool(YamlScalarNode scalar) => scalar.Style != ScalarStyle.Plain
        ? null
        : scalar.Value switch
        {
            "true" or "True" or "TRUE" or "yes" or "Yes" or "YES" or "on" or "On" or "ON" => true,
            "false" or "False" or "FALSE" or "no" or "No" or "NO" or "off" or "Off" or "OFF" => false,
            _ => null,
        };

    /// <summary>The whole number that a scalar is, or null.</summary>
    public static long? AsInteger(YamlScalarNode scalar) =>
        scalar.Style == ScalarStyle.Plain && long.TryParse(scalar.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : null;

    /// <summary>Whether a scalar is a number of any form.</summary>
    public static bool IsNumber(YamlScalarNode scalar) =>
        scalar.Style == ScalarStyle.Plain && double.TryParse(scalar.Value, NumberStyles.Float, CultureInfo.InvariantCulture, out _);

    private static void Check(YamlNode value, YamlMappingNode schema, string path, List<(string, int, string)> faults)
    {
        void Fault(string where, YamlNode at, string reason) => faults.Add((where, (int)at.Start.Line, reason));
        switch (Text(schema, "type"))
        {
            case "object" when value is YamlMappingNode mapping:
                CheckObject(mapping, schema, path, faults);
                break;
            case "array" when value is YamlSequenceNode list:
                if (Number(schema, "minItems") is { } least && list.Children.Count < least)
                    Fault(path, value, $"needs at least {least} entries");
                for (int i = 0; i < list.Children.Count; i++)
                    Check(list.Children[i], (YamlMappingNode)schema["items"], $"{path}[{i}]", faults);
                break;
            case "boolean" when value is YamlScalarNode scalar && AsBool(scalar) is not null:
                break;
            case "integer" when value is YamlScalarNode scalar && AsInteger(scalar) is { } number:
                if (Number(schema, "minimum") is { } minimum && number < minimum)
                    Fault(path, value, $"{number} should be greater than or equal to {minimum}");
                if (Number(schema, "maximum") is { } maximum && number > maximum)
                    Fault(path, value, $"{number} should be less than or equal to {maximum}");
                if (Text(schema, "format") == "int32" && number is < int.MinValue or > int.MaxValue)
                    Fault(path, value, $"{number} is too large");
                break;
            case "string" when value is YamlScalarNode scalar && !IsNull(scalar) && AsBool(scalar) is null && !IsNumber(scalar):
                if (Find(schema, "enum") is YamlSequenceNode values && !values.Any(entry => entry.ToString() == scalar.Value))
                    Fault(path, value, $"'{scalar.Value}' is none of {string.Join(", ", values.Select(static entry => $"'{entry}'"))}");
                if (Number(schema, "minLength") is { } shortest && (scalar.Value?.Length ?? 0) < shortest)
                    Fault(path, value, "is empty");
                break;
            case null:
                break;
            case var type:
                Fault(path, value, $"must be of type {type}");
                break;
        }
    }

    private static void CheckObject(YamlMappingNode mapping, YamlMappingNode schema, string path, List<(string, int, string)> faults)
    {
        string prefix = path.Length == 0 ? "" : path + ".";
        var properties = Find(schema, "properties") as YamlMappingNode;
        var additional = Find(schema, "additionalProperties") as YamlMappingNode;
        bool open = properties is null && additional is null || Text(schema, "x-kubernetes-preserve-unknown-fields") == "true";
        foreach (var (key, child) in mapping.Children)
        {
            string name = key.ToString();
            // Null counts as absent.
            if (IsNull(child))
                continue;
            if (properties is not null && Find(properties, name) is YamlMappingNode known)
                Check(child, known, prefix + name, faults);
            else if (additional is not null)
                Check(child, additional, prefix + name, faults);
            else if (!open)
                faults.Add((prefix + name, (int)key.Start.Line, "unknown field"));
        }
        foreach (var required in (Find(schema, "required") as YamlSequenceNode)?.Children ?? [])
        {
            if (Find(mapping, required.ToString()) is not { } child || IsNull(child))
                faults.Add((prefix + required, (int)mapping.Start.Line, "is required"));
        }
    }

    private static YamlNode? Find(YamlMappingNode mapping, string key) => mapping.Children.TryGetValue(new YamlScalarNode(key), out var child) ? child : null;

    private static string? Text(YamlMappingNode schema, string key) => (Find(schema, key) as YamlScalarNode)?.Value;

    private static long? Number(YamlMappingNode schema, string key) => Find(schema, key) is YamlScalarNode scalar ? AsInteger(scalar) : null;
}
