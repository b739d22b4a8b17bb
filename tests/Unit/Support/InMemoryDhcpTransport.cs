using System.Collections.Concurrent;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Support;

/// <summary>
/// A transport whose LAN is a list of <see cref="FakeDhcpServer"/>: everything goes through the codec, answers are delivered before
/// <see cref="SendAsync"/> returns, on its caller's thread. <see cref="Loses"/> drops client messages, <see cref="Sent"/> lists them.
/// </summary>
internal sealed class InMemoryDhcpTransport(params FakeDhcpServer[] servers) : IDhcpTransport
{
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile IDhcpReceiver? _receiver;

    public ConcurrentQueue<(DhcpMessage Message, DhcpDestination Destination)> Sent { get; } = new();

    public ConcurrentDictionary<MacAddress, bool> Joined { get; } = new();

    /// <summary>Whether a client's message is lost on its way.</summary>
    public Func<DhcpMessage, bool> Loses { get; set; } = _ => false;

    /// <summary>Completes when somebody receives.</summary>
    public Task Started => _started.Task;

    public ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken)
    {
        var seen = Recode(message);
        Sent.Enqueue((seen, destination));
        if (Loses(seen))
            return ValueTask.CompletedTask;
        foreach (var server in servers)
        {
            if (!destination.IsBroadcast && destination.Server != server.Id)
                continue;
            foreach (var answer in server.Handle(seen))
                _receiver?.Received(new DhcpReply(Recode(answer), server.Mac, server.Id));
        }
        return ValueTask.CompletedTask;
    }

    public void Join(MacAddress hardwareAddress) => Joined[hardwareAddress] = true;

    public void Leave(MacAddress hardwareAddress) => Joined.TryRemove(hardwareAddress, out _);

    public async Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        _started.TrySetResult();
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _receiver = null;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>What arrives of a message that travels as bytes.</summary>
    public static DhcpMessage Recode(DhcpMessage message)
    {
        var bytes = new byte[message.EncodedLength];
        int length = message.Write(bytes);
        return DhcpMessage.TryParse(bytes.AsSpan(0, length), out var parsed, out var reason)
            ? parsed
            : throw new InvalidOperationException($"The message does not survive the codec: {reason}.");
    }
}
