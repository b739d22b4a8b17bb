using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.SelfTest;

/// <param name="Outcome">One of <see cref="SelfTestOutcome"/>.</param>
/// <param name="Detail">What happened, in words.</param>
/// <param name="Address">The address that was leased.</param>
/// <param name="Server">The server that answered.</param>
/// <param name="Took">From the first message to the lease.</param>
internal sealed record SelfTestReport(
    string Outcome, string Detail, IPv4Address? Address = null, IPv4Address? Server = null, TimeSpan? Took = null);

/// <summary>
/// Takes one lease with a throw-away identity and gives it back: a state machine without sockets or clock, as <see cref="DhcpClient"/> is. With a rival
/// it asks for an offer under a second identity while it holds the lease: a server that offers the same address knows both for one client.
/// Not thread-safe.
/// </summary>
internal sealed class SelfTestProbe : IDhcpClientEffects
{
    private readonly DhcpClient _client;
    private readonly DhcpClient? _rival;
    private readonly TransactionIds _ids;
    private readonly IReadOnlyDictionary<IPv4Address, bool> _ours;
    private readonly Func<IPv4Address, string?> _refuse;
    private readonly TimeSpan _timeout;
    private TimeSpan _startedAt;
    private TimeSpan? _giveUpAt;
    private TimeSpan? _rivalUntil;
    private DhcpLease? _lease;
    private IPv4Address? _rivalOffer;
    private TimeSpan _took;
    private bool _isSame;
    private string? _nak;

    /// <param name="identity">Who asks.</param>
    /// <param name="rival">The second identity, or null.</param>
    /// <param name="settings">How clients behave here; no time passes before a release.</param>
    /// <param name="ours">The addresses of this host and of our leases, which must not be taken; true for one under the interface's own MAC.</param>
    /// <param name="refuse">Why else an offered address must not be taken, or null.</param>
    /// <param name="random">Random numbers.</param>
    /// <param name="timeout">How long each of the two is waited for.</param>
    public SelfTestProbe(
        DhcpClientIdentity identity, DhcpClientIdentity? rival, DhcpClientSettings settings, IReadOnlyDictionary<IPv4Address, bool> ours,
        Func<IPv4Address, string?> refuse, DhcpRandom random, TimeSpan timeout)
    {
        settings = settings with { RetransmitAfter = TimeSpan.FromSeconds(1), ReleaseDelay = TimeSpan.Zero, OfferWindow = TimeSpan.Zero, Probe = null };
        _ids = new TransactionIds(random);
        _client = new DhcpClient(identity, settings, this, _ids, random);
        _rival = rival is null ? null : new DhcpClient(rival, settings, this, _ids, random);
        _ours = ours;
        _refuse = refuse;
        _timeout = timeout;
    }

    /// <summary>What is to be sent, in order.</summary>
    public Queue<(DhcpMessage Message, DhcpDestination Destination)> Outbox { get; } = new();

    /// <summary>How it went; null until it is over.</summary>
    public SelfTestReport? Report { get; private set; }

    /// <summary>When <see cref="Tick"/> has something to do; null for never.</summary>
    public TimeSpan? NextDeadline => Report is not null ? null : Earlier(Earlier(_giveUpAt, _rivalUntil), Earlier(_client.NextDeadline, _rival?.NextDeadline));

    public void Begin(TimeSpan now)
    {
        _startedAt = now;
        _giveUpAt = now + _timeout;
        _client.Acquire(now, null);
    }

    public void Receive(in DhcpReply reply, TimeSpan now)
    {
        if (Report is null && _ids.TryFind(reply.Message.TransactionId, out var client))
        {
            client.Receive(reply, now);
            Step(now);
        }
    }

    public void Tick(TimeSpan now)
    {
        if (Report is not null)
            return;
        _client.Tick(now);
        _rival?.Tick(now);
        Step(now);
    }

    private void Step(TimeSpan now)
    {
        if (_giveUpAt is not null && _client.State == DhcpClientState.Bound)
            Bound(now);
        else if (_giveUpAt <= now)
            GiveUp(now);
        else if (_rivalUntil is not null && (_rivalOffer is not null || _rivalUntil <= now))
            EndRival(now);
        if (_client.State == DhcpClientState.Idle && _giveUpAt is null)
            Report ??= Describe();
    }

