using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace DynamicLb.Lab.Networks;

/// <summary>A client that opens a connection every 10 ms, whatever became of those before: how long nobody answered is what users notice of a failover.</summary>
public static class Dialer
{
    /// <summary>Pause between two connections.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Dials until cancelled. Prints a line for each connection that came about within a second: when it was begun, in milliseconds since 1970.</summary>
    public static async Task RunAsync(IPEndPoint server, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval, TimeProvider.System);
        var output = TextWriter.Synchronized(Console.Out);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
                _ = DialAsync(server, output);
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
    }

    /// <summary>The longest time without an answer since a moment, from what <see cref="RunAsync"/> printed; up to one <see cref="Interval"/> when there was none.</summary>
    public static TimeSpan LongestGap(string file, DateTimeOffset since)
    {
        using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        var answers = new List<DateTimeOffset>();
        while (reader.ReadLine() is { } line)
        {
            if (long.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out long begun) && begun >= since.ToUnixTimeMilliseconds())
                answers.Add(DateTimeOffset.FromUnixTimeMilliseconds(begun));
        }
        return Gaps.Longest(answers);
    }

    private static async Task DialAsync(IPEndPoint server, TextWriter output)
    {
        long begun = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        using var socket = new Socket(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        // No TIME_WAIT: a hundred a second would use up the ports.
        socket.LingerState = new LingerOption(true, 0);
        using var patience = new CancellationTokenSource(Patience, TimeProvider.System);
        try
        {
            await socket.ConnectAsync(server, patience.Token);
            await output.WriteLineAsync(begun.ToString(CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            // That is what is measured.
        }
    }
}
