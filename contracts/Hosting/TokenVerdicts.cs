using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace DynamicLb.Contracts.Hosting;

/// <summary>
/// Answers about bearer tokens, so that not each request is a question: kept for a short time, a bounded number of them and by the token's hash only. Who asks about the same token
/// shares one question. Thread-safe.
/// </summary>
/// <typeparam name="T">An answer.</typeparam>
/// <param name="ask">Finds out about a token. It has to end by the cancellation; what it throws, who asked gets, and those who ask soon after.</param>
/// <param name="isGood">Whether an answer is kept for a minute; others, and failures, are for ten seconds.</param>
/// <param name="mostKept">Answers that are kept at most.</param>
/// <param name="mostAtOnce">Questions that are under way at most.</param>
/// <param name="time">The clock.</param>
public sealed class TokenVerdicts<T>(Func<string, CancellationToken, Task<T>> ask, Func<T, bool> isGood, int mostKept, int mostAtOnce, TimeProvider time)
{
    private static readonly TimeSpan KeepGood = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan KeepBad = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Verdict> _verdicts = new(StringComparer.Ordinal);
    private int _running;

    /// <summary>Asks about a token, unless there is an answer of a short time ago. A question that takes longer than five seconds is given up.</summary>
    /// <param name="token">The token.</param>
    /// <param name="answer">The answer, when it is there.</param>
    /// <returns>Whether it could be asked: not when too many questions are under way.</returns>
    public bool TryAsk(string token, [NotNullWhen(true)] out Task<T>? answer)
    {
        answer = null;
        string key = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
        lock (_gate)
        {
            if (_verdicts.TryGetValue(key, out var known) && IsFresh(known))
            {
                answer = known.Answer;
                return true;
            }
            if (_running >= mostAtOnce)
                return false;
            MakeRoom();
            _running++;
            // Not with the caller's own cancellation: others may wait for the same answer.
            answer = Task.Run(() => AskAsync(token), CancellationToken.None);
            _verdicts[key] = new Verdict(answer, time.GetTimestamp());
            return true;
        }
    }

    private bool IsFresh(Verdict verdict) =>
        time.GetElapsedTime(verdict.At) < (!verdict.Answer.IsCompleted || (verdict.Answer.IsCompletedSuccessfully && isGood(verdict.Answer.Result)) ? KeepGood : KeepBad);

    private void MakeRoom()
    {
        if (_verdicts.Count < mostKept)
            return;
        foreach (string key in _verdicts.Where(entry => !IsFresh(entry.Value)).Select(static entry => entry.Key).ToList())
            _verdicts.Remove(key);
        if (_verdicts.Count >= mostKept)
            _verdicts.Remove(_verdicts.MinBy(static entry => entry.Value.At).Key);
    }

    private async Task<T> AskAsync(string token)
    {
        try
        {
            using var patience = new CancellationTokenSource(Patience, time);
            return await ask(token, patience.Token);
        }
        finally
        {
            lock (_gate)
                _running--;
        }
    }

    private sealed record Verdict(Task<T> Answer, long At);
}