    private void Bound(TimeSpan now)
    {
        _giveUpAt = null;
        _lease = _client.Lease;
        _took = now - _startedAt;
        if (_rival is null)
        {
            _client.Release(now, "self-test");
            return;
        }
        _rivalUntil = now + _timeout;
        _rival.Acquire(now, null);
    }

    private void EndRival(TimeSpan now)
    {
        _rivalUntil = null;
        _rival!.Abandon();
        _isSame = _rivalOffer == _lease!.Address;
        _client.Release(now, "self-test");
    }

    private void GiveUp(TimeSpan now)
    {
        _giveUpAt = null;
        var attempt = _client.Attempt!;
        Report = attempt.Requested is not null ? new SelfTestReport(SelfTestOutcome.NotConfirmed, attempt.Describe() + (_nak is null ? "" : $": {_nak}"), null, attempt.Requested?.Server)
            : attempt.Refusals.Count == 0 ? new SelfTestReport(SelfTestOutcome.NoReply, attempt.Describe())
            : new SelfTestReport(_isSame ? SelfTestOutcome.IgnoresClientIds : SelfTestOutcome.Refused, attempt.Describe(), null, attempt.Refusals[0].Server);
        // A REQUEST may have been granted without our knowing: one RELEASE must do then, nobody waits for the second.
        _client.Release(now, "self-test");
        _client.Tick(now);
    }

    private SelfTestReport Describe()
    {
        var lease = _lease!;
        var server = lease.ServerId;
        if (_isSame)
        {
            return new SelfTestReport(
                SelfTestOutcome.IgnoresClientIds, $"{server} gave {lease.Address} to one client identifier and offered it to a second", lease.Address, server, _took);
        }
        string detail = $"{server} leased {lease.Address} for {(lease.LeaseSeconds == DhcpLease.Infinite ? "ever" : $"{lease.LeaseSeconds} s")}, given back";
        if (_rival is not null)
            detail += _rivalOffer is { } other ? $"; a second client identifier was offered {other}" : "; a second client identifier was offered nothing, perhaps for want of free addresses";
        return new SelfTestReport(SelfTestOutcome.Works, detail, lease.Address, server, _took);
    }

    string? IDhcpClientEffects.RefuseAddress(DhcpClient client, IPv4Address address, in DhcpReply reply)
    {
        if (client == _rival)
        {
            _rivalOffer ??= address;
            return "only asked to see";
        }
        if (!_ours.TryGetValue(address, out bool isOfOurMac))
            return _refuse(address);
        // One MAC for all, and the server offers what that MAC has already: it did not look at the identifier.
        _isSame |= _rival is not null && isOfOurMac;
        return "in use here";
    }

    void IDhcpClientEffects.Send(DhcpClient client, DhcpMessage message, in DhcpDestination destination) => Outbox.Enqueue((message, destination));

    void IDhcpClientEffects.NakReceived(DhcpClient client, IPv4Address server, string? text) => _nak = text ?? _nak;

    void IDhcpClientEffects.StateChanged(DhcpClient client, DhcpClientState from, DhcpClientState to)
    {
        // What matters is asked for after each step.
    }

    void IDhcpClientEffects.Bound(DhcpClient client, DhcpLease lease)
    {
    }

    void IDhcpClientEffects.Renewed(DhcpClient client, DhcpLease lease)
    {
    }

    void IDhcpClientEffects.Recovered(DhcpClient client, DhcpLease lease)
    {
    }

    void IDhcpClientEffects.Changed(DhcpClient client, IPv4Address from, DhcpLease lease)
    {
    }

    void IDhcpClientEffects.Suspect(DhcpClient client, DhcpLease lease)
    {
    }

    void IDhcpClientEffects.Lost(DhcpClient client, DhcpLease lease, DhcpLossReason reason)
    {
    }

    void IDhcpClientEffects.Released(DhcpClient client, DhcpLease? lease)
    {
    }

    void IDhcpClientEffects.ReplyDropped(DhcpClient client, DhcpDropReason reason, string? detail, in DhcpReply reply)
    {
    }

    private static TimeSpan? Earlier(TimeSpan? left, TimeSpan? right) => left is null || right < left ? right : left;
}
