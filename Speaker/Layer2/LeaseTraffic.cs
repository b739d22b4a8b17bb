using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// Hears when somebody asks a DHCP server from the MAC of a lease whose address we announce: the address service renews it in this way (<c>transport: chaddr</c>), from another port of
/// the switch, which then takes that port for the address's.
/// </summary>
internal sealed class LeaseTraffic : IAsyncDisposable
{
    /// <summary>How long after that the switch is told again: the server's answer goes to who asked.</summary>
    public static readonly TimeSpan ReclaimAfter = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _stop = new();
    private readonly ILinkChannel _channel;
    private readonly ResponderContext _context;
    private readonly Task _receiving;

    /// <summary>Begins to listen.</summary>
    /// <param name="channel">Gets what other hosts ask DHCP servers; disposed with this.</param>
    /// <param name="context">What is announced with which MAC, and who is to be told.</param>
    public LeaseTraffic(ILinkChannel channel, ResponderContext context)
    {
        (_channel, _context) = (channel, context);
        _receiving = Task.Run(() => ReceiveAsync(_stop.Token));
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _channel.DisposeAsync();
        await _receiving;
        _stop.Dispose();
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        var frame = new byte[64];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await _channel.ReceiveAsync(frame, cancellationToken);
                if (length >= 2 * MacAddress.Length)
                    Hear(MacAddress.Read(frame.AsSpan(MacAddress.Length)));
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // The link is down; the responders have said so.
                await Task.Delay(PauseAfterFault, _context.Time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private void Hear(MacAddress source)
    {
        foreach (var address in _context.AddressesAt(source))
            _context.Displaced?.Invoke(address);
    }
}
