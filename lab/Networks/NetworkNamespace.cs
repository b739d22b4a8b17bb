using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DynamicLb.Lab.Networks;

/// <summary>A network namespace of the lab; deleted, with everything that runs in it, on disposal.</summary>
public sealed partial class NetworkNamespace : IAsyncDisposable
{
    private NetworkNamespace(string name) => Name = name;

    /// <summary>Its name under /run/netns.</summary>
    public string Name { get; }

    /// <summary>Makes the namespace and brings up its loopback interface.</summary>
    public static async Task<NetworkNamespace> CreateAsync(string name, CancellationToken cancellationToken)
    {
        await ChildProcess.OutputOfAsync("ip", ["netns", "add", name], cancellationToken);
        var created = new NetworkNamespace(name);
        await created.IpAsync("link set lo up", cancellationToken);
        return created;
    }

    /// <summary>Runs ip(8) on the namespace; the arguments are separated by blanks.</summary>
    public Task<string> IpAsync(string arguments, CancellationToken cancellationToken) =>
        ChildProcess.OutputOfAsync("ip", ["-n", Name, .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)], cancellationToken);

    /// <summary>Runs a program in the namespace to its end and returns its output.</summary>
    public Task<string> RunAsync(string program, IReadOnlyList<string> arguments, CancellationToken cancellationToken) =>
        ChildProcess.OutputOfAsync("ip", ["netns", "exec", Name, program, .. arguments], cancellationToken);

    /// <summary>Starts a program in the namespace.</summary>
    public ChildProcess Start(string program, IReadOnlyList<string> arguments, string logFile, IReadOnlyDictionary<string, string>? environment = null) =>
        ChildProcess.Start(program, arguments, logFile, environment, Name);

    /// <summary>A socket in this namespace, where it stays whoever uses it.</summary>
    public Socket CreateTcpSocket() => Inside(static () => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));

    /// <summary>Calls a function on a thread that enters this namespace and ends there: sockets that it makes, and threads that it starts, stay in it.</summary>
    public T Inside<T>(Func<T> make)
    {
        const int NewNetwork = 0x40000000;
        T? made = default;
        Exception? fault = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var handle = File.OpenHandle(Path.Combine("/run/netns", Name));
                if (SetNamespace(handle, NewNetwork) != 0)
                    throw new Win32Exception(Marshal.GetLastPInvokeError(), $"The namespace {Name} cannot be entered");
                made = make();
            }
            catch (Exception e)
            {
                fault = e;
            }
        });
        thread.Start();
        thread.Join();
        return fault is null ? made! : throw new InvalidOperationException(fault.Message, fault);
    }

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetNamespace(SafeFileHandle handle, int kind);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await Leftovers.RemoveNamespaceAsync(Name, CancellationToken.None);
}
