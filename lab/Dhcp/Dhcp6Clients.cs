using System.Globalization;
using System.Net.NetworkInformation;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.Lab.Dhcp;

/// <summary>
/// DHCPv6 clients on one interface, which print what happens to them, a line each: event, client's number, address, server's DUID.
/// They share a transport and a loop, as in the address service.
/// </summary>
internal sealed class Dhcp6Clients : IDhcp6ClientEffects, IDhcp6Receiver
{
    private readonly Channel<(Dhcp6Message Message, IPv6Address Source)> _inbox = Channel.CreateBounded<(Dhcp6Message, IPv6Address)>(256);
    private readonly Dhcp6TransactionIds _ids = new(DhcpRandom.Secure);
    private readonly List<Dhcp6Client> _clients = [];
    private readonly Queue<Dhcp6Message> _outbox = new();
    private readonly long _start = TimeProvider.System.GetTimestamp();

    private TimeSpan Now => TimeProvider.System.GetElapsedTime(_start);

    /// <summary>Runs until cancelled: <c>acquire COUNT</c>, <c>rapid COUNT</c>, <c>resume NUMBER ADDRESS SERVER</c> or <c>release NUMBER ADDRESS SERVER</c>.</summary>
    public static async Task RunAsync(string link, string[] task, CancellationToken cancellationToken)
    {
        var properties = NetworkInterface.GetAllNetworkInterfaces().First(one => string.Equals(one.Name, link, StringComparison.Ordinal)).GetIPProperties();
        var own = properties.UnicastAddresses.First(one => one.Address.IsIPv6LinkLocal).Address;
        _ = IPv6Address.TryFrom(own, out var linkLocal);
        await using var transport = new UdpDhcp6Transport(linkLocal, properties.GetIPv6Properties().Index, TimeProvider.System);
        var clients = new Dhcp6Clients();
        clients.Begin(task);
        await Task.WhenAll(transport.RunAsync(clients, cancellationToken), clients.LoopAsync(transport, cancellationToken));
    }

    public void Received(Dhcp6Message message, IPv6Address source) => _inbox.Writer.TryWrite((message, source));

    public void Dropped(Dhcp6DropReason reason) => Console.WriteLine($"dropped {reason}");

    public void Send(Dhcp6Client client, Dhcp6Message message)
    {
        _outbox.Enqueue(message);
        Print("sent", client, $"{message.Type}");
    }

    public string? RefuseAddress(Dhcp6Client client, IPv6Address address) => null;

    public void DetectDuplicate(Dhcp6Client client, IPv6Address address)
    {
    }

    public void Conflict(Dhcp6Client client, IPv6Address address)
    {
    }

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
        var identity = new Dhcp6ClientIdentity(Dhcp6Duid.FromUuid(new Guid(number, 0, 0, new byte[8])));
        _clients.Add(new Dhcp6Client(identity, settings, this, _ids, DhcpRandom.Secure));
        return _clients[^1];
    }

    private async Task LoopAsync(UdpDhcp6Transport transport, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            foreach (var client in _clients)
                client.Tick(Now);
            while (_inbox.Reader.TryRead(out var received))
            {
                if (_ids.TryFind(received.Message.TransactionId, out var client))
                    client.Receive(received.Message, received.Source, Now);
            }
            while (_outbox.TryDequeue(out var message))
                await transport.SendAsync(message, cancellationToken);
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
