using DynamicLb.AddressService.Leasing;
using Microsoft.AspNetCore.Http.Features;

namespace DynamicLb.AddressService.Security;

/// <summary>What a caller may do.</summary>
[Flags]
internal enum Roles
{
    None = 0,

    /// <summary>Every GET.</summary>
    Read = 1,

    /// <summary>POST and DELETE of leases.</summary>
    Lease = 2,

    /// <summary>The MAC pool, and everything else.</summary>
    Admin = 4,
}

/// <summary>Who calls, and what the call may do. Immutable.</summary>
/// <param name="Name">For the log and for refusals; never the secret.</param>
/// <param name="Roles">The roles.</param>
/// <param name="Namespaces">The namespaces whose leases it may see and change; null for all.</param>
internal sealed record Caller(string Name, Roles Roles, IReadOnlySet<string>? Namespaces)
{
    /// <summary>Whoever calls where no token is asked for.</summary>
    public static Caller Anonymous { get; } = new("anonymous", Roles.Admin, null);

    public bool Has(Roles role) => (Roles & (role | Roles.Admin)) != Roles.None;

    /// <param name="service">A valid <c>namespace/name</c>.</param>
    public bool Covers(string service) => Namespaces is null || Namespaces.Contains(ServiceName.Namespace(service));

    /// <summary>Whether this one may do all that another may.</summary>
    public bool HasRightsOf(Caller other) =>
        (Roles.HasFlag(Roles.Admin) || (other.Roles & ~Roles) == Roles.None)
        && (Namespaces is null || (other.Namespaces is { } theirs && theirs.IsSubsetOf(Namespaces)));

    /// <summary>Why a call that needs a role is refused.</summary>
    public string Lacks(Roles role) => $"role: '{Name}' lacks {Text(role)}; it has {Text(Roles)}";

    /// <summary>Why a call for a service is refused.</summary>
    public string DoesNotCover(string service) =>
        $"service: '{Name}' does not cover the namespace {ServiceName.Namespace(service)}; it covers {string.Join(", ", (Namespaces ?? new HashSet<string>()).Order(StringComparer.Ordinal))}";

    private static string Text(Roles roles) => roles.ToString().ToLowerInvariant();
}

/// <summary>What an endpoint asks of its callers. Without it, GET asks for <see cref="Roles.Read"/> and anything else for <see cref="Roles.Admin"/>.</summary>
internal sealed record NeedsRole(Roles Role);

/// <summary>One call to <c>/v1</c>, as the audit log tells it. A feature of its HTTP context.</summary>
internal sealed class Call(string source)
{
    /// <summary>Address that the call came from.</summary>
    public string Source => source;

    public Caller? Caller { get; set; }

    /// <summary>What it is about: a service, an address, MACs.</summary>
    public string Subject { get; set; } = "";

    /// <summary>What came of it, beyond the code.</summary>
    public string Result { get; set; } = "";

    public static Call Of(HttpContext context) => context.Features.GetRequiredFeature<Call>();
}

/// <summary>What endpoints ask of a call.</summary>
internal static class CallExtensions
{
    public static Caller Caller(this HttpContext context) => Call.Of(context).Caller!;

    public static TBuilder Needs<TBuilder>(this TBuilder endpoint, Roles role)
        where TBuilder : IEndpointConventionBuilder => endpoint.WithMetadata(new NeedsRole(role));
}
