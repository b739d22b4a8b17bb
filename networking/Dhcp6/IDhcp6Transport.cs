using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>Takes what a transport receives.</summary>
public interface IDhcp6Receiver
{
    /// <summary>A well-formed message and its sender. Called on the transport's receive loop: hand it to the owner's loop and return.</summary>
    void Received(Dhcp6Message message, IPv6Address source);

    /// <summary>A datagram that was dropped below the client. Called on the transport's receive loop.</summary>
    void Dropped(Dhcp6DropReason reason);
}

/// <summary>How DHCPv6 messages travel. One transport serves all clients on an interface, told apart by their transaction ids. Thread-safe.</summary>
public interface IDhcp6Transport : IAsyncDisposable
{
    /// <summary>Sends a message to all servers on the link. A link that is down loses it, as a network would: the client's timers repeat it.</summary>
    ValueTask SendAsync(Dhcp6Message message, CancellationToken cancellationToken);

    /// <summary>Receives until cancelled. Faults of the wire or the link never end it.</summary>
    Task RunAsync(IDhcp6Receiver receiver, CancellationToken cancellationToken);
}
