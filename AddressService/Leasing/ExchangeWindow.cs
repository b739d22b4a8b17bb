namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// How many exchanges may await their first answer at a time. A server takes its messages in turn: one that has answered nothing newer is not silent
/// but behind, and every repetition makes it more so, until a thousand leases that are verified at once give up before their turn comes. So what it
/// is behind with counts on, and the window is halved, once a second at most; every answer widens it again. Not thread-safe.
/// </summary>
internal sealed class ExchangeWindow
{
    internal const int Largest = 64;
    internal const int Smallest = 4;

    /// <summary>A server that was silent for longer is not behind: it is away, or does not know us, and nothing is gained by waiting for it.</summary>
    internal static readonly TimeSpan Alive = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan NarrowedAtMost = TimeSpan.FromSeconds(1);

    private double _size = Largest;
    private TimeSpan? _answeredAt;
    private TimeSpan _newestAnswered = TimeSpan.MinValue;
    private TimeSpan? _narrowedAt;

    /// <summary>Exchanges that count.</summary>
    public int Count { get; set; }

    /// <summary>Whether another one may begin.</summary>
    public bool IsOpen => Count < (int)_size;

    /// <summary>A reply came to an exchange whose message was first sent at <paramref name="sentAt"/>.</summary>
    public void Answered(TimeSpan sentAt, TimeSpan now)
    {
        _answeredAt = now;
        if (sentAt > _newestAnswered)
            _newestAnswered = sentAt;
        _size = Math.Min(Largest, _size + (1 / _size));
    }

    /// <summary>Whether the server answers, but has not come to what was sent at <paramref name="sentAt"/>. If it answered what came later, that was lost.</summary>
    public bool IsBehind(TimeSpan sentAt, TimeSpan now) => now - _answeredAt < Alive && _newestAnswered <= sentAt;

    /// <summary>An exchange had to be repeated.</summary>
    public void Repeated(TimeSpan sentAt, TimeSpan now)
    {
        if (!IsBehind(sentAt, now) || now - _narrowedAt < NarrowedAtMost)
            return;
        _narrowedAt = now;
        _size = Math.Max(Smallest, _size / 2);
    }
}
