using System.Collections.Concurrent;
using System.ComponentModel;
using System.Net.Sockets;

namespace DynamicLb.Networking.Bfd;

/// <summary>
/// All BFD sessions of this host: their sockets, and one thread that receives, keeps the time and sends. A thread of its own, since sessions of 10 ms cannot queue behind other
/// work. Ports are bound when the first session needs them. Thread-safe; what it calls is called on that thread and must not block.
/// </summary>
/// <remarks>Needs CAP_NET_RAW for echo packets only.</remarks>
public sealed partial class BfdHost : IBfdHost, IDisposable
{
    private const int BufferLength = 512;
    private const int MostAtOnce = 64;
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(5);

    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly BfdSessionTable _table;
    private readonly ConcurrentQueue<Action> _commands = new();
    private readonly List<BfdReceiveSocket> _sockets = [];
    private readonly List<BfdEchoLink> _links = [];
    private readonly HashSet<(AddressFamily Family, BfdPort Port, string? Device)> _wanted = [];
    private readonly long[] _dropped = new long[Enum.GetValues<BfdDropReason>().Length];
    private readonly Lock _wakeLock = new();
    private readonly Thread _thread;
    private BfdSystemCalls.PollEntry[] _entries = [];
    private bool _mustOpen;
    private TimeSpan _retryAt = TimeSpan.MaxValue;
    private int _waker;
    private TimeSpan _now;
    private volatile bool _isStopping;

    /// <summary>Starts the thread; no port is bound yet.</summary>
    /// <param name="time">The clock.</param>
    /// <param name="random">For jitter, ports and discriminators; used by the thread alone.</param>
    public BfdHost(TimeProvider time, Random random)
    {
        _time = time;
        _start = time.GetTimestamp();
        Random = random;
        _table = new BfdSessionTable(random, new Effects(this));
        _waker = BfdSystemCalls.OpenWaker();
        if (_waker < 0)
            throw new Win32Exception("eventfd");
        _thread = new Thread(Run) { IsBackground = true, Name = "bfd" };
        _thread.Start();
    }

    /// <summary>A port, or the socket for echo packets, could not be opened; it is tried again.</summary>
    public event Action<string, Exception>? Faulted;

    /// <summary>The loop ended by a fault that nobody foresaw.</summary>
    public event Action<Exception>? Ended;

    internal Random Random { get; }

    /// <inheritdoc/>
    public long Dropped(BfdDropReason reason) => Volatile.Read(ref _dropped[(int)reason]);

    /// <inheritdoc/>
    public IBfdWatch Watch(BfdSettings settings, BfdPath path, Action<BfdChange>? changed = null)
    {
        var watch = new BfdWatch(this, path, changed);
        Post(() =>
        {
            Want(path, settings);
            watch.Session = _table.Add(settings, path, _now);
            watch.Session.Tag = watch;
            watch.Publish(watch.Session);
        });
        return watch;
    }

    /// <summary>Ends all sessions, each peer being told that this is no failure, and the thread.</summary>
    public void Dispose()
    {
        if (_isStopping)
            return;
        _isStopping = true;
        Wake();
        if (Environment.CurrentManagedThreadId != _thread.ManagedThreadId)
            _thread.Join();
    }

    internal void Configure(BfdWatch watch, BfdSettings settings) => Post(() =>
    {
        if (watch.Session is not { } session)
            return;
        Want(watch.Path, settings);
        _table.Configure(session, settings, _now);
        watch.Publish(session);
    });

    internal void SetAdminDown(BfdWatch watch, bool isDown) => Post(() =>
    {
        if (watch.Session is { } session)
            _table.SetAdminDown(session, isDown, _now);
    });

    internal void Remove(BfdWatch watch) => Post(() => RemoveNow(watch));

    private void RemoveNow(BfdWatch watch)
    {
        if (watch.Session is not { } session)
            return;
        watch.Session = null;
        _table.Remove(session, _now);
        watch.Close();
    }

    private void Post(Action command)
    {
        _commands.Enqueue(command);
        Wake();
    }

    private void Wake()
    {
        lock (_wakeLock)
        {
            if (_waker >= 0)
                BfdSystemCalls.Wake(_waker);
        }
    }

    private void Want(BfdPath path, BfdSettings settings)
    {
        var family = path.Peer.AddressFamily;
        _mustOpen |= _wanted.Add((family, path.IsMultiHop ? BfdPort.MultiHop : BfdPort.SingleHop, path.Device));
        if (settings.UsesEcho && path.CanEcho)
            _mustOpen |= _wanted.Add((family, BfdPort.Echo, path.Device));
    }

