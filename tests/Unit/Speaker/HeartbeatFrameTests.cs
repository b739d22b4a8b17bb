using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class HeartbeatFrameTests
{
    private static readonly byte[] Key = Encoding.UTF8.GetBytes("0123456789abcdef0123456789abcdef");
    private static readonly MacAddress Source = MacAddress.Parse("02:00:00:00:00:01");
    private static readonly Heartbeat Beat = new(0x1122334455667788, 42, 100, true, false);

    [Fact]
    public void A_frame_that_is_written_is_read_back()
    {
        Assert.True(HeartbeatFrame.TryRead(Frame(), [Key], out var view));
        Assert.Equal((Beat, "node-a", Source), (view.Beat, view.Node, view.Source));
        Assert.True(view.Echoes(7) && view.Echoes(ulong.MaxValue) && !view.Echoes(8));
    }

    [Fact]
    public void The_longest_name_and_the_most_echoes_fit_with_room_for_padding()
    {
        var frame = new byte[HeartbeatFrame.MaxLength + 20];
        string name = new('n', HeartbeatFrame.MaxName);
        int length = HeartbeatFrame.Write(frame, Source, Beat, Encoding.UTF8.GetBytes(name), new ulong[HeartbeatFrame.MaxEchoes], Key);
        Assert.Equal(HeartbeatFrame.MaxLength, length);
        Assert.True(length <= 1514);
        Assert.True(HeartbeatFrame.TryRead(frame, [Key], out var view));
        Assert.Equal(name, view.Node);
    }

    [Fact]
    public void A_changed_bit_anywhere_behind_the_destination_and_a_cut_anywhere_are_refused()
    {
        var frame = Frame();
        for (int bit = 6 * 8; bit < frame.Length * 8; bit++)
        {
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(HeartbeatFrame.TryRead(frame, [Key], out _), $"bit {bit}");
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
        }
        for (int length = 0; length < frame.Length; length++)
            Assert.False(HeartbeatFrame.TryRead(frame.AsSpan(0, length), [Key], out _));
    }

    [Fact]
    public void Any_of_several_keys_is_accepted_and_none_without_a_key()
    {
        Assert.True(HeartbeatFrame.TryRead(Frame(), ["another"u8.ToArray(), Key], out _));
        Assert.False(HeartbeatFrame.TryRead(Frame(), ["another"u8.ToArray()], out _));
        Assert.False(HeartbeatFrame.TryRead(Frame(), [], out _));
    }

    [Fact]
    public void Random_frames_never_throw()
    {
        var random = new Random(5);
        var frame = new byte[HeartbeatFrame.MaxLength];
        for (int i = 0; i < 100_000; i++)
        {
            random.NextBytes(frame);
            Frame().AsSpan(12, random.Next(0, 20)).CopyTo(frame.AsSpan(12));
            Assert.False(HeartbeatFrame.TryRead(frame.AsSpan(0, random.Next(frame.Length + 1)), [Key], out _));
        }
    }

    [Fact]
    public void Writing_and_reading_allocates_nothing()
    {
        var frame = new byte[HeartbeatFrame.MaxLength];
        byte[][] keys = [Key];
        ulong[] echoes = [7, 8];
        byte[] name = Encoding.UTF8.GetBytes("node-a");
        long allocated = Allocations.LeastOf(() =>
        {
            for (int i = 0; i < 2000; i++)
            {
                int length = HeartbeatFrame.Write(frame, Source, Beat, name, echoes, Key);
                if (!HeartbeatFrame.TryRead(frame.AsSpan(0, length), keys, out var view) || !view.Echoes(8))
                    Assert.Fail("not read back");
            }
        });
        Assert.InRange(allocated, 0, 1000);
    }

    private static byte[] Frame()
    {
        var frame = new byte[HeartbeatFrame.MaxLength];
        int length = HeartbeatFrame.Write(frame, Source, Beat, Encoding.UTF8.GetBytes("node-a"), [7, ulong.MaxValue], Key);
        return frame[..length];
    }
}
