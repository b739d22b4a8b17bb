using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Tests.Unit.Support;

/// <summary>An interface whose frames a test reads and writes.</summary>
internal sealed class FakeLinkChannel : ILinkChannel
{
    private readonly Lock _lock = new();
    private readonly List<byte[]> _sent = [];
    private readonly Channel<byte[]> _arriving = Channel.CreateUnbounded<byte[]>();

    public LinkInfo Link { get; set; } = new(7, "eth0", MacAddress.Parse("02:00:00:00:00:07"));

    /// <summary>The frames that were sent so far: a copy, since the sender may be another thread.</summary>
    public IReadOnlyList<byte[]> Sent
    {
        get { lock (_lock) return [.. _sent]; }
    }

    public bool HasPending => _arriving.Reader.Count > 0;

    public void Arrive(byte[] frame) => _arriving.Writer.TryWrite(frame);

    public ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        lock (_lock)
            _sent.Add(frame.ToArray());
        return ValueTask.CompletedTask;
    }

    public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var frame = await _arriving.Reader.ReadAsync(cancellationToken);
        frame.CopyTo(buffer);
        return frame.Length;
    }

    public void JoinUnicast(MacAddress address)
    {
    }

    public void LeaveUnicast(MacAddress address)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
