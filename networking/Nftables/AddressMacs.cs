using System.ComponentModel;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Nftables;

/// <summary>
/// Gives IPv4 addresses hardware addresses of their own on this host's interfaces, in both directions. <see cref="Fault"/> is thread-safe; one caller at a time for the rest.
/// </summary>
public interface IAddressMacs : IDisposable
{
    /// <summary>
    /// Why this host cannot do it, in words; null when it can. Looks at the first call, after a fault again some seconds later, and does nothing on a host that is never asked.
    /// </summary>
    string? Fault { get; }

    /// <summary>From now on these addresses, and no others, have these hardware addresses on these interfaces. What is so already is not touched.</summary>
    /// <exception cref="Win32Exception">The kernel refused a part, such as for an interface that just went: to be tried again. What was so before, and is still wanted, is so.</exception>
    /// <exception cref="SocketException">The kernel does not answer, or this host cannot do it (<see cref="Fault"/>): to be tried again. Nothing is so any more.</exception>
    void Apply(IReadOnlyCollection<LinkInfo> interfaces, IReadOnlyDictionary<IPv4Address, MacAddress> macs);
}

/// <summary>
/// By nf_tables, in a table of the netdev family that belongs to this process and goes with it: on their way out, frames that come from an address leave with its hardware address,
/// the last thing that happens to them before the interface, after routing and all translation of addresses; ARP that asks in its name says the same. On their way in, those
/// for an address at its hardware address count as sent to this host. That the network card lets them through is for who listens there to see to
/// (<see cref="ILinkChannel.JoinUnicast"/>). Needs CAP_NET_ADMIN, and Linux 5.16 for the hook on the way out.
/// </summary>
public sealed class AddressMacs : IAddressMacs
{
    /// <summary>How long after a fault the kernel is asked again: the table may have had another owner, such as a speaker that was just about to end.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private const string Table = "dynamiclb";
    private const int ElementsPerMessage = 1000;
    private const int NotPermitted = 1;
    private const int NotFound = 2;

    private readonly TimeProvider _time;
    private readonly Func<INftSocket> _open;
    private readonly Lock _lock = new();
    private readonly Dictionary<LinkInfo, int> _chains = [];
    private readonly Dictionary<IPv4Address, MacAddress> _macs = [];
    private INftSocket? _socket;
    private string? _fault;
    private long _failed;
    private int _lastChain;

    /// <param name="time">The clock.</param>
    public AddressMacs(TimeProvider time)
        : this(time, static () => new NftSocket())
    {
    }

    internal AddressMacs(TimeProvider time, Func<INftSocket> open) => (_time, _open) = (time, open);

    /// <inheritdoc/>
    public string? Fault
    {
        get
        {
            lock (_lock)
            {
                TryOpen();
                return _fault;
            }
        }
    }

    /// <inheritdoc/>
    public void Apply(IReadOnlyCollection<LinkInfo> interfaces, IReadOnlyDictionary<IPv4Address, MacAddress> macs)
    {
        ArgumentNullException.ThrowIfNull(interfaces);
        ArgumentNullException.ThrowIfNull(macs);
        lock (_lock)
        {
            if (_socket is null && macs.Count == 0)
                return;
            TryOpen();
            if (_socket is null)
                throw new SocketException((int)SocketError.OperationNotSupported, _fault);
            try
            {
                ApplyElements(macs);
                ApplyChains(macs.Count == 0 ? [] : interfaces);
            }
            catch (SocketException)
            {
                // Without an answer nobody knows what is true in the kernel: begin anew. The table goes with the socket.
                Close();
                throw;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
            Close();
    }

    private void Close()
    {
        _socket?.Dispose();
        _socket = null;
        _chains.Clear();
        _macs.Clear();
    }

    private void TryOpen()
    {
        if (_socket is not null || (_fault is not null && _time.GetElapsedTime(_failed) < RetryAfter))
            return;
        _fault = null;
        try
        {
            _socket = _open();
            var setup = _socket.Begin();
            NftRules.AddTable(setup, Table);
            // Whether the kernel has the hook on the way out is seen by using it.
            NftRules.AddChain(setup, Table, "probe", "lo", NftRules.Egress);
            _socket.Do(setup);
            var clean = _socket.Begin();
            NftRules.DeleteChain(clean, Table, "probe");
            _socket.Do(clean);
        }
        catch (Exception e) when (e is Win32Exception or SocketException)
        {
            _failed = _time.GetTimestamp();
            _fault = e is Win32Exception { NativeErrorCode: NotPermitted }
                ? $"it may not give addresses MACs of their own: the capability NET_ADMIN is needed, and no other process may own the nf_tables table {Table}"
                : $"its kernel cannot give addresses MACs of their own (Linux 5.16 with nf_tables is needed): {e.Message}";
            _socket?.Dispose();
            _socket = null;
        }
    }

    private void ApplyElements(IReadOnlyDictionary<IPv4Address, MacAddress> macs)
    {
        var gone = _macs.Where(entry => !macs.TryGetValue(entry.Key, out var mac) || mac != entry.Value).ToList();
        var come = macs.Where(entry => !_macs.TryGetValue(entry.Key, out var mac) || mac != entry.Value).ToList();
        foreach (var some in gone.Chunk(ElementsPerMessage))
        {
            var transaction = _socket!.Begin();
            NftRules.ChangeElements(transaction, Table, some, add: false);
            _socket.Do(transaction);
            foreach (var (address, _) in some)
                _macs.Remove(address);
        }
        foreach (var some in come.Chunk(ElementsPerMessage))
        {
            var transaction = _socket!.Begin();
            NftRules.ChangeElements(transaction, Table, some, add: true);
            _socket.Do(transaction);
            foreach (var (address, mac) in some)
                _macs[address] = mac;
        }
    }

    private void ApplyChains(IReadOnlyCollection<LinkInfo> interfaces)
    {
        Win32Exception? refusal = null;
        foreach (var link in _chains.Keys.Except(interfaces).ToList())
        {
            _chains.Remove(link, out int number);
            // Of an interface that is gone the kernel has removed them already.
            Delete($"in{number}");
            Delete($"out{number}");
        }
        foreach (var link in interfaces.Where(link => !_chains.ContainsKey(link)))
        {
            int number = ++_lastChain;
            var transaction = _socket!.Begin();
            NftRules.AddChain(transaction, Table, $"in{number}", link.Name, NftRules.Ingress);
            NftRules.AddIngressRules(transaction, Table, $"in{number}");
            NftRules.AddChain(transaction, Table, $"out{number}", link.Name, NftRules.Egress);
            NftRules.AddEgressRules(transaction, Table, $"out{number}");
            try
            {
                _socket.Do(transaction);
                _chains[link] = number;
            }
            catch (Win32Exception e) when (e is not SocketException)
            {
                // The others are no worse for it.
                refusal = e;
            }
        }
        if (refusal is not null)
            throw refusal;
    }

    private void Delete(string chain)
    {
        var transaction = _socket!.Begin();
        NftRules.DeleteChain(transaction, Table, chain);
        try
        {
            _socket.Do(transaction);
        }
        catch (Win32Exception e) when (e.NativeErrorCode == NotFound)
        {
            // As it should be.
        }
    }
}
