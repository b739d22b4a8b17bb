using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;

namespace DynamicLb.Networking.PacketSocket;

/// <summary>
/// Frames on an interface that is known by its name: a socket is bound to the kernel's index and falls silent for ever when the interface is removed,
/// so a new one is opened when an interface of that name comes again. Memberships are taken along.
/// </summary>
/// <remarks>While there is no such interface, sending throws a <see cref="SocketException"/> and receiving waits.</remarks>
public sealed class FollowingLinkChannel : ILinkChannel
{
    private readonly ILinkMonitor _monitor;
    private readonly Func<LinkInfo, ILinkChannel> _open;
    private readonly Lock _lock = new();
    private readonly HashSet<MacAddress> _joined = [];
    private TaskCompletionSource _came = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ILinkChannel? _inner;
    private volatile LinkInfo _link;
    private bool _isUp = true;
    private bool _isDisposed;

    /// <summary>Opens the first socket, or waits for the interface to come.</summary>
    /// <param name="link">The interface as it is now; index 0 for one that is not there.</param>
    /// <param name="monitor">Tells of changes; somebody else runs it.</param>
    /// <param name="open">Opens a socket.</param>
    /// <exception cref="SocketException">Not permitted (CAP_NET_RAW), or the interface is gone.</exception>
    public FollowingLinkChannel(LinkInfo link, ILinkMonitor monitor, Func<LinkInfo, ILinkChannel> open)
    {
        _link = link;
        _monitor = monitor;
        _open = open;
        _isUp = link.Index != 0;
        _inner = _isUp ? open(link) : null;
        monitor.Changed += Follow;
    }

    /// <summary>The interface can carry frames again after it could not: it was removed, down, or without a cable. Called from the monitor's loop.</summary>
    public event Action? Returned;

    /// <summary>The interface cannot carry frames any more. The text says why. Called from the monitor's loop.</summary>
    public event Action<string>? Gone;

    /// <inheritdoc/>
    public LinkInfo Link => _link;

    /// <summary>Whether the interface is there, up and plugged in. Thread-safe.</summary>
    public bool IsUp => Volatile.Read(ref _isUp);

    /// <inheritdoc/>
    public bool HasPending => _inner?.HasPending ?? false;

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        if (_inner is not { } channel)
            throw new SocketException((int)SocketError.NetworkDown);
        try
        {
            await channel.SendAsync(frame, cancellationToken);
        }
        catch (ObjectDisposedException) when (channel != _inner && !_isDisposed)
        {
            // It was exchanged meanwhile: the frame is lost, but whoever sent it goes on.
            throw new SocketException((int)SocketError.NetworkDown);
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (true)
        {
            var channel = _inner;
            if (channel is null)
            {
                await WaitAsync(cancellationToken);
                continue;
            }
            try
            {
                return await channel.ReceiveAsync(buffer, cancellationToken);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException && channel != _inner && !cancellationToken.IsCancellationRequested)
            {
                // It was exchanged meanwhile.
                ObjectDisposedException.ThrowIf(_isDisposed, this);
            }
        }
    }

    /// <inheritdoc/>
    public void JoinUnicast(MacAddress address)
    {
        lock (_lock)
        {
            if (_joined.Add(address))
                _inner?.JoinUnicast(address);
        }
    }

    /// <inheritdoc/>
    public void LeaveUnicast(MacAddress address)
    {
        lock (_lock)
        {
            if (_joined.Remove(address))
                _inner?.LeaveUnicast(address);
        }
    }

    /// <inheritdoc/>
    public uint TakeDropped() => _inner?.TakeDropped() ?? 0;

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _monitor.Changed -= Follow;
        ILinkChannel? inner;
        lock (_lock)
        {
            _isDisposed = true;
            inner = Exchange(null);
            _came.TrySetResult();
        }
        if (inner is not null)
            await inner.DisposeAsync();
    }

    private Task WaitAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _inner is null ? _came.Task.WaitAsync(cancellationToken) : Task.CompletedTask;
        }
    }

    private void Follow()
    {
        var state = _monitor.Current.FirstOrDefault(candidate => candidate.Link.Name == _link.Name);
        string? fault = null;
        ILinkChannel? old = null;
        lock (_lock)
        {
            if (_isDisposed)
                return;
            if (state is null || _inner is null || state.Link.Index != _link.Index)
                old = Exchange(state?.Link, out fault);
            else
                _link = state.Link;
        }
        _ = old?.DisposeAsync().AsTask();
        fault ??= state is null ? "it was removed" : !state.IsUp ? "it is down" : !state.HasCarrier ? "it has no carrier" : null;
        bool wasUp = IsUp;
        Volatile.Write(ref _isUp, fault is null);
        if (fault is null && (!wasUp || old is not null))
            Returned?.Invoke();
        else if (fault is not null && wasUp)
            Gone?.Invoke(fault);
    }

    /// <returns>What is to be disposed of.</returns>
    private ILinkChannel? Exchange(LinkInfo? link, out string? fault)
    {
        fault = null;
        if (link is null)
            return Exchange(null);
        try
        {
            var channel = _open(link);
            foreach (var address in _joined)
                channel.JoinUnicast(address);
            _link = link;
            return Exchange(channel);
        }
        catch (Exception e) when (e is SocketException or Win32Exception)
        {
            // The monitor looks again.
            fault = e.Message;
            return Exchange(null);
        }
    }

    private ILinkChannel? Exchange(ILinkChannel? channel)
    {
        var old = _inner;
        _inner = channel;
        if (channel is not null)
            _came.TrySetResult();
        else if (_came.Task.IsCompleted)
            _came = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return old;
    }
}
