using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Kubernetes.Informers;

/// <summary>Makes the informer of EndpointSlices, in the version that the server has.</summary>
public static class EndpointSliceInformer
{
    /// <summary>discovery.k8s.io/v1 where served, else v1beta1 (Kubernetes before 1.21).</summary>
    public static Informer<EndpointSlice> Create(IKubernetesClient client, TimeProvider time, Random random, ILogger logger, Func<EndpointSlice, EndpointSlice>? trim = null) =>
        new(
            client,
            async cancellationToken => await client.ServesAsync("discovery.k8s.io/v1", cancellationToken)
                ? ResourceTypes.EndpointSlices
                : ResourceTypes.EndpointSlicesBeta,
            null, time, random, logger)
        {
            Trim = trim ?? (static slice => slice),
        };
}
