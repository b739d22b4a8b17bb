using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>What happened since a client began to look for an address. Read it on the owner's loop.</summary>
public sealed class Dhcp6Attempt
{
    internal Dhcp6Attempt(TimeSpan startedAt) => StartedAt = startedAt;

    /// <summary>When it began, on the owner's clock.</summary>
    public TimeSpan StartedAt { get; }

    /// <summary>Solicits sent.</summary>
    public int SolicitsSent { get; internal set; }

    /// <summary>Requests sent.</summary>
    public int RequestsSent { get; internal set; }

    /// <summary>The address requested last.</summary>
    public IPv6Address? Requested { get; internal set; }

    /// <summary>The last status that was not success.</summary>
    public Dhcp6Status Status { get; internal set; }

    /// <summary>Why the last address was not used; null when none was refused.</summary>
    public string? Refusal { get; internal set; }

    /// <summary>Whether a server said that it has no address left.</summary>
    public bool IsExhausted => Status.Code == Dhcp6StatusCode.NoAddrsAvail;

    /// <summary>Why there is no lease yet, in one line.</summary>
    public string Describe()
    {
        if (Refusal is not null)
            return $"offers refused: {Refusal}";
        if (Status.Code != Dhcp6StatusCode.Success)
            return Status.Text is null ? $"the server answered {Status.Code}" : $"the server answered {Status.Code}: {Status.Text}";
        return Requested is { } address ? $"{address} was offered but not confirmed ({RequestsSent} requests)" : $"no answer from any server ({SolicitsSent} solicits)";
    }
}
