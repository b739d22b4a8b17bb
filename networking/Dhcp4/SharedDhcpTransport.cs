using System.Collections.Immutable;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// A transport with further users beside its owner, for a socket that there can be only one of, as a relay's port 67. Everybody hears every reply and
/// drops what it did not ask for. Thread-safe.
/// </summary>
/// <param name="inner">The transport, to be disposed with this one.</param>
public sealed class SharedDhcpTransport(IDhcpTransport inner) : IDhcpTransport, IDhcpReceiver
{
    private ImmutableList<IDhcpReceiver> _receivers = [];

    /// <summary>The transport for another user. It receives while the owner does; disposing it ends nothing.</summary>
    public IDhcpTransport Share() => new User(this);

    /// <inheritdoc/>
    public ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken) =>
        inner.SendAsync(message, destination, cancellationToken);

    /// <inheritdoc/>
    public void Join(MacAddress hardwareAddress) => inner.Join(hardwareAddress);

    /// <inheritdoc/>
    public void Leave(MacAddress hardwareAddress) => inner.Leave(hardwareAddress);

    /// <inheritdoc/>
    public async Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken)
    {
        ImmutableInterlocked.Update(ref _receivers, static (all, one) => all.Add(one), receiver);
        try
        {
            await inner.RunAsync(this, cancellationToken);
        }
        finally
        {
            ImmutableInterlocked.Update(ref _receivers, static (all, one) => all.Remove(one), receiver);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => inner.DisposeAsync();

    void IDhcpReceiver.Received(in DhcpReply reply)
    {
        foreach (var receiver in _receivers)
            receiver.Received(reply);
    }

    void IDhcpReceiver.Dropped(DhcpDropReason reason)
    {
        foreach (var receiver in _receivers)
            receiver.Dropped(reason);
    }

    private sealed class User(SharedDhcpTransport owner) : IDhcpTransport
    {
        public ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken) =>
            owner.SendAsync(message, destination, cancellationToken);

        public void Join(MacAddress hardwareAddress) => owner.Join(hardwareAddress);

        public void Leave(MacAddress hardwareAddress) => owner.Leave(hardwareAddress);

        public async Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken)
        {
            ImmutableInterlocked.Update(ref owner._receivers, static (all, one) => all.Add(one), receiver);
            var end = new TaskCompletionSource();
            await using (cancellationToken.Register(end.SetResult))
                await end.Task;
            ImmutableInterlocked.Update(ref owner._receivers, static (all, one) => all.Remove(one), receiver);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
