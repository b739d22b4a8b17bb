using System.Diagnostics.CodeAnalysis;

namespace DynamicLb.Kubernetes.Informers;

/// <summary>Texts that many objects have in common, such as the names of namespaces and nodes: each is kept once. Bounded. Thread-safe.</summary>
public static class CommonText
{
    private const int Cached = 1024;

    // Who overwrites another's entry loses nothing but the saving.
    private static readonly string?[] s_common = new string?[Cached];

    /// <summary>The same text, of which others may have the same copy.</summary>
    [return: NotNullIfNotNull(nameof(text))]
    public static string? Of(string? text)
    {
        if (text is null)
            return null;
        ref string? entry = ref s_common[(uint)string.GetHashCode(text, StringComparison.Ordinal) % Cached];
        if (entry is { } common && common == text)
            return common;
        return entry = text;
    }
}
