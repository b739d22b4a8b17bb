using System.Buffers;
using System.Net;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// DHCP as a relay agent speaks it (RFC 2131 §4.1, RFC 1542 §4): plain UDP from this host's own address, port 67, to port 67 of each server, which answers
/// to that address. No packet socket, no MAC of ours on the wire, and with link or subnet selection no need to be on the subnet that is leased from.
/// One socket for all clients, and for further transports that lease from other subnets. Thread-safe.
/// </summary>
/// <remarks>For clients with <see cref="DhcpClientSettings.IsRelayed"/>.</remarks>
public sealed class RelayDhcpTransport : IDhcpTransport
{
    private const int MaximumLearnt = 64;
    private const byte LinkSelectionSubOption = 5;

    private readonly RelaySocket _socket;
    private readonly DhcpRelaySettings _settings;
    private readonly bool _ownsSocket;
    private readonly SocketAddress[] _servers;
    private readonly byte[]? _agentInformation;

    // Which of the configured servers bears which identifier, where that is not the address we know it by. Replaced as a whole.
    private (IPv4Address Id, int Server)[] _learnt = [];

    /// <param name="socket">The relay's address.</param>
    /// <param name="settings">The servers, and the subnet to lease from.</param>
    /// <param name="ownsSocket">Whether the socket is disposed with the transport.</param>
    /// <exception cref="ArgumentException">No server.</exception>
    public RelayDhcpTransport(RelaySocket socket, DhcpRelaySettings settings, bool ownsSocket = false)
    {
        if (settings.Servers.Count == 0)
            throw new ArgumentException("A relay needs a server.", nameof(settings));
        _socket = socket;
        _settings = settings;
        _ownsSocket = ownsSocket;
        _servers = [.. settings.Servers.Select(server => new IPEndPoint(server.ToIPAddress(), socket.ServerPort).Serialize())];
        _agentInformation = settings.LinkSelection is { } link ? LinkSelection(link) : null;
    }

    /// <summary>The relay's address.</summary>
    public RelaySocket Socket => _socket;

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
                    await _socket.SendAsync(bytes, _servers[i], cancellationToken);
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
    public Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken) =>
        _socket.ListenAsync(new LearningReceiver(this, receiver), cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _ownsSocket ? _socket.DisposeAsync() : ValueTask.CompletedTask;

    /// <summary>The same in every message, RELEASE and DECLINE included: servers look the lease up in the subnet that it names.</summary>
    private void Relay(DhcpMessage message)
    {
        message.Hops = 1;
        message.Broadcast = false;
        message.RelayAddress = _socket.Address;
        if (_settings.SubnetSelection is { } subnet)
            message.Options.SetAddress(DhcpOptionCode.SubnetSelection, subnet);
        if (_agentInformation is not null)
            message.Options.Set(DhcpOptionCode.RelayAgentInformation, _agentInformation);
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

    private sealed class LearningReceiver(RelayDhcpTransport transport, IDhcpReceiver receiver) : IDhcpReceiver
    {
        public void Received(in DhcpReply reply)
        {
            transport.Learn(reply.Message.ServerId, reply.SourceAddress);
            receiver.Received(reply);
        }

        public void Dropped(DhcpDropReason reason) => receiver.Dropped(reason);
    }
}
