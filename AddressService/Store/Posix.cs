using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DynamicLb.AddressService.Store;

/// <summary>The calls that .NET has no wrapper for.</summary>
internal static partial class Posix
{
    private const int ReadOnlyFolder = 0x10000 | 0x80000; // O_DIRECTORY | O_CLOEXEC
    private const int ClockBoottime = 7;

    /// <summary>Makes renames and removals in a folder durable: fsync(2) of the folder itself, which FileStream refuses to open.</summary>
    public static void SyncFolder(string path)
    {
        int descriptor = Open(path, ReadOnlyFolder);
        if (descriptor < 0)
            throw new IOException($"{path} cannot be opened: {Marshal.GetLastPInvokeErrorMessage()}");
        try
        {
            if (Sync(descriptor) != 0)
                throw new IOException($"{path} cannot be synced: {Marshal.GetLastPInvokeErrorMessage()}");
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    /// <summary>fdatasync(2): makes what was written durable, and of the file's own data only what is needed to find it.</summary>
    public static void SyncData(SafeFileHandle file)
    {
        if (SyncData(file.DangerousGetHandle().ToInt32()) != 0)
            throw new IOException($"a file cannot be synced: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>CLOCK_BOOTTIME: monotonic, and goes on while the machine sleeps.</summary>
    public static TimeSpan BootTime()
    {
        if (ClockGetTime(ClockBoottime, out var time) != 0)
            throw new InvalidOperationException(Marshal.GetLastPInvokeErrorMessage());
        return TimeSpan.FromTicks((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / 100));
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int descriptor);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int SyncData(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    private static partial int ClockGetTime(int clock, out TimeSpec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
