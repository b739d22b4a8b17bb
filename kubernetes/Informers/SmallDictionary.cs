using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace DynamicLb.Kubernetes.Informers;

/// <summary>A few texts by their keys, such as labels, one after the other: a tenth of what a hash table takes. Immutable and thread-safe.</summary>
public sealed class SmallDictionary : IReadOnlyDictionary<string, string>
{
    private readonly string[] _entries;

    private SmallDictionary(string[] entries) => _entries = entries;

    /// <inheritdoc/>
    public int Count => _entries.Length / 2;

    /// <inheritdoc/>
    public IEnumerable<string> Keys => this.Select(static entry => entry.Key);

    /// <inheritdoc/>
    public IEnumerable<string> Values => this.Select(static entry => entry.Value);

    /// <inheritdoc/>
    public string this[string key] => TryGetValue(key, out string? value) ? value : throw new KeyNotFoundException(key);

    /// <summary>What is kept of a map; null for nothing.</summary>
    /// <param name="map">The map.</param>
    /// <param name="isKept">Says of a key whether it is kept.</param>
    public static SmallDictionary? Of(IReadOnlyDictionary<string, string>? map, Func<string, bool> isKept)
    {
        ArgumentNullException.ThrowIfNull(isKept);
        if (map is null)
            return null;
        var entries = new List<string>(2 * map.Count);
        foreach (var (key, value) in map)
        {
            if (!isKept(key))
                continue;
            entries.Add(CommonText.Of(key));
            entries.Add(CommonText.Of(value));
        }
        return entries.Count == 0 ? null : new SmallDictionary([.. entries]);
    }

    /// <inheritdoc/>
    public bool ContainsKey(string key) => TryGetValue(key, out _);

    /// <inheritdoc/>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out string value)
    {
        for (int i = 0; i < _entries.Length; i += 2)
        {
            if (_entries[i] == key)
            {
                value = _entries[i + 1];
                return true;
            }
        }
        value = null;
        return false;
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string>> GetEnumerator()
    {
        for (int i = 0; i < _entries.Length; i += 2)
            yield return new KeyValuePair<string, string>(_entries[i], _entries[i + 1]);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