    private void Run()
    {
        try
        {
            BfdSystemCalls.TakePrecedence();
            while (!_isStopping)
            {
                _now = _time.GetElapsedTime(_start);
                while (_commands.TryDequeue(out var command))
                    command();
                if (_mustOpen || _now >= _retryAt)
                    OpenPorts();
                _table.Advance(_now);
                Wait();
                // First what has come: a thread that stood still must not take its own pause for the peers' silence.
                _now = _time.GetElapsedTime(_start);
                Receive();
            }
            _now = _time.GetElapsedTime(_start);
            foreach (var session in _table.Sessions.ToList())
                RemoveNow((BfdWatch)session.Tag!);
        }
#pragma warning disable CA1031 // The owner decides what becomes of the process; a thread must not decide it for all.
        catch (Exception fault)
#pragma warning restore CA1031
        {
            Ended?.Invoke(fault);
        }
        finally
        {
            Close();
        }
    }

    private void Close()
    {
        foreach (var session in _table.Sessions)
            ((BfdWatch)session.Tag!).Close();
        foreach (var socket in _sockets)
            socket.Dispose();
        foreach (var link in _links)
            link.Dispose();
        lock (_wakeLock)
        {
            _ = BfdSystemCalls.Close(_waker);
            _waker = -1;
        }
    }

    private unsafe void Wait()
    {
        if (_entries.Length != 1 + _sockets.Count + _links.Count)
            _entries = new BfdSystemCalls.PollEntry[1 + _sockets.Count + _links.Count];
        _entries[0] = new() { Handle = _waker, Events = BfdSystemCalls.PollIn };
        for (int i = 0; i < _sockets.Count; i++)
            _entries[1 + i] = new() { Handle = _sockets[i].Handle, Events = BfdSystemCalls.PollIn };
        for (int i = 0; i < _links.Count; i++)
            _entries[1 + _sockets.Count + i] = new() { Handle = _links[i].Handle, Events = BfdSystemCalls.PollIn };
        var due = _table.NextDue < _retryAt ? _table.NextDue : _retryAt;
        // Rounded up: waking before the time would be waking twice.
        int pause = due == TimeSpan.MaxValue ? -1 : (int)Math.Clamp(Math.Ceiling((due - _time.GetElapsedTime(_start)).TotalMilliseconds), 0, int.MaxValue);
        fixed (BfdSystemCalls.PollEntry* entries = _entries)
            _ = BfdSystemCalls.Poll(entries, (nuint)_entries.Length, pause);
        if (_entries[0].Returned != 0)
            BfdSystemCalls.Rest(_waker);
    }

    private void Receive()
    {
        Span<byte> buffer = stackalloc byte[BufferLength];
        int sockets = _sockets.Count;
        for (int i = 0; i < sockets; i++)
        {
            if (_entries[1 + i].Returned == 0)
                continue;
            var socket = _sockets[i];
            for (int left = MostAtOnce; left > 0; left--)
            {
                int length = socket.TryReceive(buffer, out var arrival);
                if (length < 0)
                    break;
                if (socket.Port == BfdPort.Echo)
                    ReflectEcho(socket, arrival, buffer[..length]);
                else
                    ReceiveControl(arrival, buffer[..length]);
            }
        }
        for (int i = 0; i < _links.Count && 1 + sockets + i < _entries.Length; i++)
        {
            if (_entries[1 + sockets + i].Returned != 0)
                ReceiveEchoes(_links[i], buffer);
        }
    }

    private void ReceiveControl(in BfdArrival arrival, ReadOnlySpan<byte> datagram)
    {
        var reason = _table.Receive(arrival, datagram, _now, out var session);
        if (reason != BfdDropReason.None)
            _dropped[(int)reason]++;
        if (session?.Tag is not BfdWatch watch || reason is not (BfdDropReason.None or BfdDropReason.AdminDown))
            return;
        watch.CountControlIn();
        watch.Publish(session);
        if (session.Settings.UsesEcho && watch.Path.CanEcho && (watch.ArrivalInterface != arrival.Interface || watch.ArrivalAddress != arrival.Destination))
            FollowEcho(watch, arrival);
    }

    private void OpenPorts()
    {
        _mustOpen = false;
        _retryAt = TimeSpan.MaxValue;
        foreach (var (family, port, device) in _wanted)
        {
            if (_sockets.Exists(socket => socket.Family == family && socket.Port == port && socket.Device == device))
                continue;
            try
            {
                _sockets.Add(BfdReceiveSocket.Open(family, port, device));
            }
            catch (SocketException fault)
            {
                _retryAt = _now + RetryPause;
                Faulted?.Invoke($"UDP port {(int)port}{(family == AddressFamily.InterNetworkV6 ? " of IPv6" : "")}", fault);
            }
        }
    }

    private sealed class Effects(BfdHost host) : IBfdEffects
    {
        public void Send(BfdSession session, ReadOnlySpan<byte> packet) => (session.Tag as BfdWatch)?.Send(packet);

        public bool SendEcho(BfdSession session, ReadOnlySpan<byte> packet) => session.Tag is BfdWatch watch && host.SendEcho(watch, packet);

        public void Changed(BfdSession session, BfdState before) => (session.Tag as BfdWatch)?.Tell(session, before);
    }
}
