namespace DynamicLb.Kubernetes.Resources;

/// <summary>A condition (meta/v1).</summary>
public sealed record Condition
{
    /// <summary>Its name.</summary>
    public string? Type { get; init; }

    /// <summary>True, False or Unknown.</summary>
    public string? Status { get; init; }

    /// <summary>Machine-readable cause.</summary>
    public string? Reason { get; init; }

    /// <summary>Cause in words.</summary>
    public string? Message { get; init; }

    /// <summary>RFC 3339 time of the last change of <see cref="Status"/>.</summary>
    public string? LastTransitionTime { get; init; }
}
