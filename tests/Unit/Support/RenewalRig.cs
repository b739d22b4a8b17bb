using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Support;

/// <summary>
/// Clients that hold leases, over the transport and the frames of the real service, before a server that makes no garbage; in virtual time, on the
/// caller's thread. Shared with the benchmarks.
/// </summary>
internal sealed class RenewalRig : IDhcpClientEffects, IDhcpReceiver, IAsyncDisposable
{
    private readonly Queue<(DhcpMessage Message, DhcpDestination Destination)> _outbox = new();
    private readonly Queue<DhcpReply> _inbox = new();
    private readonly EchoingDhcpLink _link;
    private readonly PacketDhcpTransport _transport;
    private readonly TransactionIds _ids = new(DhcpRandom.Secure);
    private readonly DhcpClient[] _clients;
    private TimeSpan _now = TimeSpan.FromHours(1);

    public RenewalRig(int clients, uint leaseSeconds)
    {
        _link = new EchoingDhcpLink(leaseSeconds);
        _transport = new PacketDhcpTransport(_link, DhcpFrameSource.Nic, TimeProvider.System);
        // On the pool, where no synchronization context asks for another thread.
        Task.Run(() => { _ = _transport.RunAsync(this, CancellationToken.None); }).GetAwaiter().GetResult();
        _clients = [.. Enumerable.Range(1, clients).Select(NewClient)];
        foreach (var client in _clients)
        {
            client.Acquire(_now, null);
            Deliver();
        }
    }

    public long Renewals { get; private set; }

    public long FramesSent => _link.Sent;

    public int BoundClients => _clients.Count(client => client.State == DhcpClientState.Bound);

    /// <summary>Lets every client renew so many times. Returns the bytes that this allocated.</summary>
    public long Renew(int times)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < times; i++)
        {
            foreach (var client in _clients)
            {
                if (client.NextDeadline is { } due && due > _now)
                    _now = due;
                client.Tick(_now);
                Deliver();
            }
        }
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    public async ValueTask DisposeAsync()
    {
        await _transport.DisposeAsync();
        await _link.DisposeAsync();
    }

    void IDhcpReceiver.Received(in DhcpReply reply) => _inbox.Enqueue(reply);

    void IDhcpReceiver.Dropped(DhcpDropReason reason) => throw new InvalidOperationException($"dropped: {reason}");

    void IDhcpClientEffects.Send(DhcpClient client, DhcpMessage message, in DhcpDestination destination) => _outbox.Enqueue((message, destination));

    string? IDhcpClientEffects.RefuseAddress(DhcpClient client, IPv4Address address, in DhcpReply reply) => null;

    void IDhcpClientEffects.StateChanged(DhcpClient client, DhcpClientState from, DhcpClientState to)
    {
    }

    void IDhcpClientEffects.Bound(DhcpClient client, DhcpLease lease)
    {
    }

    void IDhcpClientEffects.Renewed(DhcpClient client, DhcpLease lease) => Renewals++;

    void IDhcpClientEffects.Recovered(DhcpClient client, DhcpLease lease) => throw Unexpected();

    void IDhcpClientEffects.Changed(DhcpClient client, IPv4Address from, DhcpLease lease) => throw Unexpected();

    void IDhcpClientEffects.Suspect(DhcpClient client, DhcpLease lease) => throw Unexpected();

    void IDhcpClientEffects.Lost(DhcpClient client, DhcpLease lease, DhcpLossReason reason) => throw Unexpected();

    void IDhcpClientEffects.Released(DhcpClient client, DhcpLease? lease) => throw Unexpected();

    void IDhcpClientEffects.NakReceived(DhcpClient client, IPv4Address server, string? text) => throw Unexpected();

    void IDhcpClientEffects.ReplyDropped(DhcpClient client, DhcpDropReason reason, string? detail, in DhcpReply reply) =>
        throw new InvalidOperationException($"dropped: {reason} {detail}");

    private static InvalidOperationException Unexpected() => new("no lease here is ever lost");

    private DhcpClient NewClient(int number)
    {
        var mac = new MacAddress(0x024c_4200_0000 + (ulong)number);
        var identity = new DhcpClientIdentity(mac, DhcpClientIdentity.HardwareClientId(mac), "web-demo", "address-service");
        return new DhcpClient(identity, DhcpClientSettings.Default, this, _ids, DhcpRandom.Secure);
    }

    private void Deliver()
    {
        while (_outbox.TryDequeue(out var item))
        {
            var sent = _transport.SendAsync(item.Message, item.Destination, CancellationToken.None);
            if (!sent.IsCompletedSuccessfully)
                throw new InvalidOperationException("the frame was not sent at once");
            item.Message.Recycle();
            while (_inbox.TryDequeue(out var reply))
            {
                if (!_ids.TryFind(reply.Message.TransactionId, out var client))
                    throw new InvalidOperationException("nobody waits for the answer");
                client.Receive(reply, _now);
                reply.Message.Recycle();
            }
        }
    }
}
