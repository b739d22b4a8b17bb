using System.Net;
using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Controller.AddressServices;

/// <summary>What happened to the address of a Service, for the Event about it.</summary>
internal enum LeaseStep
{
    /// <summary>Nothing: it is as it was.</summary>
    None = 0,

    /// <summary>There was none, and there is one now.</summary>
    Assigned,

    /// <summary>There is none yet.</summary>
    Pending,

    /// <summary>The address service cannot confirm it; it stays until its end.</summary>
    Unconfirmed,

    /// <summary>Another has taken its place.</summary>
    Changed,

    /// <summary>The lease is lost or has changed; the old address stays until its end.</summary>
    Held,

    /// <summary>The lease is lost, and the address gone.</summary>
    Lost,

    /// <summary>The lease ended without anybody having renewed it, and the address is gone.</summary>
    Expired,

    /// <summary>The lease is lost or has changed, and no other address is taken.</summary>
    Failed,

    /// <summary>What had failed is over.</summary>
    Recovered,
}

/// <summary>The address that a Service has by a lease. Immutable.</summary>
/// <param name="Step">What happened.</param>
/// <param name="Address">The address; null for none.</param>
/// <param name="ValidUntil">Its end; null for never.</param>
/// <param name="Failed">The address that was lost and not replaced; null otherwise.</param>
/// <param name="Cause">Why, in words, where there is a cause.</param>
internal sealed record Tenure(LeaseStep Step, IPAddress? Address, DateTimeOffset? ValidUntil, IPAddress? Failed, string? Cause);

/// <summary>What a Service had by a lease before. Immutable.</summary>
/// <param name="Held">The address in its status; null for none.</param>
/// <param name="HeldUntil">The end of that one as it was written; null for never.</param>
/// <param name="Failed">The address that was lost and not replaced; null otherwise.</param>
/// <param name="Named">The address that the Service asks for; null for any.</param>
internal readonly record struct TenureBefore(IPAddress? Held, DateTimeOffset? HeldUntil, IPAddress? Failed, IPAddress? Named);

/// <summary>What becomes of an address whose lease is confirmed, changes, is lost or ends. Pure.</summary>
internal static class LeasePolicy
{
    public static Tenure Judge(LeaseChangePolicy policy, LeaseView view, TenureBefore before, DateTimeOffset now)
    {
        // One that nobody has renewed is over, whatever was last heard of it.
        var live = view.Phase == LeasePhase.Leased && !(view.ValidUntil <= now) ? view.Address : null;
        if (before.Failed is { } failed)
        {
            if (live is not null && (policy != LeaseChangePolicy.Fail || live.Equals(failed) || live.Equals(before.Named)))
                return new Tenure(LeaseStep.Recovered, live, view.ValidUntil, null, null);
            if (policy == LeaseChangePolicy.Fail)
                return new Tenure(LeaseStep.None, null, null, failed, view.Cause);
        }
        if (before.Held is not { } held)
            return live is null ? new Tenure(LeaseStep.Pending, null, null, null, view.Cause) : new Tenure(LeaseStep.Assigned, live, view.ValidUntil, null, null);
        if (held.Equals(live))
            return new Tenure(LeaseStep.None, held, view.ValidUntil, null, null);

        bool isOver = before.HeldUntil <= now;
        bool mayHold = policy == LeaseChangePolicy.Hold && before.HeldUntil > now;
        if (live is not null)
        {
            string change = $"changed to {live}";
            return mayHold ? new Tenure(LeaseStep.Held, held, before.HeldUntil, null, change)
                : policy == LeaseChangePolicy.Fail && !live.Equals(before.Named) ? new Tenure(LeaseStep.Failed, null, null, held, change)
                : new Tenure(LeaseStep.Changed, live, view.ValidUntil, null, change);
        }
        if (view.Phase == LeasePhase.Lost && mayHold)
            return new Tenure(LeaseStep.Held, held, before.HeldUntil, null, view.Cause);
        // Without a word from the address service yet, the end that was written may be an old one: the speakers go by it anyhow.
        if (view.Phase == LeasePhase.Lost || (isOver && view.Phase != LeasePhase.Pending))
        {
            string cause = view.Cause ?? "it ended without being renewed";
            return policy == LeaseChangePolicy.Fail ? new Tenure(LeaseStep.Failed, null, null, held, cause)
                : new Tenure(isOver ? LeaseStep.Expired : LeaseStep.Lost, null, null, null, cause);
        }
        return new Tenure(view.Phase == LeasePhase.Failed ? LeaseStep.Unconfirmed : LeaseStep.None, held, before.HeldUntil, null, view.Cause);
    }
}
