using System.Collections.Concurrent;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Arp;

/// <summary>Takes what an <see cref="ArpProber"/> hears.</summary>
public interface IArpReceiver
{
    /// <summary>Another host has an address that was probed a moment ago, or probes it, too. Called on the prober's receive loop: hand it on and return.</summary>
    void Heard(IPv4Address address, MacAddress host);

    /// <summary>Another host uses an address that is watched. Called on the prober's receive loop: hand it on and return.</summary>
    void Used(IPv4Address address, MacAddress host);
}

/// <summary>
/// Asks a link whether addresses are in use (RFC 5227): sends ARP probes and listens. It answers nothing and announces nothing. Thread-safe.
/// </summary>
public sealed class ArpProber : IAddressProber
{
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    // When each address was probed last: what is heard of others is nobody's business here, and a busy network has much to say.
    private readonly ConcurrentDictionary<IPv4Address, long> _probed = new();
    private readonly ILinkChannel _channel;
    private readonly TimeProvider _time;
    private long _sendFaults;

    /// <summary>Takes a channel over, to be disposed with the prober.</summary>
    /// <param name="channel">Whole Ethernet frames on one interface, best filtered by <see cref="ArpPacket.FilterFor"/>.</param>
    /// <param name="time">Clock.</param>
    public ArpProber(ILinkChannel channel, TimeProvider time)
    {
        _channel = channel;
        _time = time;
    }

    /// <summary>Addresses whose use by other hosts is told at any time; null for none.</summary>
    public AddressWatch<IPv4Address>? Watch { get; init; }

    /// <summary>Probes the kernel did not take: the link was down, or its queue full.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>
    /// Sends one probe: a broadcast request from the interface's own MAC, whatever source DHCP frames bear, so that the answer reaches us; from the address
    /// 0.0.0.0, so that no host learns anything from it. Whoever has the address is reported for five seconds.
    /// </summary>
    public async ValueTask ProbeAsync(IPv4Address address, CancellationToken cancellationToken)
    {
        Forget();
        _probed[address] = _time.GetTimestamp();
        var own = _channel.Link.Mac;
        byte[] frame = new byte[ArpPacket.FrameLength];
        new ArpPacket(ArpOperation.Request, own, IPv4Address.Any, MacAddress.Zero, address).Write(frame, own, MacAddress.Broadcast);
        try
        {
            await _channel.SendAsync(frame, cancellationToken);
        }
        catch (Exception fault) when (fault is SocketException or IOException or ObjectDisposedException)
        {
            Interlocked.Increment(ref _sendFaults);
        }
    }

    /// <summary>Listens until cancelled. Faults of the wire or the link never end it.</summary>
    public async Task RunAsync(IArpReceiver receiver, CancellationToken cancellationToken)
    {
        var buffer = new byte[256];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await _channel.ReceiveAsync(buffer, cancellationToken);
                if (!ArpPacket.TryParse(buffer.AsSpan(0, length), out _, out var packet) || packet.SenderMac == _channel.Link.Mac)
                    continue;
                if (_probed.TryGetValue(packet.ClaimedAddress, out long at) && _time.GetElapsedTime(at) <= Window)
                    receiver.Heard(packet.ClaimedAddress, packet.SenderMac);
                // Who only asks whether the address is free does not use it.
                if (!packet.SenderAddress.IsAny && Watch?.IsNews(packet.SenderAddress, packet.SenderMac) == true)
                    receiver.Used(packet.SenderAddress, packet.SenderMac);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (Exception fault) when (fault is SocketException or IOException)
            {
                // A link that goes down says so once.
                await Task.Delay(PauseAfterFault, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _channel.DisposeAsync();

    private void Forget()
    {
        foreach (var (address, at) in _probed)
        {
            if (_time.GetElapsedTime(at) > Window)
                _probed.TryRemove(new KeyValuePair<IPv4Address, long>(address, at));
        }
    }
}
