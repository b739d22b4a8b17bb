namespace DynamicLb.Networking.Bfd;

/// <summary>Sessions in the order in which they are due: a binary heap whose members know their places, so that one that is due at another time moves in O(log n), without garbage.</summary>
internal sealed class BfdTimerQueue
{
    private readonly List<BfdSession> _heap = [];

    /// <summary>When the first is due; <see cref="TimeSpan.MaxValue"/> when none is.</summary>
    public TimeSpan Due => _heap.Count == 0 ? TimeSpan.MaxValue : _heap[0].QueuedDue;

    /// <summary>The first.</summary>
    public BfdSession First => _heap[0];

    /// <summary>Puts a session where its <see cref="BfdSession.NextDue"/> says, be it in the queue or not.</summary>
    public void Update(BfdSession session)
    {
        if (session.QueueIndex < 0)
        {
            session.QueueIndex = _heap.Count;
            _heap.Add(session);
        }
        session.QueuedDue = session.NextDue;
        Settle(session);
    }

    /// <summary>Takes a session out.</summary>
    public void Remove(BfdSession session)
    {
        int index = session.QueueIndex;
        if (index < 0)
            return;
        var last = _heap[^1];
        _heap.RemoveAt(_heap.Count - 1);
        session.QueueIndex = -1;
        if (last == session)
            return;
        Place(last, index);
        Settle(last);
    }

    private void Settle(BfdSession session)
    {
        int index = session.QueueIndex;
        while (index > 0 && session.QueuedDue < _heap[(index - 1) / 2].QueuedDue)
        {
            Place(_heap[(index - 1) / 2], index);
            index = (index - 1) / 2;
        }
        while (true)
        {
            int child = (2 * index) + 1;
            if (child + 1 < _heap.Count && _heap[child + 1].QueuedDue < _heap[child].QueuedDue)
                child++;
            if (child >= _heap.Count || _heap[child].QueuedDue >= session.QueuedDue)
                break;
            Place(_heap[child], index);
            index = child;
        }
        Place(session, index);
    }

    private void Place(BfdSession session, int index)
    {
        _heap[index] = session;
        session.QueueIndex = index;
    }
}
