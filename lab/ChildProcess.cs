using System.Diagnostics;
using System.Runtime.InteropServices;

namespace DynamicLb.Lab;

/// <summary>A process of ours whose output goes to a file; killed on disposal.</summary>
public sealed partial class ChildProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly string _logFile;
    private bool _disposed;

    private ChildProcess(Process process, string logFile)
    {
        _process = process;
        _logFile = logFile;
    }

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has ended by itself.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>
    /// Starts <paramref name="program"/> (looked up in PATH) with its output appended to <paramref name="logFile"/>. It dies with this
    /// process, also when this process is killed.
    /// </summary>
    public static ChildProcess Start(string program, IReadOnlyList<string> arguments, string logFile, IReadOnlyDictionary<string, string>? environment = null, string? networkNamespace = null)
    {
        // The shell, setpriv and ip replace themselves by the program, so that the process id is the program's; the shell opens the log
        // because Process offers pipes only.
        string[] inNamespace = networkNamespace is null ? [] : ["ip", "netns", "exec", networkNamespace];
        var start = new ProcessStartInfo("/bin/sh",
            ["-c", "exec setpriv --pdeathsig KILL \"$@\" >>\"$0\" 2>&1 </dev/null", logFile, .. inNamespace, program, .. arguments]);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        return new ChildProcess(StartingThread.Run(() => Process.Start(start)!), logFile);
    }

    /// <summary>Runs a program to its end and returns what it printed; an exit code other than 0 is an exception with its standard error.</summary>
    public static async Task<string> OutputOfAsync(string program, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        var error = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return process.ExitCode == 0
            ? await output
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {await error}");
    }

    /// <summary>Sends a signal by name (TERM, KILL, STOP, CONT, USR1); it has been sent on return. To a process that has ended nothing is sent.</summary>
    /// <remarks>A program for it would take its time to start on a busy machine, and times are measured from here.</remarks>
    public void Signal(string name)
    {
        int number = name switch
        {
            "KILL" => 9,
            "USR1" => 10,
            "TERM" => 15,
            "CONT" => 18,
            "STOP" => 19,
            _ => throw new ArgumentException($"unknown signal {name}", nameof(name)),
        };
        if (!_process.HasExited)
            _ = SendSignal(Id, number);
    }

    /// <summary>Waits for the process to end.</summary>
    public Task WaitForExitAsync(CancellationToken cancellationToken) => _process.WaitForExitAsync(cancellationToken);

    /// <summary>The last lines of the log.</summary>
    public string LogTail(int lines = 20) => File.Exists(_logFile) ? string.Join('\n', File.ReadLines(_logFile).TakeLast(lines)) : "";

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SendSignal(int pid, int signal);
}
