namespace DynamicLb.Kubernetes.Resources;

/// <summary>A question to the API server whose token this is (authentication.k8s.io/v1). It is only created, and never stored.</summary>
public sealed record TokenReview : KubernetesObject
{
    /// <summary>The question.</summary>
    public TokenReviewSpec Spec { get => field ?? new(); init; }

    /// <summary>The answer.</summary>
    public TokenReviewStatus Status { get => field ?? new(); init; }
}

/// <summary>What is asked.</summary>
public sealed record TokenReviewSpec
{
    /// <summary>The token. A secret.</summary>
    public string? Token { get; init; }

    /// <summary>The audiences that we are; the token must be for one of them.</summary>
    public IReadOnlyList<string>? Audiences { get; init; }
}

/// <summary>What is answered.</summary>
public sealed record TokenReviewStatus
{
    /// <summary>Whether the token is a good one.</summary>
    public bool Authenticated { get; init; }

    /// <summary>Whose it is.</summary>
    public TokenUser? User { get; init; }

    /// <summary>Those of the audiences asked for that the token is for; empty from a server that does not look at audiences.</summary>
    public IReadOnlyList<string>? Audiences { get; init; }

    /// <summary>Why it is not a good one.</summary>
    public string? Error { get; init; }
}

/// <summary>The owner of a token.</summary>
public sealed record TokenUser
{
    /// <summary>Name; of a service account <c>system:serviceaccount:namespace:name</c>.</summary>
    public string? Username { get; init; }
}
