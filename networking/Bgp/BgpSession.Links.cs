using System.Buffers;
using System.Net.Sockets;

namespace DynamicLb.Networking.Bgp;

/// <content>Connections, and the bytes on them.</content>
public sealed partial class BgpSession
{
    private const int SendBufferLength = 128 * 1024;

    private int Join(IBgpConnection connection)
    {
        var link = new Link(++_lastConnection, connection, _time);
        _links.Add(link.Id, link);
        _ = ReceiveAsync(link);
        return link.Id;
    }

    private async Task ReceiveAsync(Link link)
    {
        string cause = "the router closed the connection";
        byte[] buffer = ArrayPool<byte>.Shared.Rent(2 * BgpWire.LongestExtendedMessage);
        int filled = 0;
        try
        {
            while (true)
            {
                int read = await link.Connection.ReceiveAsync(buffer.AsMemory(filled), link.Cancellation.Token);
                if (read == 0)
                    break;
                if (link.IsClosing)
                    continue;
                filled += read;
                var done = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
                if (!_inbox.Writer.TryWrite(() => done.SetResult(Consume(link, buffer.AsSpan(0, filled)))))
                    continue;
                int consumed = await done.Task;
                buffer.AsSpan(consumed, filled - consumed).CopyTo(buffer);
                filled -= consumed;
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException or IOException)
        {
            cause = e is SocketException socket ? Words(socket) : e.Message;
        }
        ArrayPool<byte>.Shared.Return(buffer);
        link.Connection.Dispose();
        link.Ended.TrySetResult();
        Post(() =>
        {
            _links.Remove(link.Id);
            if (!link.IsClosing)
            {
                link.IsClosing = true;
                _fsm.Closed(link.Id, cause, Now);
            }
        });
    }

    private int Consume(Link link, ReadOnlySpan<byte> bytes)
    {
        int consumed = 0;
        while (!link.IsClosing)
        {
            if (BgpWire.TryFrame(bytes[consumed..], _fsm.TakesExtended(link.Id), out int length, out var error))
            {
                var message = bytes.Slice(consumed, length);
                Counters.CountReceived(BgpWire.TypeOf(message));
                _fsm.Received(link.Id, message, Now);
                consumed += length;
                continue;
            }
            if (error is not null)
                _fsm.BadFrame(link.Id, error, Now);
            return consumed;
        }
        return bytes.Length;
    }

    /// <summary>Sends what waits: what the machine says first, then routes.</summary>
    private void Pump(Link link)
    {
        if (link.IsSending)
            return;
        var sending = link.Sending;
        sending.ResetWrittenCount();
        sending.Write(link.Waiting.WrittenSpan);
        link.Waiting.ResetWrittenCount();
        while (link.TakesRoutes && !link.IsClosing && sending.WrittenCount < SendBufferLength)
        {
            var room = sending.GetMemory(BgpWire.LongestExtendedMessage);
            int length = _rib.TryWrite(room);
            if (length == 0)
                break;
            Counters.CountSent(BgpWire.TypeOf(room.Span));
            sending.Advance(length);
        }
        if (sending.WrittenCount == 0)
        {
            if (link.TakesRoutes)
                _fsm.Sending(link.Id, false, Now);
            if (link is { IsClosing: true, IsFinished: false })
            {
                link.IsFinished = true;
                link.Connection.Finish();
            }
            return;
        }
        link.IsSending = true;
        _fsm.Sending(link.Id, true, Now);
        _ = SendAsync(link);
    }

    private async Task SendAsync(Link link)
    {
        try
        {
            await link.Connection.SendAsync(link.Sending.WrittenMemory, link.Cancellation.Token);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException or IOException)
        {
            // The receiver sees it, too, and tells.
            await link.Cancellation.CancelAsync();
            return;
        }
        if (!_inbox.Writer.TryWrite(Sent))
        {
            // The loop has ended: these were the last words, unless more came to wait meanwhile.
            if (link.Waiting.WrittenCount > 0)
                await link.Connection.SendAsync(link.Waiting.WrittenMemory, link.Cancellation.Token).AsTask().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            link.Connection.Finish();
        }

        void Sent()
        {
            link.IsSending = false;
            Pump(link);
        }
    }

    private sealed class Link(int id, IBgpConnection connection, TimeProvider time)
    {
        public int Id => id;

        public IBgpConnection Connection => connection;

        /// <summary>What the machine wants said.</summary>
        public ArrayBufferWriter<byte> Waiting { get; } = new(256);

        /// <summary>What is on its way.</summary>
        public ArrayBufferWriter<byte> Sending { get; } = new(4096);

        public CancellationTokenSource Cancellation { get; } = new(Timeout.InfiniteTimeSpan, time);

        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool IsSending { get; set; }

        public bool TakesRoutes { get; set; }

        public volatile bool IsClosing;

        public bool IsFinished { get; set; }
    }
}
