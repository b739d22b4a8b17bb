using System.Collections.Immutable;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Networking.Bfd;

namespace DynamicLb.Speaker.Bfd;

/// <summary>The BFD sessions of this node: one for each path, however many watch it. The host, with its thread and its ports, is made for the first.</summary>
internal sealed partial class BfdSessions : IDisposable
{
    private readonly Func<IBfdHost> _create;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly Dictionary<BfdPath, Shared> _sessions = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IBfdHost? _host;
    private ImmutableArray<IBfdWatch> _watches = [];

    public BfdSessions(TimeProvider time, ILogger<BfdSessions> logger)
    {
        _logger = logger;
        _create = () =>
        {
            var host = new BfdHost(time, Random.Shared);
            host.Faulted += (what, fault) => LogFault(_logger, what, fault.Message);
            host.Ended += fault => _ended.TrySetException(fault);
            return host;
        };
    }

    internal BfdSessions(IBfdHost host, ILogger<BfdSessions> logger) => (_create, _logger) = (() => host, logger);

    /// <summary>All sessions.</summary>
    public IReadOnlyList<IBfdWatch> Watches
    {
        get
        {
            lock (_gate)
                return _watches;
        }
    }

    /// <summary>Packets that were dropped for a reason.</summary>
    public long Dropped(BfdDropReason reason) => Volatile.Read(ref _host)?.Dropped(reason) ?? 0;

    /// <summary>Ends with the token; fails when the host does.</summary>
    public async Task RunAsync(CancellationToken cancellationToken) =>
        await _ended.Task.WaitAsync(cancellationToken).ConfigureAwait(cancellationToken.IsCancellationRequested ? ConfigureAwaitOptions.SuppressThrowing : ConfigureAwaitOptions.None);

    /// <summary>Watches a router. Who watches the same path shares one session, which the profile of the first of them rules.</summary>
    /// <param name="path">The router, and how it is reached: see <see cref="BfdPaths"/>.</param>
    /// <param name="profile">The parameters.</param>
    /// <param name="changed">
    /// Told of each change of state, on BFD's own thread: must not block. Only one with <see cref="BfdChange.IsFailure"/> says that the path is broken; a session that never came
    /// up, or that either side took down on purpose, says nothing.
    /// </param>
    public IBfdSession Watch(BfdPath path, BfdProfile profile, Action<BfdChange> changed)
    {
        lock (_gate)
        {
            if (!_sessions.TryGetValue(path, out var shared))
            {
                _host ??= _create();
                shared = new Shared(this, path);
                shared.Watch = _host.Watch(BfdPaths.Settings(profile.Spec), path, shared.Tell);
                _sessions.Add(path, shared);
                _watches = _watches.Add(shared.Watch);
            }
            var watcher = new Watcher(shared, profile, changed);
            shared.Watchers = shared.Watchers.Add(watcher);
            return watcher;
        }
    }

    public void Dispose()
    {
        (_host as IDisposable)?.Dispose();
        _ended.TrySetResult();
    }

    private void Configure(Watcher watcher, BfdProfile profile)
    {
        lock (_gate)
        {
            if (watcher.Profile == profile)
                return;
            watcher.Profile = profile;
            Apply(watcher.Shared);
        }
    }

    private void Remove(Watcher watcher)
    {
        lock (_gate)
        {
            var shared = watcher.Shared;
            if (!shared.Watchers.Contains(watcher))
                return;
            shared.Watchers = shared.Watchers.Remove(watcher);
            if (!shared.Watchers.IsEmpty)
            {
                Apply(shared);
                return;
            }
            _sessions.Remove(shared.Path);
            _watches = _watches.Remove(shared.Watch);
            shared.Watch.Dispose();
        }
    }

    private static void Apply(Shared shared) => shared.Watch.Configure(BfdPaths.Settings(shared.Watchers[0].Profile.Spec));

    /// <summary>A session and who watches it.</summary>
    private sealed class Shared(BfdSessions owner, BfdPath path)
    {
        public BfdPath Path => path;

        public IBfdWatch Watch { get; set; } = null!;

        public ImmutableArray<Watcher> Watchers { get; set; } = [];

        public BfdSessions Owner => owner;

        public void Tell(BfdChange change)
        {
            ImmutableArray<Watcher> watchers;
            lock (owner._gate)
                watchers = Watchers;
            if (change.IsFailure)
                LogFailed(owner._logger, path.Peer.ToString(), change.Diagnostic.Describe());
            else if (change.After is BfdState.Up || change.Before is BfdState.Up)
                LogChanged(owner._logger, path.Peer.ToString(), change.After, change.Diagnostic.Describe());
            foreach (var watcher in watchers)
                watcher.Changed(change);
        }
    }

    private sealed class Watcher(Shared shared, BfdProfile profile, Action<BfdChange> changed) : IBfdSession
    {
        public Shared Shared => shared;

        public BfdProfile Profile { get; set; } = profile;

        public Action<BfdChange> Changed => changed;

        public BfdStatus Status => shared.Watch.Status;

        public void Configure(BfdProfile profile) => shared.Owner.Configure(this, profile);

        public void Dispose() => shared.Owner.Remove(this);
    }

    [LoggerMessage(1, LogLevel.Warning, "BFD: the path to {Peer} failed: {Cause}")]
    private static partial void LogFailed(ILogger logger, string peer, string cause);

    [LoggerMessage(2, LogLevel.Information, "BFD: the session with {Peer} is {State}: {Cause}")]
    private static partial void LogChanged(ILogger logger, string peer, BfdState state, string cause);

    [LoggerMessage(3, LogLevel.Error, "BFD: {What} could not be opened: {Cause}")]
    private static partial void LogFault(ILogger logger, string what, string cause);
}
