using System.ComponentModel;
using System.Net.Sockets;

namespace DynamicLb.Networking.Netlink;

/// <summary>The interfaces of this network namespace, kept up to date.</summary>
public interface ILinkMonitor
{
    /// <summary>The interfaces as last seen; empty before the first look. Thread-safe.</summary>
    IReadOnlyList<InterfaceState> Current { get; }

    /// <summary>The interfaces were read anew and may differ. Called from the monitor's loop: must be quick and must not throw.</summary>
    event Action? Changed;

    /// <summary>Follows the interfaces until cancelled. To be called once.</summary>
    Task RunAsync(CancellationToken cancellationToken);
}

/// <summary>
/// Follows the interfaces by rtnetlink: a message that something changed leads to a fresh dump of everything. What a message says is not used, so that one that the kernel
/// had to drop (ENOBUFS) costs nothing but that dump.
/// </summary>
/// <param name="time">The clock.</param>
public sealed class LinkMonitor(TimeProvider time) : ILinkMonitor
{
    /// <summary>A look without any message, as a net under the rest.</summary>
    public static readonly TimeSpan LookAnyway = TimeSpan.FromSeconds(30);

    // A pod that starts changes several things within milliseconds.
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromSeconds(1);

    private volatile IReadOnlyList<InterfaceState> _current = [];

    /// <inheritdoc/>
    public event Action? Changed;

    /// <inheritdoc/>
    public IReadOnlyList<InterfaceState> Current => _current;

    /// <inheritdoc/>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var buffer = new byte[NetworkInterfaces.ReceiveBufferLength];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                // Subscribed before the first look: a change in between leads to another one.
                using var events = NetlinkSocket.Open(NetlinkSocket.LinkGroup | NetlinkSocket.IPv4AddressGroup | NetlinkSocket.IPv6AddressGroup);
                while (true)
                {
                    _current = NetworkInterfaces.Read();
                    Changed?.Invoke();
                    await HearAsync(events, buffer, cancellationToken);
                    await Task.Delay(Settle, time, cancellationToken);
                    Drain(events, buffer);
                }
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is SocketException or Win32Exception)
            {
                await Task.Delay(PauseAfterFault, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task HearAsync(Socket events, byte[] buffer, CancellationToken cancellationToken)
    {
        using var look = new CancellationTokenSource(LookAnyway, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, look.Token);
        try
        {
            _ = await events.ReceiveAsync(buffer.AsMemory(), SocketFlags.None, either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time to look anyway.
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.NoBufferSpaceAvailable)
        {
            // Messages were lost; the dump that follows makes up for them.
        }
    }

    private static void Drain(Socket events, byte[] buffer)
    {
        try
        {
            while (events.Available > 0)
                _ = events.Receive(buffer);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.NoBufferSpaceAvailable or SocketError.WouldBlock)
        {
            // As above.
        }
    }
}
