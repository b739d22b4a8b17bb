using System.Net.Http.Headers;
using System.Text;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;

namespace DynamicLb.Tests.Cluster.Controller;

/// <summary>The controller's executable against a real API server that crashes.</summary>
public sealed class ApiServerRestartTests
{
    private const int Count = 1000;

    [Fact]
    public async Task A_thousand_Services_all_get_an_address_of_their_own_when_the_API_server_crashes_meanwhile()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var plane = await RealControlPlane.StartAsync(cancellationToken: cancellation);
        string config = Path.Combine(plane.Folder, "config"), log = Path.Combine(plane.Folder, "controller.log");
        await File.WriteAllTextAsync(config, "address-pools:\n- name: big\n  protocol: layer2\n  addresses: [10.77.0.0/16]\n", cancellation);
        using var client = new KubernetesClient(KubernetesClientConfiguration.Load(plane.AdminKubeconfig), TimeProvider.System);

        long start = TimeProvider.System.GetTimestamp();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, Count), new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = cancellation },
            async (i, token) =>
            {
                using var body = new StringContent(
                    $$$"""{"apiVersion":"v1","kind":"Service","metadata":{"name":"s{{{i}}}"},"spec":{"type":"LoadBalancer","ports":[{"port":80}]}}""",
                    Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
                using var response = await plane.Http.PostAsync("/api/v1/namespaces/default/services", body, token);
                response.EnsureSuccessStatusCode();
            });
        var created = TimeProvider.System.GetElapsedTime(start);
        await using var controller = ChildProcess.Start(
            "dotnet",
            [Programs.PathOf("Controller"), "--config", config, "--kubeconfig", plane.AdminKubeconfig, "--namespace", "default", "--listen", "http://127.0.0.1:0"], log);

        // In the middle of it.
        var before = await AddressesAsync(100);
        Assert.True(before.Count < Count, "The controller was done before the API server crashed.");
        await plane.StopApiServerAsync();
        await plane.StartApiServerAsync(cancellation);
        var addresses = await AddressesAsync(Count);

        var all = TimeProvider.System.GetElapsedTime(start);
        string memory = (await File.ReadAllLinesAsync($"/proc/{controller.Id}/status", cancellation)).First(static line => line.StartsWith("VmHWM", StringComparison.Ordinal));
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{Count} Services created in {created.TotalSeconds:F1} s, all had addresses after {all.TotalSeconds:F1} s; controller peak memory {memory[6..].Trim()}");
        // Printed by the cluster suite.
        Console.WriteLine($"MEASURED {Count} Services, API server crashed: created {created.TotalSeconds:F1} s, all addresses {all.TotalSeconds:F1} s, peak memory {memory[6..].Trim()}");
        Assert.Equal(Count, addresses.Distinct(StringComparer.Ordinal).Count());
        Assert.All(addresses, static address => Assert.StartsWith("10.77.", address, StringComparison.Ordinal));

        async Task<List<string>> AddressesAsync(int count)
        {
            while (true)
            {
                var services = await client.ListAsync(ResourceTypes.Services, "default", cancellation);
                List<string> found = [.. services.Items.Select(static service => service.Status.LoadBalancer.Ingress?[0].Ip).OfType<string>()];
                if (found.Count >= count)
                    return found;
                Assert.False(controller.HasExited, "The controller has ended.");
                Assert.True(TimeProvider.System.GetElapsedTime(start) < TimeSpan.FromMinutes(3), $"{found.Count} of {count} after 3 minutes");
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, cancellation);
            }
        }
    }
}
