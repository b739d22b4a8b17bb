using System.Runtime.InteropServices;

namespace DynamicLb.Networking.Bgp;

/// <summary>
/// What one peer has been told, and what it is to be told: Adj-RIB-Out (RFC 4271 §3.2). Messages are written when there is room for them, so that changes which overtake each other
/// are told once, and a slow peer costs no memory. Not thread-safe.
/// </summary>
public sealed class BgpAdjRibOut
{
    private readonly Dictionary<BgpPrefix, BgpRouteAttributes> _told = [];
    private readonly Queue<Batch> _pending = new();
    private readonly HashSet<BgpPrefix> _again = [];
    private readonly Queue<Func<Memory<byte>, int>> _begins = new();
    private readonly Queue<Func<Memory<byte>, int>> _marks = new();
    private IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes> _wanted = new Dictionary<BgpPrefix, BgpRouteAttributes>();
    private BgpEncoding? _encoding;
    private bool _isDirty;

    /// <summary>Prefixes that the peer has been told of and that were not withdrawn.</summary>
    public int Told => _told.Count;

    /// <summary>Prefixes that are wanted.</summary>
    public int Wanted => _wanted.Count;

    /// <summary>Prefixes whose announcement or withdrawal has not been written yet; all wanted ones while there is no session.</summary>
    public int Pending
    {
        get
        {
            Sort();
            return _encoding is null ? _wanted.Count : _pending.Sum(static batch => batch.Prefixes.Count - batch.Done);
        }
    }

    /// <summary>Wanted prefixes that this session cannot carry: their family was not agreed on or has no next hop, or their communities fit in no message.</summary>
    public int NotCarried { get; private set; }

    /// <summary>Whether everything has been written.</summary>
    public bool IsDone
    {
        get
        {
            Sort();
            return _pending.Count == 0 && _begins.Count == 0 && _marks.Count == 0;
        }
    }

    /// <summary>Takes up what the peer is to know. The dictionary must not change afterwards.</summary>
    public void Want(IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes> routes)
    {
        _wanted = routes;
        _isDirty = true;
    }

    /// <summary>A session begins: the peer knows nothing, and is told all, with a mark behind the last route of each family.</summary>
    public void Begin(BgpEncoding encoding)
    {
        ArgumentNullException.ThrowIfNull(encoding);
        End();
        _encoding = encoding;
        foreach (var family in encoding.Families)
            _marks.Enqueue(buffer => BgpUpdateWriter.WriteEndOfRib(buffer.Span, family));
    }

    /// <summary>The session ended.</summary>
    public void End()
    {
        _encoding = null;
        _told.Clear();
        _pending.Clear();
        _again.Clear();
        _begins.Clear();
        _marks.Clear();
        _isDirty = true;
    }

    /// <summary>The peer asks for all routes of a family again (RFC 2918).</summary>
    /// <param name="family">The family.</param>
    /// <param name="isMarked">Whether begin and end are marked (RFC 7313).</param>
    public void Refresh(BgpFamily family, bool isMarked)
    {
        if (_encoding is null || !_encoding.Families.Contains(family))
            return;
        _again.UnionWith(_told.Keys.Where(prefix => prefix.Family == family));
        _isDirty = true;
        if (!isMarked)
            return;
        _begins.Enqueue(buffer => Write(buffer, family, BgpRefreshKind.Begin));
        _marks.Enqueue(buffer => Write(buffer, family, BgpRefreshKind.End));

        static int Write(Memory<byte> buffer, BgpFamily family, BgpRefreshKind kind)
        {
            byte[] message = BgpWire.RouteRefresh(family, kind);
            message.CopyTo(buffer);
            return message.Length;
        }
    }

    /// <summary>Writes the next message.</summary>
    /// <param name="buffer">Room for the longest message of the session.</param>
    /// <returns>Its length; 0 when there is nothing to say.</returns>
    public int TryWrite(Memory<byte> buffer)
    {
        if (_encoding is null)
            return 0;
        Sort();
        if (_begins.TryDequeue(out var begin))
            return begin(buffer);
        while (_pending.TryPeek(out var batch))
        {
            var rest = CollectionsMarshal.AsSpan(batch.Prefixes)[batch.Done..];
            int taken = 0;
            int length = rest.IsEmpty ? 0
                : batch.Attributes is { } attributes ? BgpUpdateWriter.WriteReach(buffer.Span, _encoding, batch.Family, attributes, rest, out taken)
                : BgpUpdateWriter.WriteUnreach(buffer.Span, _encoding, batch.Family, rest, out taken);
            foreach (var prefix in rest[..taken])
            {
                _again.Remove(prefix);
                if (batch.Attributes is null)
                    _told.Remove(prefix);
                else
                    _told[prefix] = batch.Attributes;
            }
            batch.Done += taken;
            if (taken == 0)
                NotCarried += rest.Length;
            if (taken == rest.Length || taken == 0)
                _pending.Dequeue();
            if (taken > 0)
                return length;
        }
        return _marks.TryDequeue(out var end) ? end(buffer) : 0;
    }

    /// <summary>Works out the difference. Withdrawals come first, since what takes their place may need their room in the peer's table.</summary>
    private void Sort()
    {
        if (!_isDirty || _encoding is not { } encoding)
            return;
        _isDirty = false;
        NotCarried = 0;
        _pending.Clear();
        foreach (var family in encoding.Families)
        {
            if (!encoding.Carries(family))
            {
                NotCarried += _wanted.Keys.Count(prefix => prefix.Family == family);
                continue;
            }
            var gone = _told.Keys.Where(prefix => prefix.Family == family && !_wanted.ContainsKey(prefix)).ToList();
            if (gone.Count > 0)
                _pending.Enqueue(new Batch(family, null, gone));
            var groups = new Dictionary<BgpRouteAttributes, Batch>();
            foreach (var (prefix, attributes) in _wanted)
            {
                if (prefix.Family != family || (_told.TryGetValue(prefix, out var told) && told.Equals(attributes) && !_again.Contains(prefix)))
                    continue;
                if (!groups.TryGetValue(attributes, out var batch))
                {
                    batch = new Batch(family, attributes, []);
                    groups.Add(attributes, batch);
                    _pending.Enqueue(batch);
                }
                batch.Prefixes.Add(prefix);
            }
        }
        NotCarried += _wanted.Keys.Count(prefix => !encoding.Families.Contains(prefix.Family));
    }

    private sealed class Batch(BgpFamily family, BgpRouteAttributes? attributes, List<BgpPrefix> prefixes)
    {
        public BgpFamily Family => family;

        /// <summary>Null to withdraw.</summary>
        public BgpRouteAttributes? Attributes => attributes;

        public List<BgpPrefix> Prefixes => prefixes;

        public int Done { get; set; }
    }
}
