using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <content>Looking for other machines that have an address.</content>
internal sealed partial class Layer2Announcer
{
    /// <summary>Called when an address was looked for: who has it, or null. Must be quick.</summary>
    public Action<HostAddress, MacAddress?>? Probed { get; set; }

    /// <summary>
    /// Looks for another machine that has an address, in the place of a search for it that is under way. Goes on until a question could be sent. Thread-safe; does not wait.
    /// </summary>
    /// <param name="address">The address.</param>
    /// <param name="interfaces">Where; null for all.</param>
    /// <param name="after">When.</param>
    public void Probe(HostAddress address, IReadOnlySet<string>? interfaces, TimeSpan after) =>
        _messages.Writer.TryWrite(new Message([address], 0, after) { Interfaces = interfaces });

    private async Task ProbeDueAsync(CancellationToken cancellationToken)
    {
        var steps = new List<ProbeSchedule.Step>();
        bool isListening = true;
        while (_probes.TryTake(Now, out var step))
        {
            steps.Add(step);
            if (!step.IsFirst)
                continue;
            context.Probes.Begin(step.Address, step.Interfaces);
            isListening &= step.Address.IsIPv4;
        }
        // Who looks for an IPv6 address at the same time asks its group (RFC 4862 §5.4.2).
        if (!isListening)
            FollowGroups(context.Table.Snapshot.Values);
        foreach (var step in steps)
        {
            if (step.Left == 0)
                EndProbe(step);
            else
                await AskAsync(step, cancellationToken);
        }
    }

    private async Task AskAsync(ProbeSchedule.Step step, CancellationToken cancellationToken)
    {
        foreach (var member in _members.Values)
        {
            if (await member.SendProbeAsync(step, cancellationToken))
                _probes.Asked(step.Address);
        }
    }

    private void EndProbe(ProbeSchedule.Step step)
    {
        var other = context.Probes.End(step.Address);
        if (other is null && !step.HasAsked)
            _probes.Add(step.Address, step.Interfaces, Now + RetryAfter);
        else
            Probed?.Invoke(step.Address, other);
    }
}
