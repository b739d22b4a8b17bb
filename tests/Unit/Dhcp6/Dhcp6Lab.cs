using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.Tests.Unit.Dhcp6;

/// <summary>One DHCPv6 client and a scripted server in virtual time. Every message passes the codec.</summary>
internal sealed class Dhcp6Lab : IDhcp6ClientEffects
{
    public static readonly Dhcp6ClientSettings NoDelay = Dhcp6ClientSettings.Default with { FirstDelay = TimeSpan.Zero };
    public static readonly IPv6Address ServerAddress = IPv6Address.Parse("fe80::1");
    public static readonly IPv6Address First = IPv6Address.Parse("fd77::1:0");
    public static readonly IPv6Address Second = IPv6Address.Parse("fd77::1:1");
    public static readonly Dhcp6Duid Server = Dhcp6Duid.FromUuid(new Guid("00000000-0000-0000-0000-0000000000aa"));
    public static readonly Dhcp6Duid OtherServer = Dhcp6Duid.FromUuid(new Guid("00000000-0000-0000-0000-0000000000bb"));
    public static readonly Dhcp6Duid Duid = Dhcp6Duid.FromUuid(new Guid("01234567-89ab-cdef-0123-456789abcdef"));

    public Dhcp6Lab(Dhcp6ClientSettings? settings = null, string? name = null)
    {
        var random = DhcpRandom.Seeded(8415);
        Ids = new Dhcp6TransactionIds(random);
        Client = new Dhcp6Client(new Dhcp6ClientIdentity(Duid, 1, name), settings ?? Dhcp6ClientSettings.Default, this, Ids, random);
    }

    public Dhcp6TransactionIds Ids { get; }

    public Dhcp6Client Client { get; }

    public TimeSpan Now { get; private set; } = TimeSpan.FromHours(1);

    public List<(TimeSpan At, Dhcp6Message Message)> Sent { get; } = [];

    public List<string> Events { get; } = [];

    public List<Dhcp6DropReason> Drops { get; } = [];

    public Func<IPv6Address, string?> Refuse { get; set; } = _ => null;

    /// <summary>Answers a message at once; null for silence.</summary>
    public Func<Dhcp6Message, Dhcp6Message?> Answer { get; set; } = _ => null;

    public Dhcp6Message Last => Sent[^1].Message;

    /// <summary>A server that grants <see cref="First"/>, 300 s preferred and 600 s valid.</summary>
    public static Dhcp6Message? Usual(Dhcp6Message question) => question.Type switch
    {
        Dhcp6MessageType.Solicit => Reply(question, Dhcp6MessageType.Advertise, Granted()),
        Dhcp6MessageType.Request or Dhcp6MessageType.Renew or Dhcp6MessageType.Rebind => Reply(question, Dhcp6MessageType.Reply, Granted()),
        _ => Reply(question, Dhcp6MessageType.Reply),
    };

    public static Dhcp6Association Granted(IPv6Address? address = null, uint t1 = 0, uint t2 = 0, uint preferred = 300, uint valid = 600) =>
        new(1, t1, t2, [new Dhcp6Address(address ?? First, preferred, valid)]);

    public static Dhcp6Association Failed(Dhcp6StatusCode code) => new(1, 0, 0, [], new Dhcp6Status(code, "no"));

    public static Dhcp6Message Reply(Dhcp6Message question, Dhcp6MessageType type, params Dhcp6Association[] associations) => new()
    {
        Type = type,
        TransactionId = question.TransactionId,
        ClientId = question.ClientId,
        ServerId = Server,
        Associations = associations,
    };

    public Dhcp6Lab Bind()
    {
        Answer = Usual;
        Client.Acquire(Now, null);
        Run(5);
        Assert.Equal(Dhcp6ClientState.Bound, Client.State);
        Sent.Clear();
        Events.Clear();
        Drops.Clear();
        return this;
    }

    public void Run(double seconds)
    {
        var end = Now + TimeSpan.FromSeconds(seconds);
        while (Client.NextDeadline is { } next && next <= end)
        {
            Now = next > Now ? next : Now;
            Client.Tick(Now);
            Deliver();
        }
        Deliver();
        Now = end;
    }

    public Dhcp6DropReason Receive(Dhcp6Message message, IPv6Address? source = null)
    {
        var reason = Client.Receive(Recode(message), source ?? ServerAddress, Now);
        Deliver();
        return reason;
    }

    public int Count(Dhcp6MessageType type) => Sent.Count(sent => sent.Message.Type == type);

    public void Send(Dhcp6Client client, Dhcp6Message message)
    {
        var seen = Recode(message);
        Sent.Add((Now, seen));
        if (Answer(seen) is { } answer)
            _wire.Enqueue(answer);
    }

    public string? RefuseAddress(Dhcp6Client client, IPv6Address address) => Refuse(address);

    public void DetectDuplicate(Dhcp6Client client, IPv6Address address) => Events.Add($"detect {address}");

    public void Conflict(Dhcp6Client client, IPv6Address address) => Events.Add($"conflict {address}");

    public void StateChanged(Dhcp6Client client, Dhcp6ClientState from, Dhcp6ClientState to)
    {
    }

    public void Bound(Dhcp6Client client, Dhcp6Lease lease) => Events.Add($"bound {lease.Address}");

    public void Renewed(Dhcp6Client client, Dhcp6Lease lease) => Events.Add($"renewed {lease.Address}");

    public void Recovered(Dhcp6Client client, Dhcp6Lease lease) => Events.Add($"recovered {lease.Address}");

    public void Changed(Dhcp6Client client, IPv6Address from, Dhcp6Lease lease) => Events.Add($"changed {from} {lease.Address}");

    public void Lost(Dhcp6Client client, Dhcp6Lease lease, Dhcp6LossReason reason) => Events.Add($"lost {lease.Address} {reason}");

    public void Released(Dhcp6Client client, Dhcp6Lease? lease) => Events.Add($"released {lease?.Address.ToString() ?? "-"}");

    public void ReplyDropped(Dhcp6Client client, Dhcp6DropReason reason, string? detail) => Drops.Add(reason);

    public static Dhcp6Message Recode(Dhcp6Message message)
    {
        var bytes = new byte[message.EncodedLength];
        Assert.Equal(bytes.Length, message.Write(bytes));
        Assert.True(Dhcp6Message.TryParse(bytes, out var seen, out _));
        return seen;
    }

    private readonly Queue<Dhcp6Message> _wire = new();

    private void Deliver()
    {
        while (_wire.TryDequeue(out var answer))
            Client.Receive(Recode(answer), ServerAddress, Now);
    }
}
