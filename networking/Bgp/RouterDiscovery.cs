using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Bgp;

/// <summary>
/// Finds the router at the other end of an interface for an unnumbered session, by its Router Advertisements, and sends some of our own, by which it finds us. Ours say that we are
/// nobody's default router. Thread-safe.
/// </summary>
public sealed class RouterDiscovery(string interfaceName, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan Fast = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Slow = TimeSpan.FromSeconds(10);
    private const int FastRounds = 3;

    private readonly CancellationTokenSource _stopping = new();
    private TaskCompletionSource<IPAddress> _neighbor = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _running = Task.CompletedTask;

    /// <summary>Begins.</summary>
    public void Start() => _running = RunAsync(_stopping.Token);

    /// <summary>The router's link-local address, with its zone; waits for its first advertisement.</summary>
    public Task<IPAddress> NeighborAsync(CancellationToken cancellationToken) => Volatile.Read(ref _neighbor).Task.WaitAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _running;
        _stopping.Dispose();
    }

    private async Task RunAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                if (NetworkInterfaces.TryRead(interfaceName) is { IsUp: true } state)
                {
                    using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                    await using var channel = PacketLinkChannel.Open(state.Link, RouterAdvertisement.Filter);
                    var receiving = ReceiveAsync(channel, either.Token);
                    var sending = SendAsync(channel, either.Token);
                    await Task.WhenAny(receiving, sending);
                    await either.CancelAsync();
                    await Task.WhenAll(receiving, sending);
                }
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // The interface went down, or away: it is looked for again.
            }
            await Task.Delay(Fast, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task SendAsync(PacketLinkChannel channel, CancellationToken cancellationToken)
    {
        for (int round = 0; ; round++)
        {
            if (LocalIPv6Addresses.FindLinkLocal(channel.Link.Index) is { } own)
            {
                await channel.SendAsync(RouterAdvertisement.Advertisement(channel.Link.Mac, own), cancellationToken);
                if (round < FastRounds)
                    await channel.SendAsync(RouterAdvertisement.Solicitation(channel.Link.Mac, own), cancellationToken);
            }
            else
            {
                round = -1;
            }
            await Task.Delay(round < FastRounds ? Fast : Slow, time, cancellationToken);
        }
    }

    private async Task ReceiveAsync(PacketLinkChannel channel, CancellationToken cancellationToken)
    {
        var frame = new byte[2048];
        while (true)
        {
            int length = await channel.ReceiveAsync(frame, cancellationToken);
            if (!RouterAdvertisement.TryParse(frame.AsSpan(0, length), out var router))
                continue;
            var address = router.ToIPAddress(channel.Link.Index);
            if (!_neighbor.TrySetResult(address) && !_neighbor.Task.Result.Equals(address))
            {
                var other = new TaskCompletionSource<IPAddress>(TaskCreationOptions.RunContinuationsAsynchronously);
                other.SetResult(address);
                Volatile.Write(ref _neighbor, other);
            }
        }
    }
}
