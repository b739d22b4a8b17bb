using System.Text.RegularExpressions;

namespace DynamicLb.Contracts.Configuration;

/// <summary>Chooses objects by their labels (Kubernetes API, meta/v1 LabelSelector). Without requirements it chooses all. Immutable.</summary>
public sealed partial record LabelSelector
{
    /// <summary>Labels that must be there with these values.</summary>
    public IReadOnlyDictionary<string, string>? MatchLabels { get; init; }

    /// <summary>Further requirements.</summary>
    public IReadOnlyList<LabelRequirement>? MatchExpressions { get; init; }

    /// <summary>Whether an object with these labels is chosen. Null counts as no labels.</summary>
    public bool Matches(IReadOnlyDictionary<string, string>? labels)
    {
        foreach (var (key, value) in MatchLabels ?? EmptyLabels)
        {
            if (labels is null || !labels.TryGetValue(key, out var actual) || actual != value)
                return false;
        }
        foreach (var requirement in MatchExpressions ?? [])
        {
            string? actual = labels is not null && labels.TryGetValue(requirement.Key ?? "", out var found) ? found : null;
            bool holds = requirement.Operator switch
            {
                "In" => actual is not null && requirement.Values?.Contains(actual) == true,
                "NotIn" => actual is null || requirement.Values?.Contains(actual) != true,
                "Exists" => actual is not null,
                "DoesNotExist" => actual is null,
                _ => false,
            };
            if (!holds)
                return false;
        }
        return true;
    }

    /// <summary>Whether one of several selectors chooses; none at all choose everything.</summary>
    public static bool AnyMatches(IReadOnlyList<LabelSelector>? selectors, IReadOnlyDictionary<string, string>? labels) =>
        selectors is null or { Count: 0 } || selectors.Any(selector => selector.Matches(labels));

    /// <summary>What is wrong with it, each with the path inside the selector; empty when nothing is.</summary>
    public IEnumerable<(string Path, string Reason)> Faults()
    {
        foreach (var (key, value) in MatchLabels ?? EmptyLabels)
        {
            if (!KeyPattern().IsMatch(key))
                yield return ("matchLabels", $"'{key}' is not the key of a label");
            if (!ValuePattern().IsMatch(value ?? ""))
                yield return ("matchLabels", $"'{value}' is not the value of a label");
        }
        var seen = new HashSet<string>();
        for (int i = 0; i < (MatchExpressions?.Count ?? 0); i++)
        {
            string path = $"matchExpressions[{i}]";
            var (key, values) = (MatchExpressions![i].Key ?? "", MatchExpressions[i].Values ?? []);
            if (key.Length == 0)
                yield return ($"{path}.key", "is required");
            else if (!KeyPattern().IsMatch(key))
                yield return ($"{path}.key", $"'{key}' is not the key of a label");
            switch (MatchExpressions[i].Operator)
            {
                case "In" or "NotIn" when values.Count == 0:
                    yield return ($"{path}.values", "at least one value is needed");
                    break;
                case "Exists" or "DoesNotExist" when values.Count > 0:
                    yield return ($"{path}.values", "must be empty with Exists and DoesNotExist");
                    break;
                case "In" or "NotIn" or "Exists" or "DoesNotExist":
                    break;
                case null or "":
                    yield return ($"{path}.operator", "is required: In, NotIn, Exists or DoesNotExist");
                    break;
                case var other:
                    yield return ($"{path}.operator", $"'{other}' is not In, NotIn, Exists or DoesNotExist");
                    break;
            }
            foreach (string value in values.Where(static value => !ValuePattern().IsMatch(value)))
                yield return ($"{path}.values", $"'{value}' is not the value of a label");
            if (values.Distinct().Count() != values.Count)
                yield return ($"{path}.values", "has a value twice");
            if (!seen.Add(MatchExpressions[i].Canonical))
                yield return (path, "is there twice");
        }
    }

    /// <summary>The same text for selectors that say the same, whatever the order of their parts.</summary>
    public string Canonical => string.Join(
        ';',
        (MatchLabels ?? EmptyLabels).OrderBy(static entry => entry.Key, StringComparer.Ordinal).Select(static entry => $"{entry.Key}={entry.Value}")
            .Concat((MatchExpressions ?? []).Select(static requirement => requirement.Canonical).Order(StringComparer.Ordinal)));

    /// <inheritdoc/>
    public bool Equals(LabelSelector? other) => other is not null && Canonical == other.Canonical;

    /// <inheritdoc/>
    public override int GetHashCode() => Canonical.GetHashCode(StringComparison.Ordinal);

    private static readonly Dictionary<string, string> EmptyLabels = [];

    [GeneratedRegex(@"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex KeyPattern();

    [GeneratedRegex(@"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex ValuePattern();
}

/// <summary>One requirement of a <see cref="LabelSelector"/>.</summary>
public sealed record LabelRequirement
{
    /// <summary>The label.</summary>
    public string? Key { get; init; }

    /// <summary>In, NotIn, Exists or DoesNotExist.</summary>
    public string? Operator { get; init; }

    /// <summary>Values for In and NotIn.</summary>
    public IReadOnlyList<string>? Values { get; init; }

    internal string Canonical => $"{Key} {Operator} {string.Join(',', (Values ?? []).Order(StringComparer.Ordinal))}";
}
