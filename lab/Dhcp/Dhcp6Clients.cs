using System.Globalization;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Lab.Dhcp;

/// <summary>
/// DHCPv6 clients on one interface, which print what happens to them, a line each: event, client's number, address, server's DUID.
/// They share a transport and a loop, as in the address service.
/// </summary>
internal sealed class Dhcp6Clients : IDhcp6ClientEffects, IDhcp6Receiver
{
    private static readonly TimeSpan _probe = TimeSpan.FromSeconds(1);

    // A message and who sent it, or a client and the address that somebody else uses.
    private readonly Channel<(object Subject, IPv6Address Address)> _inbox = Channel.CreateBounded<(object, IPv6Address)>(256);
    private readonly Dhcp6TransactionIds _ids = new(DhcpRandom.Secure);
    private readonly List<Dhcp6Client> _clients = [];
    private readonly Queue<Dhcp6Message> _outbox = new();
    private readonly long _start = TimeProvider.System.GetTimestamp();
    private Func<IPv6Address, Task<MacAddress?>>? _detect;

    private TimeSpan Now => TimeProvider.System.GetElapsedTime(_start);

    /// <summary>
    /// Runs until cancelled: <c>acquire COUNT</c>, <c>rapid COUNT</c>, <c>detect ADDRESS</c> (asks for it, and looks whether somebody else uses it),
    /// <c>resume NUMBER ADDRESS SERVER</c> or <c>release NUMBER ADDRESS SERVER</c>.
    /// </summary>
    /// <param name="link">An interface, or <c>relay=OWN,SERVER</c> to be a relay agent.</param>
    /// <param name="task">What to do.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task RunAsync(string link, string[] task, CancellationToken cancellationToken)
    {
        await using var transport = Open(link);
        var clients = new Dhcp6Clients();
        await using var detector = task is ["detect", ..]
            ? new DuplicateAddressDetector(PacketLinkChannel.Open(NetworkInterfaces.TryRead(link)!.Link, NeighborFilter.For(0)), TimeProvider.System) : null;
        clients._detect = detector is null ? null : address => detector.ProbeAsync(address, _probe, cancellationToken);
        clients.Begin(task);
        await Task.WhenAll(
            transport.RunAsync(clients, cancellationToken), clients.LoopAsync(transport, cancellationToken),
            detector?.RunAsync(null, cancellationToken) ?? Task.CompletedTask);
    }

    private static IDhcp6Transport Open(string link)
    {
        if (!link.StartsWith("relay=", StringComparison.Ordinal))
            return new PacketDhcp6Transport(PacketLinkChannel.Open(NetworkInterfaces.TryRead(link)!.Link, Dhcp6Filter.For(0)), TimeProvider.System);
        var addresses = link["relay=".Length..].Split(',').Select(IPv6Address.Parse).ToArray();
        var header = new Dhcp6RelayHeader(addresses[0], IPv6Address.Parse("fe80::1234"), "lab"u8.ToArray());
        return new RelayDhcp6Transport(new Relay6Socket(addresses[0], TimeProvider.System), header, [addresses[1]], ownsSocket: true);
    }

    public void Received(Dhcp6Message message, IPv6Address source) => _inbox.Writer.TryWrite((message, source));

    public void Dropped(Dhcp6DropReason reason) => Console.WriteLine($"dropped {reason}");

    public void Send(Dhcp6Client client, Dhcp6Message message)
    {
        _outbox.Enqueue(message);
        Print("sent", client, $"{message.Type}");
    }

    public string? RefuseAddress(Dhcp6Client client, IPv6Address address) => null;

    public void DetectDuplicate(Dhcp6Client client, IPv6Address address) => _ = ProbeAsync(client, address);

    public void Conflict(Dhcp6Client client, IPv6Address address) => Print("conflict", client, $"{address}");

    public void StateChanged(Dhcp6Client client, Dhcp6ClientState from, Dhcp6ClientState to)
    {
    }

    public void Bound(Dhcp6Client client, Dhcp6Lease lease) => Print("bound", client, $"{lease.Address} {lease.ServerId}");

