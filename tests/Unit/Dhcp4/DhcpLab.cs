using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>A message as it left a client.</summary>
internal sealed record SentMessage(TimeSpan At, DhcpClient Client, DhcpMessage Message, DhcpDestination Destination);

/// <summary>A LAN in virtual time: clients, scripted servers, and a wire that may lose, repeat and reorder. Nothing here waits.</summary>
internal sealed class DhcpLab : IDhcpClientEffects
{
    private readonly PriorityQueue<Action, (TimeSpan At, int Order)> _wire = new();
    private readonly List<DhcpClient> _clients = [];
    private int _order;

    public DhcpLab(params FakeDhcpServer[] servers)
    {
        Servers = servers;
        Ids = new TransactionIds(Random);
    }

    public IReadOnlyList<FakeDhcpServer> Servers { get; }

    public DhcpRandom Random { get; } = DhcpRandom.Seeded(2131);

    public TransactionIds Ids { get; }

    /// <summary>Starts well after zero, so that leases from before can be told apart.</summary>
    public TimeSpan Now { get; private set; } = TimeSpan.FromHours(1);

    public TimeSpan Delay { get; set; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Probabilities by message, either way.</summary>
    public double Loss { get; set; }

    public double Duplication { get; set; }

    public double Reordering { get; set; }

    public Func<IPv4Address, string?> Refuse { get; set; } = _ => null;

    public List<SentMessage> Sent { get; } = [];

    /// <summary>What the owner was told, in order: name and values.</summary>
    public List<string> Events { get; } = [];

    public List<(TimeSpan At, string Event)> Timeline { get; } = [];

    public Dictionary<DhcpDropReason, int> Drops { get; } = [];

    public DhcpClient NewClient(DhcpClientSettings? settings = null, int number = 1, string? hostname = "web-demo")
    {
        var mac = new MacAddress(0x024c_4200_0000 + (ulong)number);
        var identity = new DhcpClientIdentity(mac, DhcpClientIdentity.HardwareClientId(mac), hostname, "address-service");
        return NewClient(identity, settings);
    }

    public DhcpClient NewClient(DhcpClientIdentity identity, DhcpClientSettings? settings = null)
    {
        var client = new DhcpClient(identity, settings ?? DhcpClientSettings.Default, this, Ids, Random);
        _clients.Add(client);
        return client;
    }

    /// <summary>A client that holds a lease of the first server.</summary>
    public DhcpClient NewBoundClient(DhcpClientSettings? settings = null)
    {
        var client = NewClient(settings);
        client.Acquire(Now, null);
        Run(TimeSpan.FromSeconds(1));
        Assert.Equal(DhcpClientState.Bound, client.State);
        Sent.Clear();
        Events.Clear();
        Timeline.Clear();
        Drops.Clear();
        return client;
    }

    /// <summary>Lets time pass.</summary>
    public void Run(TimeSpan duration) => RunUntil(() => false, Now + duration);

    /// <summary>Lets time pass until something holds, or the end comes.</summary>
    public bool RunUntil(Func<bool> holds, TimeSpan end)
    {
        while (!holds())
        {
            var next = _clients.Min(client => client.NextDeadline) ?? TimeSpan.MaxValue;
            bool fromWire = _wire.TryPeek(out _, out var first) && first.At <= next;
            var at = fromWire ? first.At : next;
            if (at > end)
            {
                Now = end;
                return holds();
            }
            Now = at > Now ? at : Now;
            if (fromWire)
            {
                _wire.Dequeue()();
                continue;
            }
            foreach (var client in _clients)
                client.Tick(Now);
        }
        return true;
    }

    /// <summary>Puts an answer on the wire.</summary>
    public void Inject(DhcpMessage answer, FakeDhcpServer? from = null, TimeSpan? delay = null)
    {
        from ??= Servers[0];
        var bytes = new byte[answer.EncodedLength];
        int length = answer.Write(bytes);
        Inject(bytes.AsMemory(0, length), from.Mac, from.Id, delay);
    }

    /// <summary>Puts raw bytes on the wire: the payload of a UDP datagram.</summary>
    public void Inject(ReadOnlyMemory<byte> payload, MacAddress sourceMac, IPv4Address source, TimeSpan? delay = null) =>
        Later(delay ?? Delay, () =>
        {
            if (!DhcpMessage.TryParse(payload.Span, out var message, out var reason))
                CountDrop(reason);
            else if (!Ids.TryFind(message.TransactionId, out var client))
                CountDrop(DhcpDropReason.UnknownTransaction);
            else
                client.Receive(new DhcpReply(message, sourceMac, source), Now);
        });

    public int DropCount(DhcpDropReason reason) => Drops.GetValueOrDefault(reason);

    public int SentCount(DhcpMessageType type) => Sent.Count(sent => sent.Message.Type == type);

    public void Send(DhcpClient client, DhcpMessage message, in DhcpDestination destination)
    {
        var seen = InMemoryDhcpTransport.Recode(message);
        Sent.Add(new SentMessage(Now, client, seen, destination));
        var to = destination;
        for (int copy = 0; copy < Copies(); copy++)
        {
            Later(Jitter(), () =>
            {
                foreach (var server in Servers)
                {
                    if (!to.IsBroadcast && to.Server != server.Id)
                        continue;
                    foreach (var answer in server.Handle(seen))
                    {
                        for (int back = 0; back < Copies(); back++)
                            Inject(answer, server, Jitter());
                    }
                }
            });
        }
    }

    public string? RefuseAddress(DhcpClient client, IPv4Address address, in DhcpReply reply) => Refuse(address);

    /// <summary>Hosts that answer ARP, and what they are asked by probes.</summary>
    public Dictionary<IPv4Address, MacAddress> Hosts { get; } = [];

    public List<(TimeSpan At, IPv4Address Address)> Probes { get; } = [];

    public void Probe(DhcpClient client, IPv4Address address)
    {
        Probes.Add((Now, address));
        if (Hosts.TryGetValue(address, out var host))
            Later(Delay, () => client.Conflict(address, host, Now));
    }

    public void Declined(DhcpClient client, DhcpLease lease, MacAddress host) => Note($"declined {lease.Address} {host}");

    public void StateChanged(DhcpClient client, DhcpClientState from, DhcpClientState to) => Timeline.Add((Now, $"{from}>{to}"));

    public void Bound(DhcpClient client, DhcpLease lease) => Note($"bound {lease.Address}");

    public void Renewed(DhcpClient client, DhcpLease lease) => Note($"renewed {lease.Address}");

    public void Recovered(DhcpClient client, DhcpLease lease) => Note($"recovered {lease.Address}");

    public void Changed(DhcpClient client, IPv4Address from, DhcpLease lease) => Note($"changed {from} {lease.Address}");

    public void Suspect(DhcpClient client, DhcpLease lease) => Note($"suspect {lease.Address}");

    public void Lost(DhcpClient client, DhcpLease lease, DhcpLossReason reason) => Note($"lost {lease.Address} {reason}");

    public void Released(DhcpClient client, DhcpLease? lease) => Note($"released {lease?.Address.ToString() ?? "-"}");

    public void NakReceived(DhcpClient client, IPv4Address server, string? text) => Note($"nak {server}");

    public void ReplyDropped(DhcpClient client, DhcpDropReason reason, string? detail, in DhcpReply reply) => CountDrop(reason);

    private void CountDrop(DhcpDropReason reason) => Drops[reason] = DropCount(reason) + 1;

    private void Note(string text)
    {
        Events.Add(text);
        Timeline.Add((Now, text));
    }

    private void Later(TimeSpan delay, Action action) => _wire.Enqueue(action, (Now + delay, _order++));

    private int Copies() => Loss > 0 && Random.NextDouble() < Loss ? 0 : Duplication > 0 && Random.NextDouble() < Duplication ? 2 : 1;

    private TimeSpan Jitter() => Reordering > 0 && Random.NextDouble() < Reordering ? Delay * 20 : Delay;
}
