using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Kubernetes.Informers;

/// <summary>Makes the informer of EndpointSlices, in the version that the server has.</summary>
public static class EndpointSliceInformer
{
    /// <summary>discovery.k8s.io/v1 where served, else v1beta1 (Kubernetes before 1.21).</summary>
    /// <param name="client">The API.</param>
    /// <param name="time">The clock of retries and timeouts.</param>
    /// <param name="random">Spreads retries; used by the informer's loop only.</param>
    /// <param name="logger">Where failures are told.</param>
    /// <param name="trim">What is kept of each slice (<see cref="Informer{T}.Trim"/>).</param>
    public static Informer<EndpointSlice> Create(IKubernetesClient client, TimeProvider time, Random random, ILogger logger, Func<EndpointSlice, EndpointSlice> trim) =>
        new(
            client,
            async cancellationToken => await client.ServesAsync("discovery.k8s.io/v1", cancellationToken)
                ? ResourceTypes.EndpointSlices
                : ResourceTypes.EndpointSlicesBeta,
            null, time, random, logger)
        {
            Trim = trim,
        };
}