    public void Renewed(Dhcp6Client client, Dhcp6Lease lease) => Print("renewed", client, $"{lease.Address} {lease.ServerId}");

    public void Recovered(Dhcp6Client client, Dhcp6Lease lease) => Print("recovered", client, $"{lease.Address}");

    public void Changed(Dhcp6Client client, IPv6Address from, Dhcp6Lease lease) => Print("changed", client, $"{lease.Address}");

    public void Lost(Dhcp6Client client, Dhcp6Lease lease, Dhcp6LossReason reason) => Print("lost", client, $"{lease.Address} {reason}");

    public void Released(Dhcp6Client client, Dhcp6Lease? lease) => Print("released", client, $"{lease?.Address}");

    public void ReplyDropped(Dhcp6Client client, Dhcp6DropReason reason, string? detail) => Print("refused", client, $"{reason} {detail}");

    private void Begin(string[] task)
    {
        if (task is ["detect", var wanted])
        {
            NewClient(1, rapid: false).Acquire(Now, IPv6Address.Parse(wanted));
            return;
        }
        int number = int.Parse(task[1], CultureInfo.InvariantCulture);
        if (task is ["resume" or "release", _, var address, var server])
        {
            if (!Dhcp6Duid.TryParse(server, out var duid))
                throw new FormatException($"'{server}' is not a DUID.");
            var lease = new Dhcp6Lease
            {
                Address = IPv6Address.Parse(address),
                ServerId = duid,
                PreferredSeconds = 300,
                ValidSeconds = 600,
                ObtainedAt = Now,
                T1 = Now + TimeSpan.FromSeconds(150),
                T2 = Now + TimeSpan.FromSeconds(240),
                ExpiresAt = Now + TimeSpan.FromSeconds(600),
            };
            var client = NewClient(number, rapid: false);
            if (string.Equals(task[0], "resume", StringComparison.Ordinal))
                client.Resume(lease, Now);
            else
                client.Release(lease, Now);
            return;
        }
        for (int i = 1; i <= number; i++)
            NewClient(i, string.Equals(task[0], "rapid", StringComparison.Ordinal)).Acquire(Now, null);
    }

    private Dhcp6Client NewClient(int number, bool rapid)
    {
        var settings = Dhcp6ClientSettings.Default with { FirstDelay = TimeSpan.Zero, ReleaseDelay = TimeSpan.Zero, RapidCommit = rapid };
        if (_detect is not null)
            settings = settings with { DuplicateDetection = 1.2 * _probe };
        var identity = new Dhcp6ClientIdentity(Dhcp6Duid.FromUuid(new Guid(number, 0, 0, new byte[8])));
        _clients.Add(new Dhcp6Client(identity, settings, this, _ids, DhcpRandom.Secure));
        return _clients[^1];
    }

    private async Task ProbeAsync(Dhcp6Client client, IPv6Address address)
    {
        if (await _detect!(address) is not null)
            _inbox.Writer.TryWrite((client, address));
    }

    private async Task LoopAsync(IDhcp6Transport transport, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            foreach (var client in _clients)
                client.Tick(Now);
            while (_inbox.Reader.TryRead(out var received))
            {
                if (received.Subject is Dhcp6Client conflicted)
                    conflicted.ReportConflict(received.Address, Now);
                else if (received.Subject is Dhcp6Message message && _ids.TryFind(message.TransactionId, out var client))
                    client.Receive(message, received.Address, Now);
            }
            while (_outbox.TryDequeue(out var outgoing))
                await transport.SendAsync(outgoing, cancellationToken);
            var pause = _clients.Min(client => client.NextDeadline) - Now ?? TimeSpan.FromSeconds(1);
            pause = TimeSpan.FromMilliseconds(Math.Clamp(pause.TotalMilliseconds, 0, 1000));
            using var wake = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var waiting = _inbox.Reader.WaitToReadAsync(wake.Token).AsTask();
            await Task.WhenAny(waiting, Task.Delay(pause, TimeProvider.System, wake.Token));
            await wake.CancelAsync();
        }
    }

    private void Print(string what, Dhcp6Client client, string text) => Console.WriteLine($"{what} {_clients.IndexOf(client) + 1} {text}");
}
