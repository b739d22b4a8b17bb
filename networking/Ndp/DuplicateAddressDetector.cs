using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Ndp;

/// <summary>
/// Asks a link whether somebody uses an IPv6 address that we are about to (RFC 4862 §5.4): one Neighbor Solicitation from ::, then a wait.
/// Thread-safe.
/// </summary>
/// <remarks>
/// Who has the address advertises it to all nodes; who is about to take it, too, solicits it from ::. Frames with our own hardware address are
/// our own, thrown back by the network, and say nothing.
/// </remarks>
public sealed class DuplicateAddressDetector : IAsyncDisposable
{
    private const int LargestFrame = 2048;
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly ILinkChannel _channel;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly Dictionary<IPv6Address, TaskCompletionSource<MacAddress?>> _probes = [];
    private readonly Dictionary<IPv6Address, int> _groups = [];
    private readonly Socket? _membership;
    private long _sendFaults;

    /// <summary>Takes a channel over, to be disposed with the detector.</summary>
    /// <param name="channel">Whole Ethernet frames on one interface, best filtered by <see cref="NeighborFilter"/>.</param>
    /// <param name="time">Clock of the waits.</param>
    /// <param name="joinGroups">
    /// Whether to join the groups of the addresses in question, so that the interface and the switches before it (MLD snooping) let competing
    /// solicitations through.
    /// </param>
    public DuplicateAddressDetector(ILinkChannel channel, TimeProvider time, bool joinGroups = true)
    {
        _channel = channel;
        _time = time;
        _membership = joinGroups && Socket.OSSupportsIPv6 ? new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp) : null;
    }

    /// <summary>Addresses whose use by other hosts is told at any time; null for none.</summary>
    public AddressWatch<IPv6Address>? Watch { get; init; }

    /// <summary>Solicitations the kernel did not take: the link was down, or its queue full.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>Looks for another user of an address. A second call for the same address joins the first.</summary>
    /// <returns>The other's hardware address as soon as one is found, or null after the wait. A link that is down finds nobody.</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task<MacAddress?> ProbeAsync(IPv6Address address, TimeSpan wait, CancellationToken cancellationToken)
    {
        TaskCompletionSource<MacAddress?> probe;
        bool begun;
        lock (_lock)
        {
            begun = !_probes.TryGetValue(address, out probe!);
            if (begun)
            {
                probe = new TaskCompletionSource<MacAddress?>(TaskCreationOptions.RunContinuationsAsynchronously);
                _probes.Add(address, probe);
            }
        }
        if (!begun)
            return await probe.Task.WaitAsync(cancellationToken);
        int joined = Join(address.SolicitedNode);
        try
        {
            await SendAsync(address, cancellationToken);
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var waiting = Task.Delay(wait, _time, ended.Token);
            bool found = await Task.WhenAny(probe.Task, waiting) == probe.Task;
            await ended.CancelAsync();
            cancellationToken.ThrowIfCancellationRequested();
            return found ? await probe.Task : null;
        }
        finally
        {
            lock (_lock)
                _probes.Remove(address);
            probe.TrySetResult(null);
            Leave(address.SolicitedNode, joined);
        }
    }

    /// <summary>Receives until cancelled. Faults of the wire or the link never end it.</summary>
    /// <param name="used">Told of a host that uses an address of <see cref="Watch"/>, on the receive loop: hand it on and return.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task RunAsync(Action<IPv6Address, MacAddress>? used, CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestFrame];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await _channel.ReceiveAsync(buffer, cancellationToken);
                if (NeighborMessage.TryParse(buffer.AsSpan(0, length), out var message))
                    Take(message, used);
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
                await Task.Delay(PauseAfterFault, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _membership?.Dispose();
        await _channel.DisposeAsync();
    }

    private void Take(in NeighborMessage message, Action<IPv6Address, MacAddress>? used)
    {
        var user = message.Type == NeighborMessageType.Advertisement ? message.Target : message.Source;
        if (message.SourceMac != _channel.Link.Mac && used is not null && Watch?.IsNews(user, message.SourceMac) == true)
            used(user, message.SourceMac);
        // A solicitation from an address is a neighbour's that looks for the target, as the server does for who it has just granted it to.
        if (message.SourceMac == _channel.Link.Mac || (message.Type == NeighborMessageType.Solicitation && !message.Source.IsAny))
            return;
        TaskCompletionSource<MacAddress?>? probe;
        lock (_lock)
            _probes.TryGetValue(message.Target, out probe);
        probe?.TrySetResult(message.SourceMac);
    }

    private async ValueTask SendAsync(IPv6Address address, CancellationToken cancellationToken)
    {
        var frame = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(frame, _channel.Link.Mac, address);
        try
        {
            await _channel.SendAsync(frame, cancellationToken);
        }
        catch (Exception fault) when (fault is SocketException or IOException or ObjectDisposedException)
        {
            Interlocked.Increment(ref _sendFaults);
        }
    }

    /// <returns>Index of the interface it was joined on; 0 for none.</returns>
    private int Join(IPv6Address group)
    {
        int index = _channel.Link.Index;
        lock (_lock)
        {
            _groups[group] = _groups.GetValueOrDefault(group) + 1;
            return _groups[group] > 1 || TrySetMembership(SocketOptionName.AddMembership, group, index) ? index : 0;
        }
    }

    private void Leave(IPv6Address group, int index)
    {
        lock (_lock)
        {
            if (--_groups[group] > 0)
                return;
            _groups.Remove(group);
            if (index != 0)
                TrySetMembership(SocketOptionName.DropMembership, group, index);
        }
    }

    // Without the membership an advertisement still arrives, which goes to all nodes.
    private bool TrySetMembership(SocketOptionName option, IPv6Address group, int index)
    {
        try
        {
            _membership?.SetSocketOption(SocketOptionLevel.IPv6, option, new IPv6MulticastOption(group.ToIPAddress(), index));
            return _membership is not null;
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }
}
