using System.Threading.Tasks.Sources;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Wakes the one loop that waits for it. Who wakes it may lend it its thread: with a renewal every few milliseconds, the hop to another thread costs more
/// than what is to be done there. Waking is thread-safe; waiting is for the loop alone.
/// </summary>
internal sealed class LoopSignal : IValueTaskSource
{
    private const int Idle = 0;
    private const int Waiting = 1;
    private const int Woken = 2;

    private ManualResetValueTaskSourceCore<bool> _wait;
    private int _state;
    private bool _isLent;

    /// <summary>Completes when somebody has woken the loop since the last time. After as much work as it is woken for, a thread that was lent is given back.</summary>
    public ValueTask WaitAsync()
    {
        if (Interlocked.CompareExchange(ref _state, Idle, Woken) == Woken)
            return LeaveAsync();
        _wait.Reset();
        if (Interlocked.CompareExchange(ref _state, Waiting, Idle) == Idle)
            return new ValueTask(this, _wait.Version);
        Interlocked.Exchange(ref _state, Idle);
        return LeaveAsync();
    }

    /// <summary>Wakes the loop, or has it turn once more if it is awake.</summary>
    /// <param name="lend">Whether it runs on this thread until it waits again. Only for who holds no lock and can be kept for a moment.</param>
    public void Wake(bool lend = false)
    {
        while (true)
        {
            int state = Interlocked.CompareExchange(ref _state, Idle, Waiting);
            if (state == Waiting)
            {
                _isLent = lend;
                _wait.RunContinuationsAsynchronously = !lend;
                _wait.SetResult(true);
                return;
            }
            if (Interlocked.CompareExchange(ref _state, Woken, Idle) is Idle or Woken)
                return;
        }
    }

    void IValueTaskSource.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags);

    private ValueTask LeaveAsync()
    {
        if (!_isLent)
            return ValueTask.CompletedTask;
        _isLent = false;
        return YieldAsync();

        static async ValueTask YieldAsync() => await Task.Yield();
    }
}
