using System.Diagnostics;
using System.Globalization;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;

namespace DynamicLb.Tests.Cluster.Controller;

/// <summary>The real controller against the real kube-apiserver.</summary>
public class ThousandServicesTests
{
    private const int Count = 1000;

    [Fact]
    public async Task A_thousand_Services_created_at_once_all_get_an_address_of_their_own()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var cluster = await RealControlPlane.StartAsync(cancellationToken: cancellation);
        string config = Path.Combine(cluster.Folder, "config.yaml");
        await File.WriteAllTextAsync(config, "address-pools: [{name: static, protocol: layer2, addresses: [10.20.0.0/16]}]\n", cancellation);
        await using var controller = ChildProcess.Start(
            "dotnet",
            [Programs.PathOf("Controller"), "--config", config, "--kubeconfig", cluster.AdminKubeconfig, "--namespace", "default", "--listen", "http://127.0.0.1:0"],
            Path.Combine(cluster.Folder, "controller.log"));

        using var client = new KubernetesClient(KubernetesClientConfiguration.Load(cluster.AdminKubeconfig), TimeProvider.System);
        long started = Stopwatch.GetTimestamp();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, Count), new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = cancellation },
            async (number, token) => await client.CreateAsync(ResourceTypes.Services, NewService(number), token));
        var created = Stopwatch.GetElapsedTime(started);

        HashSet<string> addresses = [];
        await Wait.UntilAsync(
            async () =>
            {
                var services = await client.ListAsync(ResourceTypes.Services, "default", cancellation);
                addresses = [.. services.Items.SelectMany(static service => service.Status.LoadBalancer.Ingress ?? []).Select(static entry => entry.Ip!)];
                return addresses.Count >= Count;
            },
            TimeSpan.FromMinutes(2), $"addresses for {Count} Services; the controller said: {controller.LogTail()}", cancellation);

        var elapsed = Stopwatch.GetElapsedTime(started);
        string peak = File.ReadLines($"/proc/{controller.Id}/status").First(static line => line.StartsWith("VmHWM", StringComparison.Ordinal));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"MEASURED {Count} Services: created in {created.TotalSeconds:F1} s, all with addresses after {elapsed.TotalSeconds:F1} s; controller {peak["VmHWM:".Length..].Trim()} at most"));
        Assert.Equal(Count, addresses.Count);
        Assert.All(addresses, static address => Assert.StartsWith("10.20.", address, StringComparison.Ordinal));
    }

    private static Service NewService(int number) => new()
    {
        Metadata = new ObjectMeta { Name = $"web-{number}", Namespace = "default" },
        Spec = new ServiceSpec { Type = "LoadBalancer", Ports = [new ServicePort { Name = "http", Port = 80 }] },
    };
}
