using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.PacketSocket;

/// <summary>A network interface as a packet socket needs it.</summary>
/// <param name="Index">The kernel's index, unique within the network namespace.</param>
/// <param name="Name">Name, at most 15 characters.</param>
/// <param name="Mac">Hardware address.</param>
public sealed record LinkInfo(int Index, string Name, MacAddress Mac);

/// <summary>Whole Ethernet frames on one interface. One receiver at a time; sending is thread-safe.</summary>
/// <remarks>
/// While the link is down, receiving throws a <see cref="System.Net.Sockets.SocketException"/> once and goes on by itself when it is up again; after the interface was
/// removed nothing is received any more, so the owner has to watch for that.
/// </remarks>
public interface ILinkChannel : IAsyncDisposable
{
    /// <summary>The interface.</summary>
    LinkInfo Link { get; }

    /// <summary>Sends a frame, Ethernet header included, without padding or checksum.</summary>
    ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken);

    /// <summary>Receives a frame, Ethernet header included; one that is longer than the buffer is cut.</summary>
    /// <returns>Length in bytes.</returns>
    ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken);

    /// <summary>Makes the interface take frames for one more address, be it of a group (packet(7), PACKET_MR_UNICAST and PACKET_MR_MULTICAST).</summary>
    void JoinUnicast(MacAddress address);

    /// <summary>Undoes <see cref="JoinUnicast"/>.</summary>
    void LeaveUnicast(MacAddress address);

    /// <summary>Whether a received frame waits.</summary>
    bool HasPending { get; }

    /// <summary>Frames that the kernel dropped since the last call, since nobody received them in time (PACKET_STATISTICS).</summary>
    uint TakeDropped() => 0;
}
