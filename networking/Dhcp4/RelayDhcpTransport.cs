using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// DHCP as a relay agent speaks it (RFC 2131 §4.1, RFC 1542 §4): plain UDP from this host's own address, port 67, to port 67 of each server, which answers
/// to that address. No packet socket, no MAC of ours on the wire, and with link or subnet selection no need to be on the subnet that is leased from.
/// One socket and one receive loop for all clients. Thread-safe.
/// </summary>
/// <remarks>For clients with <see cref="DhcpClientSettings.IsRelayed"/>.</remarks>
public sealed class RelayDhcpTransport : IDhcpTransport
{
    private const int RelayPort = 67;
    private const int LargestMessage = 65_535;
    private const int MaximumLearnt = 64;
    private const byte LinkSelectionSubOption = 5;
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly DhcpRelaySettings _settings;
    private readonly TimeProvider _time;
    private readonly Socket _socket;
    private readonly SocketAddress[] _servers;
    private readonly byte[]? _agentInformation;
    private long _sendFaults;
    private long _receiveFaults;

    // Which of the configured servers bears which identifier, where that is not the address we know it by. Replaced as a whole.
    private (IPv4Address Id, int Server)[] _learnt = [];

    /// <summary>Binds the socket; port 67 needs CAP_NET_BIND_SERVICE.</summary>
    /// <param name="settings">The relay's address and the servers.</param>
    /// <param name="time">Clock for the pause after a fault of the link.</param>
    /// <exception cref="ArgumentException">No server, or the relay's address is 0.0.0.0.</exception>
    /// <exception cref="SocketException">The address is not this host's, or its port 67 is taken by a DHCP server or another relay.</exception>
    public RelayDhcpTransport(DhcpRelaySettings settings, TimeProvider time)
        : this(settings, time, RelayPort, RelayPort)
    {
    }

    internal RelayDhcpTransport(DhcpRelaySettings settings, TimeProvider time, int port, int serverPort)
    {
        if (settings.Servers.Count == 0)
            throw new ArgumentException("A relay needs a server.", nameof(settings));
        if (settings.RelayAddress.IsAny)
            throw new ArgumentException("A relay needs an address of this host.", nameof(settings));
        _settings = settings;
        _time = time;
        _servers = [.. settings.Servers.Select(server => new IPEndPoint(server.ToIPAddress(), serverPort).Serialize())];
        _agentInformation = settings.LinkSelection is { } link ? LinkSelection(link) : null;
        _socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            _socket.Bind(new IPEndPoint(settings.RelayAddress.ToIPAddress(), port));
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    /// <summary>The port that is bound.</summary>
    internal int Port => ((IPEndPoint)_socket.LocalEndPoint!).Port;

    /// <summary>Messages the kernel did not take: the address is gone, there is no route, or its queue is full.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>Faults while receiving.</summary>
    public long ReceiveFaults => Volatile.Read(ref _receiveFaults);

    /// <inheritdoc/>
    public async ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken)
    {
        Relay(message);
        byte[] datagram = ArrayPool<byte>.Shared.Rent(message.EncodedLength);
        try
        {
            var bytes = datagram.AsMemory(0, message.Write(datagram));
            int only = destination.IsBroadcast ? -1 : Find(destination.Server);
            for (int i = 0; i < _servers.Length; i++)
            {
                if (only < 0 || only == i)
                    await SendAsync(bytes, _servers[i], cancellationToken);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(datagram);
        }
    }

    /// <inheritdoc/>
    public void Join(MacAddress hardwareAddress)
    {
        // Answers come to this host's own address.
    }

    /// <inheritdoc/>
    public void Leave(MacAddress hardwareAddress)
    {
        // As above.
    }

    /// <inheritdoc/>
    public async Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestMessage];
        var sender = new SocketAddress(AddressFamily.InterNetwork);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, sender, cancellationToken);
                var reason = Read(buffer.AsSpan(0, length), sender, out var reply);
                if (reason == DhcpDropReason.None)
                    receiver.Received(reply);
                else
                    receiver.Dropped(reason);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                Interlocked.Increment(ref _receiveFaults);
                await Task.Delay(PauseAfterFault, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>The same in every message, RELEASE and DECLINE included: servers look the lease up in the subnet that it names.</summary>
    private void Relay(DhcpMessage message)
    {
        message.Hops = 1;
        message.Broadcast = false;
        message.RelayAddress = _settings.RelayAddress;
        if (_settings.SubnetSelection is { } subnet)
            message.Options.SetAddress(DhcpOptionCode.SubnetSelection, subnet);
        if (_agentInformation is not null)
            message.Options.Set(DhcpOptionCode.RelayAgentInformation, _agentInformation);
    }

    private async ValueTask SendAsync(ReadOnlyMemory<byte> datagram, SocketAddress server, CancellationToken cancellationToken)
    {
        try
        {
            await _socket.SendToAsync(datagram, SocketFlags.None, server, cancellationToken);
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
        {
            Interlocked.Increment(ref _sendFaults);
        }
    }

    private DhcpDropReason Read(ReadOnlySpan<byte> datagram, SocketAddress sender, out DhcpReply reply)
    {
        reply = default;
        if (!DhcpMessage.TryParse(datagram, out var message, out var reason))
            return reason;
        if (!message.IsReply)
            return DhcpDropReason.NotAReply;
        if (message.RelayAddress != _settings.RelayAddress)
            return DhcpDropReason.OtherRelay;
        // Port and address, in network order, follow the two bytes of the family.
        var from = sender.Buffer.Span;
        var source = IPv4Address.Read(from[4..]);
        Learn(message.ServerId, source);
        reply = new DhcpReply(message, MacAddress.Zero, source, BinaryPrimitives.ReadUInt16BigEndian(from[2..]));
        return DhcpDropReason.None;
    }

    /// <returns>Index of the server that bears an identifier, or -1: then all of them are asked, and only that one will answer.</returns>
    private int Find(IPv4Address id)
    {
        int known = IndexOf(id);
        if (known >= 0)
            return known;
        foreach (var (learnt, server) in Volatile.Read(ref _learnt))
        {
            if (learnt == id)
                return server;
        }
        return -1;
    }

    /// <summary>A server with several addresses may name itself by one that is not reached from here.</summary>
    private void Learn(IPv4Address id, IPv4Address source)
    {
        var learnt = _learnt;
        if (id.IsAny || id == source || learnt.Length >= MaximumLearnt || Find(id) >= 0)
            return;
        int server = IndexOf(source);
        if (server >= 0)
            Volatile.Write(ref _learnt, [.. learnt, (id, server)]);
    }

    private int IndexOf(IPv4Address address)
    {
        for (int i = 0; i < _settings.Servers.Count; i++)
        {
            if (_settings.Servers[i] == address)
                return i;
        }
        return -1;
    }

    private static byte[] LinkSelection(IPv4Address link)
    {
        var option = new byte[2 + IPv4Address.Length];
        option[0] = LinkSelectionSubOption;
        option[1] = IPv4Address.Length;
        link.Write(option.AsSpan(2));
        return option;
    }
}
