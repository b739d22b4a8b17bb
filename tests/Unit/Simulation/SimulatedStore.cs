using DynamicLb.AddressService.Store;
using DynamicLb.Tests.Unit.AddressService;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>
/// A store in memory that fails, and loses power before or after a write takes effect. One that defers makes writes durable later; a crash keeps some of
/// those under way.
/// </summary>
internal sealed class SimulatedStore(bool defers, Func<double, bool> chance) : ILeaseStore
{
    private readonly Dictionary<Guid, LeaseRecord> _records = [];
    private readonly Dictionary<Guid, (LeaseRecord Record, bool IsDelete)> _pending = [];
    private IReadOnlyList<string>? _macs;

    /// <summary>What is durable.</summary>
    public IEnumerable<LeaseRecord> Records => _records.Values;

    /// <summary>How often a write ends in a power cut.</summary>
    public double PowerCuts { get; set; }

    /// <summary>How often a write fails.</summary>
    public double Failures { get; set; }

    /// <summary>Asked to call <see cref="CatchUp"/> soon.</summary>
    public Action HasPending { get; set; } = () => { };

    /// <summary>Every write in words, with what came of it.</summary>
    public Action<string> Wrote { get; set; } = _ => { };

    public StoreContents Load() => new([.. _records.Values], _macs, []);

    public bool IsPending(Guid id) => _pending.ContainsKey(id);

    public void Save(LeaseRecord record) => Write(record, false);

    public void Delete(LeaseRecord record) => Write(record, true);

    public void SaveMacs(IReadOnlyList<string> macs) => _macs = macs;

    public byte[] MacKey() => [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    /// <summary>Makes durable what was taken, and returns it.</summary>
    public IReadOnlyList<LeaseRecord> CatchUp()
    {
        var done = _pending.Values.ToList();
        _pending.Clear();
        foreach (var (record, isDelete) in done)
            Apply(record, isDelete);
        return [.. done.Where(w => !w.IsDelete).Select(w => w.Record)];
    }

    /// <summary>Of what was under way, some took effect.</summary>
    public void Crash()
    {
        foreach (var (record, isDelete) in _pending.Values.ToList())
        {
            if (chance(0.5))
                Apply(record, isDelete);
        }
        _pending.Clear();
    }

    public void Dispose()
    {
    }

    private void Write(LeaseRecord record, bool isDelete)
    {
        if (chance(Failures))
        {
            Wrote($"{record.Service} {record.State} {record.Address} fails");
            throw new IOException("no space left");
        }
        if (chance(PowerCuts))
        {
            Wrote($"{record.Service} {record.State} {record.Address} power cut before");
            throw new PowerCutException();
        }
        Wrote($"{record.Service} {(isDelete ? "deleted" : record.State)} {record.Address} until {record.ExpiresAt:HH:mm:ss}");
        if (defers)
        {
            _pending[record.Id] = (record, isDelete);
            HasPending();
        }
        else
        {
            Apply(record, isDelete);
        }
        if (chance(PowerCuts))
        {
            Wrote("power cut after");
            throw new PowerCutException();
        }
    }

    private void Apply(LeaseRecord record, bool isDelete)
    {
        if (isDelete)
            _records.Remove(record.Id);
        else
            _records[record.Id] = record;
    }
}
