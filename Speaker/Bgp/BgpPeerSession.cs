using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Speaker.Bgp;

/// <summary>The session with one peer, with what it needs beside it: the router's address on an unnumbered link, BFD, the log.</summary>
internal sealed partial class BgpPeerSession : IBgpSessionObserver, IAsyncDisposable
{
    private readonly IBfdSessions? _bfd;
    private readonly RouterDiscovery? _discovery;
    private readonly uint _fallbackRouterId;
    private readonly ILogger _logger;
    private readonly Action _changed;
    private IDisposable? _path;
    private IPAddress? _peer;
    private string _told = "";

    public BgpPeerSession(BgpPeerPlan plan, string node, IBfdSessions? bfd, TimeProvider time, Random random, ILogger logger, Action changed)
    {
        Plan = plan;
        _bfd = bfd;
        _logger = logger;
        _changed = changed;
        _fallbackRouterId = BitConverter.ToUInt32(SHA256.HashData(Encoding.UTF8.GetBytes(node))) | 1;
        if (plan.Interface is { } name)
        {
            _discovery = new RouterDiscovery(name, time);
            _discovery.Start();
        }
        Session = new BgpSession(plan.Settings, ConnectAsync, this, time, random);
    }

    public BgpPeerPlan Plan { get; }

    public BgpSession Session { get; }

    /// <summary>Takes a connection that the router made.</summary>
    public void Accept(Socket socket)
    {
        try
        {
            BgpTcp.ConfigureAccepted(socket, Plan.Transport(Plan.Address!));
            var connection = new BgpTcpConnection(socket, Plan.RouterId, _fallbackRouterId);
            _peer = Plan.Address;
            Session.Accept(connection);
        }
        catch (Exception e) when (e is SocketException or Win32Exception or ObjectDisposedException)
        {
            LogNotTaken(_logger, Plan.Name, Plan.Label, e.Message);
            socket.Dispose();
        }
    }

    /// <summary>Ends the session.</summary>
    /// <param name="reason">Why; null to leave the routes to graceful restart.</param>
    /// <param name="withdrawFirst">Whether routes are withdrawn before.</param>
    public async Task StopAsync(BgpNotification? reason, bool withdrawFirst)
    {
        await Session.StopAsync(reason, withdrawFirst);
        Interlocked.Exchange(ref _path, null)?.Dispose();
        if (_discovery is not null)
            await _discovery.DisposeAsync();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync(null, false);

    void IBgpSessionObserver.Up(BgpEstablished session, string local)
    {
        _told = "";
        LogUp(_logger, Plan.Name, Plan.Label, session.Remote.Asn, local, session.HoldTime.TotalSeconds, string.Join(", ", session.Families), session.KeepsRoutes);
        if (_bfd is not null && Plan.Bfd is { } profile && _peer is { } peer && IPEndPoint.TryParse(local, out var end))
            Interlocked.Exchange(ref _path, _bfd.Track(new BfdPath(peer, end.Address, Plan.Interface ?? Plan.Vrf, Plan.IsMultihop && !session.IsInternal), profile, BfdChanged))?.Dispose();
        _changed();
    }

    void IBgpSessionObserver.Down(string cause, bool wasEstablished)
    {
        if (wasEstablished)
            LogDown(_logger, Plan.Name, Plan.Label, cause);
        else if (cause != _told)
            LogFailed(_logger, Plan.Name, Plan.Label, cause);
        _told = cause;
        if (wasEstablished)
            Interlocked.Exchange(ref _path, null)?.Dispose();
        _changed();
    }

    void IBgpSessionObserver.Notified(BgpNotification notification, bool isSent)
    {
        if (isSent)
            LogSent(_logger, Plan.Name, Plan.Label, notification.ToString());
        else
            LogReceived(_logger, Plan.Name, Plan.Label, notification.ToString());
    }

    private void BfdChanged(BfdPathState state)
    {
        if (state == BfdPathState.Down)
            Session.Reset(BgpNotification.Cease(BgpCease.BfdDown));
    }

    private async Task<IBgpConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        var peer = Plan.Address ?? await _discovery!.NeighborAsync(cancellationToken);
        var socket = await BgpTcp.ConnectAsync(Plan.Transport(peer), cancellationToken);
        _peer = peer;
        return new BgpTcpConnection(socket, Plan.RouterId, _fallbackRouterId);
    }

    [LoggerMessage(1, LogLevel.Information, "BGP peer {Peer} ({Address}): session with AS {Asn} from {Local}, hold time {Hold} s, for {Families}; graceful restart: {Graceful}")]
    private static partial void LogUp(ILogger logger, string peer, string address, uint asn, string local, double hold, string families, bool graceful);

    [LoggerMessage(2, LogLevel.Warning, "BGP peer {Peer} ({Address}): the session ended: {Cause}")]
    private static partial void LogDown(ILogger logger, string peer, string address, string cause);

    [LoggerMessage(3, LogLevel.Warning, "BGP peer {Peer} ({Address}): no session: {Cause}")]
    private static partial void LogFailed(ILogger logger, string peer, string address, string cause);

    [LoggerMessage(4, LogLevel.Information, "BGP peer {Peer} ({Address}): NOTIFICATION sent: {Notification}")]
    private static partial void LogSent(ILogger logger, string peer, string address, string notification);

    [LoggerMessage(6, LogLevel.Warning, "BGP peer {Peer} ({Address}): a connection of the router was not taken: {Cause}")]
    private static partial void LogNotTaken(ILogger logger, string peer, string address, string cause);

    [LoggerMessage(5, LogLevel.Warning, "BGP peer {Peer} ({Address}): NOTIFICATION received: {Notification}")]
    private static partial void LogReceived(ILogger logger, string peer, string address, string notification);
}
