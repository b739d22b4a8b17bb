namespace DynamicLb.Kubernetes;

/// <summary>The name of a namespaced object; the namespace is empty for cluster-scoped ones.</summary>
public readonly record struct NamespacedName(string Namespace, string Name) : IComparable<NamespacedName>
{
    /// <summary>The name of an object, from its metadata.</summary>
    public static NamespacedName Of(Resources.KubernetesObject resource) => new(resource.Metadata.Namespace ?? "", resource.Metadata.Name ?? "");

    /// <summary>Splits <c>namespace/name</c>.</summary>
    public static bool TryParse(string? text, out NamespacedName name)
    {
        name = default;
        int slash = text?.IndexOf('/') ?? -1;
        if (slash <= 0 || slash == text!.Length - 1 || text.IndexOf('/', slash + 1) >= 0)
            return false;
        name = new NamespacedName(text[..slash], text[(slash + 1)..]);
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(NamespacedName other)
    {
        int byNamespace = string.CompareOrdinal(Namespace, other.Namespace);
        return byNamespace != 0 ? byNamespace : string.CompareOrdinal(Name, other.Name);
    }

    /// <summary>Ordinal order, namespace first.</summary>
    public static bool operator <(NamespacedName left, NamespacedName right) => left.CompareTo(right) < 0;

    /// <summary>Ordinal order, namespace first.</summary>
    public static bool operator >(NamespacedName left, NamespacedName right) => left.CompareTo(right) > 0;

    /// <summary>Ordinal order, namespace first.</summary>
    public static bool operator <=(NamespacedName left, NamespacedName right) => left.CompareTo(right) <= 0;

    /// <summary>Ordinal order, namespace first.</summary>
    public static bool operator >=(NamespacedName left, NamespacedName right) => left.CompareTo(right) >= 0;

    /// <summary><c>namespace/name</c>, or the name alone.</summary>
    public override string ToString() => Namespace is null or "" ? Name : $"{Namespace}/{Name}";
}
