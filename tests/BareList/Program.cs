using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

// Lists all Services and ends: what the start of a controller is compared to.
using var client = new KubernetesClient(KubernetesClientConfiguration.Load(args[0]), TimeProvider.System);
Console.WriteLine((await client.ListAsync(ResourceTypes.Services, null, CancellationToken.None)).Items.Count);
