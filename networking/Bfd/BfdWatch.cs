using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bfd;

/// <summary>A session of <see cref="BfdHost"/>. What is internal belongs to the host's thread.</summary>
internal sealed class BfdWatch : IBfdWatch
{
    private const int FirstSourcePort = 49_152;
    private const int PortAttempts = 64;
    private const int IPv4Tos = 1;
    private const int IPv6TrafficClass = 67;
    private const int IPv6UnicastHops = 16;
    private const int FullTimeToLive = 255;
    /// <summary>Network control (RFC 4594): these packets must get through where others do not.</summary>
    private const int TypeOfService = 0xc0;

    private readonly BfdHost _host;
    private readonly SocketAddress _destination;
    private Socket? _socket;
    private bool _isSocketStale;
    private long _controlIn;
    private long _controlOut;
    private long _echoIn;
    private long _echoOut;
    private long _ups;
    private long _downs;
    private long _notifications;
    private volatile BfdStatus _status = BfdStatus.Unknown;

    internal BfdWatch(BfdHost host, BfdPath path, Action<BfdChange>? changed)
    {
        _host = host;
        Path = path;
        Changed = changed;
        var address = path.Peer.AddressFamily == AddressFamily.InterNetworkV6 ? new IPAddress(path.Peer.GetAddressBytes(), path.Peer.IsIPv6LinkLocal ? path.Interface : 0) : path.Peer;
        _destination = new IPEndPoint(address, (int)(path.IsMultiHop ? BfdPort.MultiHop : BfdPort.SingleHop)).Serialize();
    }

    public BfdPath Path { get; }

    public BfdStatus Status => _status;

    public BfdCounts Counts => new(
        Volatile.Read(ref _controlIn), Volatile.Read(ref _controlOut), Volatile.Read(ref _echoIn), Volatile.Read(ref _echoOut), Volatile.Read(ref _ups), Volatile.Read(ref _downs),
        Volatile.Read(ref _notifications));

    internal Action<BfdChange>? Changed { get; }

    internal BfdSession? Session { get; set; }

    /// <summary>Where the last packet of the peer came in; 0 before the first.</summary>
    internal int ArrivalInterface { get; set; }

    /// <summary>The address of ours that it came to.</summary>
    internal IPv6Address ArrivalAddress { get; set; }

    public void Configure(BfdSettings settings) => _host.Configure(this, settings);

    public void SetAdminDown(bool isDown) => _host.SetAdminDown(this, isDown);

    public void Dispose() => _host.Remove(this);

    internal void CountControlIn() => _controlIn++;

    internal void CountEchoIn() => _echoIn++;

    internal void CountEchoOut() => _echoOut++;

    internal void Tell(BfdSession session, BfdState before)
    {
        if (session.State == BfdState.Up)
            _ups++;
        else if (before == BfdState.Up)
            _downs++;
        Publish(session);
        if (Changed is null)
            return;
        bool isOnPurpose = session.State == BfdState.AdminDown || session is { Diagnostic: BfdDiagnostic.NeighborSignaledSessionDown, RemoteState: BfdState.AdminDown };
        _notifications++;
        Changed(new BfdChange(before, session.State, session.Diagnostic, before == BfdState.Up && !isOnPurpose));
    }

    /// <summary>Makes a new <see cref="Status"/> if anything in it changed.</summary>
    internal void Publish(BfdSession session)
    {
        var status = _status;
        var echo = session.IsEchoActive ? session.EchoInterval : TimeSpan.Zero;
        if (status.State == session.State && status.RemoteState == session.RemoteState && status.Diagnostic == session.Diagnostic
            && status.RemoteDiagnostic == session.RemoteDiagnostic && status.TransmitInterval == session.TransmitInterval && status.DetectionTime == session.DetectionTime
            && status.EchoInterval == echo)
            return;
        _status = new BfdStatus(
            session.State, session.RemoteState, session.Diagnostic, session.RemoteDiagnostic, session.TransmitInterval, session.DetectionTime, echo);
    }

    internal bool Send(ReadOnlySpan<byte> packet)
    {
        try
        {
            if (_socket is null || _isSocketStale)
            {
                Close();
                _socket = Open();
            }
            _socket.SendTo(packet, SocketFlags.None, _destination);
            _controlOut++;
            return true;
        }
        catch (SocketException fault)
        {
            // Our address may be on another interface, or gone, by now: the next packet gets a socket of its own. A full queue or a link that is down is none of the socket's fault.
            _isSocketStale = fault.SocketErrorCode is SocketError.InvalidArgument or SocketError.AddressNotAvailable or SocketError.NoData;
            return false;
        }
    }

    internal void Close()
    {
        _socket?.Dispose();
        _socket = null;
        _isSocketStale = false;
    }

    /// <summary>Each session has a source port of its own from the dynamic range, which stays the same (RFC 5881 §4), and every packet leaves with TTL 255 (§5).</summary>
    private Socket Open()
    {
        bool isIPv4 = Path.Peer.AddressFamily == AddressFamily.InterNetwork;
        var socket = new Socket(Path.Peer.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            int level = isIPv4 ? BfdReceiveSocket.LevelIPv4 : BfdReceiveSocket.LevelIPv6;
            BfdReceiveSocket.Set(socket, level, isIPv4 ? IPv4Tos : IPv6TrafficClass, TypeOfService);
            if (isIPv4)
                socket.Ttl = FullTimeToLive;
            else
                BfdReceiveSocket.Set(socket, level, IPv6UnicastHops, FullTimeToLive);
            if (Path.Device is not null)
                BfdReceiveSocket.Bind(socket, Path.Device);
            // Sending must not wait: the one loop serves all.
            socket.Blocking = false;
            var any = isIPv4 ? IPAddress.Any : IPAddress.IPv6Any;
            var local = Path.Local is { IsIPv6LinkLocal: true } linkLocal ? new IPAddress(linkLocal.GetAddressBytes(), Path.Interface) : Path.Local ?? any;
            for (int attempt = 1; ; attempt++)
            {
                try
                {
                    socket.Bind(new IPEndPoint(local, _host.Random.Next(FirstSourcePort, ushort.MaxValue + 1)));
                    return socket;
                }
                catch (SocketException fault) when (fault.SocketErrorCode == SocketError.AddressAlreadyInUse && attempt < PortAttempts)
                {
                    // Taken; there are 16,384 of them.
                }
            }
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
