using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>Takes what a transport receives.</summary>
public interface IDhcpReceiver
{
    /// <summary>
    /// A well-formed message from a server. Called on the transport's receive loop: hand it to the owner's loop and return. It is the receiver's now,
    /// which may <see cref="DhcpMessage.Recycle"/> it.
    /// </summary>
    void Received(in DhcpReply reply);

    /// <summary>A frame that was dropped below the client. Called on the transport's receive loop.</summary>
    void Dropped(DhcpDropReason reason);
}

/// <summary>How DHCP messages travel. One transport serves all clients on an interface. Thread-safe.</summary>
public interface IDhcpTransport : IAsyncDisposable
{
    /// <summary>Sends a message for a client. A link that is down loses it, as a network would: the client's timers repeat it. It is not kept.</summary>
    ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken);

    /// <summary>Makes replies that are addressed to this hardware address arrive, where the transport needs to be told.</summary>
    void Join(MacAddress hardwareAddress);

    /// <summary>Undoes <see cref="Join"/>.</summary>
    void Leave(MacAddress hardwareAddress);

    /// <summary>Receives until cancelled. Faults of the wire or the link never end it.</summary>
    Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken);
}
