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

    /// <summary>Unique for all time.</summary>
    public string? Uid { get; init; }

    /// <summary>The groups it is in.</summary>
    public IReadOnlyList<string>? Groups { get; init; }

    /// <summary>What else is known of it.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>>? Extra { get; init; }
}

/// <summary>A question to the API server whether somebody may do something (authorization.k8s.io/v1). It is only created, and never stored.</summary>
public sealed record SubjectAccessReview : KubernetesObject
{
    /// <summary>The question.</summary>
    public SubjectAccessReviewSpec Spec { get => field ?? new(); init; }

    /// <summary>The answer.</summary>
    public SubjectAccessReviewStatus Status { get => field ?? new(); init; }
}

/// <summary>Who and what.</summary>
public sealed record SubjectAccessReviewSpec
{
    /// <summary>Name of who wants to.</summary>
    public string? User { get; init; }

    /// <summary>Its identifier.</summary>
    public string? Uid { get; init; }

    /// <summary>Its groups.</summary>
    public IReadOnlyList<string>? Groups { get; init; }

    /// <summary>What else is known of it.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>>? Extra { get; init; }

    /// <summary>A path that is no resource.</summary>
    public NonResourceAttributes? NonResourceAttributes { get; init; }
}

/// <summary>A path that is no resource, and what is to be done with it.</summary>
public sealed record NonResourceAttributes
{
    /// <summary>The path, such as <c>/metrics</c>.</summary>
    public string? Path { get; init; }

    /// <summary>HTTP method in lower case.</summary>
    public string? Verb { get; init; }
}

/// <summary>The answer.</summary>
public sealed record SubjectAccessReviewStatus
{
    /// <summary>Whether it is allowed.</summary>
    public bool Allowed { get; init; }

    /// <summary>Whether it is denied outright.</summary>
    public bool? Denied { get; init; }
}
