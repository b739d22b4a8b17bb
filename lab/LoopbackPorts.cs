using System.Net;
using System.Net.Sockets;

namespace DynamicLb.Lab;

/// <summary>
/// Ports of the loopback address for programs that must be told theirs. They are below those that the kernel gives to whoever asks for any (from 32768 on), and none is
/// given twice: between asking here and the program's start, or its next start, nobody else comes to have it by chance. Thread-safe.
/// </summary>
public static class LoopbackPorts
{
    // Neither our programs' own ports nor Kubernetes' node ports.
    private const int First = 20_000;
    private const int Count = 9_000;
    private static int _next = Random.Shared.Next(Count);

    /// <summary>A port that nobody listens on.</summary>
    public static int Take()
    {
        for (int tried = 0; tried < Count; tried++)
        {
            int port = First + (int)((uint)Interlocked.Increment(ref _next) % Count);
            if (IsFree(port))
                return port;
        }
        throw new InvalidOperationException($"All ports from {First} to {First + Count - 1} are in use.");
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
