namespace DynamicLb.Speaker.Heartbeats;

/// <summary>What a speaker says of itself, many times a second, to all others on the segment.</summary>
/// <param name="Instance">A number drawn at random when the speaker joined the segment; another one after every start and every pause.</param>
/// <param name="Sequence">Rises with every heartbeat of the instance.</param>
/// <param name="IntervalMilliseconds">When the next one may be expected.</param>
/// <param name="IsReady">Whether it has listened for long enough to announce.</param>
/// <param name="IsLeaving">Whether it is about to stop: others take over now.</param>
internal readonly record struct Heartbeat(ulong Instance, ulong Sequence, ushort IntervalMilliseconds, bool IsReady, bool IsLeaving);
