using System.Net;
using System.Runtime.CompilerServices;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Kubernetes.Client;

/// <summary>How a patch is written.</summary>
public enum PatchType
{
    /// <summary>RFC 7386: objects merged, lists replaced, null deletes.</summary>
    Merge = 0,

    /// <summary>RFC 6902: a list of operations.</summary>
    Json,

    /// <summary>Kubernetes' own: lists merged by key.</summary>
    Strategic,
}

/// <summary>What a watch reports.</summary>
public enum WatchEventType
{
    /// <summary>The object appeared.</summary>
    Added = 0,

    /// <summary>The object changed.</summary>
    Modified,

    /// <summary>The object is gone; its last state comes along.</summary>
    Deleted,

    /// <summary>Nothing happened up to this version; only the version is set.</summary>
    Bookmark,
}

/// <summary>One report of a watch.</summary>
public readonly record struct WatchEvent<T>(WatchEventType Type, T Object);

/// <summary>A part of a list.</summary>
/// <param name="Items">The objects.</param>
/// <param name="ResourceVersion">The version from which to watch, once all pages are there; the same on each.</param>
/// <param name="IsFirst">Whether the list begins with it.</param>
public readonly record struct ListPage<T>(IReadOnlyList<T> Items, string? ResourceVersion, bool IsFirst);

/// <summary>
/// The Kubernetes API, as far as the programs need it. Thread-safe. A refusal by the server is a <see cref="KubernetesApiException"/>; a server
/// that cannot be reached an <see cref="HttpRequestException"/> or <see cref="IOException"/>. Answers of 429 and 503 that carry Retry-After are
/// waited for and repeated a few times before they are reported.
/// </summary>
public interface IKubernetesClient
{
    /// <summary>Reads one object.</summary>
    Task<T> GetAsync<T>(ResourceType<T> type, string? @namespace, string name, CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>Reads a whole collection, page by page. No namespace means all.</summary>
    Task<ResourceList<T>> ListAsync<T>(ResourceType<T> type, string? @namespace, CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>
    /// Reads a whole collection like <see cref="ListAsync"/>, and hands on each page when it has come, so that nobody needs all of it in memory at once. A page that
    /// <see cref="ListPage{T}.IsFirst"/> begins anew: what came before it was a list that could not be ended, and counts no more. No namespace means all.
    /// </summary>
    async IAsyncEnumerable<ListPage<T>> ListPagesAsync<T>(ResourceType<T> type, string? @namespace, [EnumeratorCancellation] CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        var list = await ListAsync(type, @namespace, cancellationToken);
        yield return new ListPage<T>(list.Items, list.Metadata.ResourceVersion, true);
    }

    /// <summary>
    /// Follows a collection from a version on, bookmarks included. Ends without an exception when the server ends it after
    /// <paramref name="timeout"/>; a version that is too old is a <see cref="KubernetesApiException"/> with <see cref="HttpStatusCode.Gone"/>,
    /// whichever way the server says so.
    /// </summary>
    IAsyncEnumerable<WatchEvent<T>> WatchAsync<T>(
        ResourceType<T> type, string? @namespace, string resourceVersion, TimeSpan timeout, CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>Creates an object; its kind and version are filled in.</summary>
    Task<T> CreateAsync<T>(ResourceType<T> type, T resource, CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>Replaces an object of a type that we know whole (such as a Lease). With a resourceVersion set, 409 if it has changed since.</summary>
    Task<T> ReplaceAsync<T>(ResourceType<T> type, T resource, CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>Changes an object. A patch that carries <c>metadata.resourceVersion</c> is refused with 409 if the object has changed since.</summary>
    Task<T> PatchAsync<T>(
        ResourceType<T> type, string? @namespace, string name, PatchType patchType, ReadOnlyMemory<byte> patch, string? subresource,
        CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>
    /// Applies the fields that we want to own (server-side apply), and takes those away that we owned before and leave out now. What others own of them becomes ours.
    /// </summary>
    Task<T> ApplyAsync<T>(
        ResourceType<T> type, string? @namespace, string name, ReadOnlyMemory<byte> fields, string? subresource, string fieldManager,
        CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>Deletes an object.</summary>
    Task DeleteAsync<T>(ResourceType<T> type, string? @namespace, string name, CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>Deletes an object if it is still the version that is known; else 409.</summary>
    Task DeleteAsync<T>(ResourceType<T> type, string? @namespace, string name, string resourceVersion, CancellationToken cancellationToken)
        where T : KubernetesObject;

    /// <summary>Whether the server serves a version of a group, such as <c>discovery.k8s.io/v1</c>.</summary>
    Task<bool> ServesAsync(string groupVersion, CancellationToken cancellationToken);
}

/// <summary>The API server refused a request.</summary>
public sealed class KubernetesApiException : Exception
{
    /// <summary>Creates the exception.</summary>
    public KubernetesApiException()
    {
    }

    /// <summary>Creates the exception with a cause in words.</summary>
    public KubernetesApiException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with a cause in words and the exception behind it.</summary>
    public KubernetesApiException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception from the server's answer.</summary>
    public KubernetesApiException(HttpStatusCode statusCode, string? reason, string message)
        : base(message)
    {
        StatusCode = statusCode;
        Reason = reason;
    }

    /// <summary>HTTP code.</summary>
    public HttpStatusCode StatusCode { get; }

    /// <summary>The server's machine-readable cause, such as <c>AlreadyExists</c>.</summary>
    public string? Reason { get; }
}
