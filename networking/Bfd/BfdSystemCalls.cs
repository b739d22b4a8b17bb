using System.Runtime.InteropServices;

namespace DynamicLb.Networking.Bfd;

/// <summary>
/// What the base class library does not offer: receiving with the TTL (recvmsg(2), ip(7), ipv6(7)), and waiting for many sockets without garbage (poll(2)). Layouts are those of
/// 64-bit Linux.
/// </summary>
internal static unsafe partial class BfdSystemCalls
{
    public const short PollIn = 1;
    public const int DontWait = 0x40;

    private const int Precedence = -10;
    private const int NonBlocking = 0x800;
    private const int CloseOnExec = 0x80000;

    /// <summary>Opens a counter that wakes whoever polls it (eventfd(2)).</summary>
    public static int OpenWaker() => OpenEvent(0, NonBlocking | CloseOnExec);

    /// <summary>Asks that the calling thread go before others, where the process may ask (CAP_SYS_NICE); else it goes on as it is.</summary>
    public static void TakePrecedence() => _ = SetPriority(0, 0, Precedence);

    /// <summary>Wakes.</summary>
    public static void Wake(int waker)
    {
        ulong one = 1;
        _ = Write(waker, &one, sizeof(ulong));
    }

    /// <summary>Makes the waker wait for the next call.</summary>
    public static void Rest(int waker)
    {
        ulong count;
        _ = Read(waker, &count, sizeof(ulong));
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(PollEntry* entries, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    public static partial nint ReceiveMessage(int handle, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int handle);

    [LibraryImport("libc", EntryPoint = "eventfd")]
    private static partial int OpenEvent(uint value, int flags);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, uint who, int value);

    [LibraryImport("libc", EntryPoint = "read")]
    private static partial nint Read(int handle, void* buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint Write(int handle, void* buffer, nuint length);

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PollEntry
    {
        public int Handle;
        public short Events;
        public short Returned;
    }

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Vector
    {
        public byte* Base;
        public nuint Length;
    }

    /// <summary>struct msghdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct MessageHeader
    {
        public byte* Name;
        public uint NameLength;
        public Vector* Vectors;
        public nuint VectorCount;
        public byte* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
