using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Tests.Unit.Support;

/// <summary>An interface whose frames a test reads and writes.</summary>
internal sealed class FakeLinkChannel : ILinkChannel
{
    private readonly Channel<byte[]> _arriving = Channel.CreateUnbounded<byte[]>();

    public LinkInfo Link { get; set; } = new(7, "eth0", MacAddress.Parse("02:00:00:00:00:07"));

    public List<byte[]> Sent { get; } = [];

    public bool HasPending => _arriving.Reader.Count > 0;

    public void Arrive(byte[] frame) => _arriving.Writer.TryWrite(frame);

    public ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        Sent.Add(frame.ToArray());
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
