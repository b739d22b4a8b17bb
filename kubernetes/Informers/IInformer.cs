using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Kubernetes.Informers;

/// <summary>
/// A local copy of a collection that follows the API server. Reads are thread-safe and never wait; what they return is as old as the last event.
/// </summary>
public interface IInformer<T>
    where T : KubernetesObject
{
    /// <summary>Whether the first list is in.</summary>
    bool HasSynced { get; }

    /// <summary>All objects now, in no order: a snapshot.</summary>
    IReadOnlyCollection<T> Items { get; }

    /// <summary>One object, or null.</summary>
    T? Get(NamespacedName name);

    /// <summary>
    /// Calls <paramref name="changed"/> with (old, new) for every change from now on: (null, new) for an addition, (old, null) for a removal.
    /// Calls come from one loop, in the order of the changes, after the copy was updated; they must be quick and must not throw.
    /// </summary>
    void Subscribe(Action<T?, T?> changed);

    /// <summary>Completes when <see cref="HasSynced"/> is true.</summary>
    Task WaitForSyncAsync(CancellationToken cancellationToken);
}
