using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Speaker.Bgp;

/// <summary>
/// Takes the connections that routers make, for the sessions that they belong to: a socket for each family and VRF that has peers. Others' connections are closed. Unnumbered peers and
/// those with TCP-AO are not among the peers: we connect to them. Where the port cannot be had, it is tried again.
/// </summary>
internal sealed partial class BgpListening(int port, Func<IEnumerable<BgpPeerSession>> sessions, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);
    private readonly Dictionary<(AddressFamily Family, string? Device), Place> _places = [];

    /// <summary>Whether a peer's connections can be taken.</summary>
    public static bool Serves(BgpPeerPlan plan) => plan.Address is not null && plan.Password.Kind is BgpAuthentication.None or BgpAuthentication.Md5;

    /// <summary>Takes up a changed set of peers. Called by one loop, before sessions with new peers begin.</summary>
    public void Follow(IEnumerable<BgpPeerPlan> plans)
    {
        var wanted = plans.Where(Serves).ToLookup(static plan => (plan.Address!.AddressFamily, plan.Vrf));
        foreach (var (key, place) in _places.Where(entry => !wanted.Contains(entry.Key)).ToList())
        {
            _places.Remove(key);
            _ = place.DisposeAsync().AsTask();
        }
        foreach (var group in wanted)
        {
            if (!_places.TryGetValue(group.Key, out var place))
                _places.Add(group.Key, place = new Place(this, group.Key.AddressFamily, group.Key.Vrf));
            place.Follow(group);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var place in _places.Values)
            await place.DisposeAsync();
        _places.Clear();
    }

    [LoggerMessage(1, LogLevel.Error, "BGP: connections of routers to port {Port} cannot be taken: {Cause}")]
    private static partial void LogNotListening(ILogger logger, int port, string cause);

    [LoggerMessage(2, LogLevel.Information, "BGP: routers can connect to port {Port} ({Family})")]
    private static partial void LogListening(ILogger logger, int port, AddressFamily family);

    [LoggerMessage(3, LogLevel.Debug, "BGP: a connection of {Address} was closed, there is no such peer")]
    private static partial void LogStranger(ILogger logger, string address);

    /// <summary>One socket, and who may connect to it.</summary>
    private sealed class Place : IAsyncDisposable
    {
        private readonly BgpListening _owner;
        private readonly AddressFamily _family;
        private readonly string? _device;
        private readonly CancellationTokenSource _stopping = new();
        private readonly Lock _gate = new();
        private readonly Task _running;
        private readonly HashSet<IPAddress> _withoutKey = [];
        private Dictionary<IPAddress, BgpPeerPlan> _keys = [];
        private BgpListener? _listener;
        private string _told = "";

        public Place(BgpListening owner, AddressFamily family, string? device)
        {
            (_owner, _family, _device) = (owner, family, device);
            _running = Task.Run(RunAsync);
        }

        public void Follow(IEnumerable<BgpPeerPlan> plans)
        {
            var keys = plans.Where(static plan => plan.Password.Kind == BgpAuthentication.Md5).DistinctBy(static plan => plan.Address!).ToDictionary(static plan => plan.Address!);
            lock (_gate)
            {
                foreach (var address in _keys.Keys.Where(address => !keys.ContainsKey(address)))
                {
                    _listener?.RemoveKey(address);
                    _withoutKey.Remove(address);
                }
                foreach (var (address, plan) in keys)
                {
                    if (!_keys.TryGetValue(address, out var before) || before.Password != plan.Password)
                        Set(plan);
                }
                _keys = keys;
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _stopping.CancelAsync();
            await _running;
            _stopping.Dispose();
        }

        private async Task RunAsync()
        {
            var cancellationToken = _stopping.Token;
            while (!cancellationToken.IsCancellationRequested)
            {
                try
                {
                    await ServeAsync(cancellationToken);
                }
                catch (Exception e) when (e is SocketException or NotSupportedException or OperationCanceledException)
                {
                    if (!cancellationToken.IsCancellationRequested)
                        Tell(e.Message);
                }
                await Task.Delay(RetryAfter, _owner.Time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        /// <summary>Takes connections until that fails.</summary>
        private async Task ServeAsync(CancellationToken cancellationToken)
        {
            using var listener = BgpListener.Open(_family, _owner.Port, _device);
            try
            {
                lock (_gate)
                {
                    _listener = listener;
                    foreach (var plan in _keys.Values)
                        Set(plan);
                }
                // Not before it has the keys: what comes earlier would be taken unsigned.
                listener.Listen();
                LogListening(_owner.Logger, _owner.Port, _family);
                _told = "";
                while (true)
                    Take(await listener.AcceptAsync(cancellationToken));
            }
            finally
            {
                // Before the socket is closed: others set keys on it.
                lock (_gate)
                    _listener = null;
            }
        }

        private void Set(BgpPeerPlan plan)
        {
            try
            {
                _withoutKey.Remove(plan.Address!);
                _listener?.SetKey(plan.Transport(plan.Address!));
            }
            catch (NotSupportedException e)
            {
                // Without its key anybody could be that peer.
                _withoutKey.Add(plan.Address!);
                Tell(e.Message);
            }
        }

        private void Tell(string cause)
        {
            if (cause != _told)
                LogNotListening(_owner.Logger, _owner.Port, cause);
            _told = cause;
        }

        private void Take(Socket socket)
        {
            IPAddress remote, local;
            try
            {
                (remote, local) = (((IPEndPoint)socket.RemoteEndPoint!).Address, ((IPEndPoint)socket.LocalEndPoint!).Address);
            }
            catch (SocketException)
            {
                socket.Dispose();
                return;
            }
            var peers = _owner.Sessions().Where(session => Serves(session.Plan) && session.Plan.Address!.Equals(remote) && session.Plan.Vrf == _device
                && (session.Plan.Source is null || session.Plan.Source.Equals(local))).ToList();
            // Of several sessions with one router, one that is missing.
            lock (_gate)
            {
                if (_withoutKey.Contains(remote))
                    peers.Clear();
            }
            if ((peers.Find(static session => session.Session.Status.State != BgpState.Established) ?? peers.FirstOrDefault()) is { } session)
            {
                session.Accept(socket);
                return;
            }
            LogStranger(_owner.Logger, remote.ToString());
            socket.Dispose();
        }
    }

    private int Port => port;

    private Func<IEnumerable<BgpPeerSession>> Sessions => sessions;

    private TimeProvider Time => time;

    private ILogger Logger => logger;
}
