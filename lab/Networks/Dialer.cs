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

    /// <summary>Dials until cancelled. Prints a line for each connection: when it was begun, in milliseconds since 1970; behind a minus sign when it did not come about within a second.</summary>
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
    public static TimeSpan LongestGap(string file, DateTimeOffset since) =>
        Gaps.Longest(Read(file).Where(begun => begun >= since.ToUnixTimeMilliseconds()).Select(DateTimeOffset.FromUnixTimeMilliseconds));

    /// <summary>From a moment to the last connection since then that did not come about; zero when all did. Where a router spreads connections, some go well all the time.</summary>
    public static TimeSpan UntilLastFailure(string file, DateTimeOffset since)
    {
        long start = since.ToUnixTimeMilliseconds();
        return TimeSpan.FromMilliseconds(Read(file).Where(begun => -begun >= start).Select(begun => -begun - start).DefaultIfEmpty(0).Max());
    }

    private static List<long> Read(string file)
    {
        using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        var begun = new List<long>();
        while (reader.ReadLine() is { } line)
        {
            if (long.TryParse(line, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long each))
                begun.Add(each);
        }
        return begun;
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
            await output.WriteLineAsync((-begun).ToString(CultureInfo.InvariantCulture));
        }
    }
}
