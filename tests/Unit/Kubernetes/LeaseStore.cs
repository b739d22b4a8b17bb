using System.Net;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Kubernetes;

/// <summary>One Lease at a server that answers at once, never, or with an error, as told.</summary>
internal sealed class LeaseStore : IKubernetesClient
{
    private int _version;

    public Lease? Lease { get; private set; }

    /// <summary>Makes requests hang until they are given up.</summary>
    public bool Hangs { get; set; }

    public bool Fails { get; set; }

    /// <summary>Whose writes fail.</summary>
    public string? Refused { get; set; }

    /// <summary>Takes the write, then keeps the answer back.</summary>
    public bool LosesAnswers { get; set; }

    public async Task<T> GetAsync<T>(ResourceType<T> type, string? @namespace, string name, CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        await MisbehaveAsync(cancellationToken);
        return (T)(object)(Lease ?? throw new KubernetesApiException(HttpStatusCode.NotFound, "NotFound", "no such lease"));
    }

    public Task<T> CreateAsync<T>(ResourceType<T> type, T resource, CancellationToken cancellationToken)
        where T : KubernetesObject => WriteAsync(resource, null, cancellationToken);

    public Task<T> ReplaceAsync<T>(ResourceType<T> type, T resource, CancellationToken cancellationToken)
        where T : KubernetesObject => WriteAsync(resource, resource.Metadata.ResourceVersion, cancellationToken);

    public Task<ResourceList<T>> ListAsync<T>(ResourceType<T> type, string? @namespace, CancellationToken cancellationToken)
        where T : KubernetesObject => throw new NotSupportedException();

    public IAsyncEnumerable<WatchEvent<T>> WatchAsync<T>(
        ResourceType<T> type, string? @namespace, string resourceVersion, TimeSpan timeout, CancellationToken cancellationToken)
        where T : KubernetesObject => throw new NotSupportedException();

    public Task<T> PatchAsync<T>(
        ResourceType<T> type, string? @namespace, string name, PatchType patchType, ReadOnlyMemory<byte> patch, string? subresource,
        CancellationToken cancellationToken)
        where T : KubernetesObject => throw new NotSupportedException();

    public Task DeleteAsync<T>(ResourceType<T> type, string? @namespace, string name, CancellationToken cancellationToken)
        where T : KubernetesObject => throw new NotSupportedException();

    public Task DeleteAsync<T>(ResourceType<T> type, string? @namespace, string name, string resourceVersion, CancellationToken cancellationToken)
        where T : KubernetesObject => throw new NotSupportedException();

    public Task<bool> ServesAsync(string groupVersion, CancellationToken cancellationToken) => throw new NotSupportedException();

    private async Task<T> WriteAsync<T>(T resource, string? expected, CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        await MisbehaveAsync(cancellationToken);
        var lease = (Lease)(object)resource;
        // Before anything is looked at: who does not reach the server does not hear that another has written either.
        if (Refused is not null && lease.Spec.HolderIdentity == Refused)
            throw new HttpRequestException("connection refused");
        if (Lease?.Metadata.ResourceVersion != expected)
            throw new KubernetesApiException(HttpStatusCode.Conflict, "Conflict", "it has changed");
        Lease = lease with { Metadata = lease.Metadata with { ResourceVersion = $"{++_version}" } };
        if (LosesAnswers)
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
        return (T)(object)Lease;
    }

    public Task<T> ApplyAsync<T>(
        ResourceType<T> type, string? @namespace, string name, ReadOnlyMemory<byte> fields, string? subresource, string fieldManager, CancellationToken cancellationToken)
        where T : KubernetesObject => throw new NotSupportedException();

    private async Task MisbehaveAsync(CancellationToken cancellationToken)
    {
        if (Hangs)
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
        if (Fails)
            throw new HttpRequestException("connection refused");
    }
}
