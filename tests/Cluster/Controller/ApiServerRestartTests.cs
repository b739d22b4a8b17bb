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

        // In the middle of it: unless the controller was done before it could be seen, and then once more with a thousand others.
        int made = 0;
        ChildProcess? running = null;
        long start;
        TimeSpan created;
        while (true)
        {
            start = TimeProvider.System.GetTimestamp();
            await CreateAsync(made);
            made += Count;
            created = TimeProvider.System.GetElapsedTime(start);
            running = StartController();
            if ((await AddressesAsync(running, made - Count + 100)).Count < made)
                break;
            Assert.True(made < 5 * Count, "The controller was always done before the API server crashed.");
            running.Signal("TERM");
            await running.WaitForExitAsync(cancellation);
            await running.DisposeAsync();
        }
        await using var controller = running;
        await plane.StopApiServerAsync();
        await plane.StartApiServerAsync(cancellation);
        var addresses = await AddressesAsync(controller, made);

        var all = TimeProvider.System.GetElapsedTime(start);
        string memory = (await File.ReadAllLinesAsync($"/proc/{controller.Id}/status", cancellation)).First(static line => line.StartsWith("VmHWM", StringComparison.Ordinal));
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{Count} Services created in {created.TotalSeconds:F1} s, all had addresses after {all.TotalSeconds:F1} s; controller peak memory {memory[6..].Trim()}");
        // Printed by the cluster suite.
        Console.WriteLine($"MEASURED {Count} Services, API server crashed: created {created.TotalSeconds:F1} s, all addresses {all.TotalSeconds:F1} s, peak memory {memory[6..].Trim()}");
        Assert.Equal(made, addresses.Distinct(StringComparer.Ordinal).Count());
        Assert.All(addresses, static address => Assert.StartsWith("10.77.", address, StringComparison.Ordinal));

        ChildProcess StartController() => ChildProcess.Start(
            "dotnet",
            [Programs.PathOf("Controller"), "--config", config, "--kubeconfig", plane.AdminKubeconfig, "--namespace", "default", "--listen", "http://127.0.0.1:0"], log);

        Task CreateAsync(int first) => Parallel.ForEachAsync(
            Enumerable.Range(first, Count), new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = cancellation },
            async (i, token) =>
            {
                using var body = new StringContent(
                    $$$"""{"apiVersion":"v1","kind":"Service","metadata":{"name":"s{{{i}}}"},"spec":{"type":"LoadBalancer","ports":[{"port":80}]}}""",
                    Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
                using var response = await plane.Http.PostAsync("/api/v1/namespaces/default/services", body, token);
                response.EnsureSuccessStatusCode();
            });

        async Task<List<string>> AddressesAsync(ChildProcess process, int count)
        {
            long since = TimeProvider.System.GetTimestamp();
            List<string> found = [];
            string fault = "";
            while (true)
            {
                try
                {
                    var services = await client.ListAsync(ResourceTypes.Services, "default", cancellation);
                    found = [.. services.Items.Select(static service => service.Status.LoadBalancer.Ingress?[0].Ip).OfType<string>()];
                }
                catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
                {
                    // A connection from before the crash, or a server that has only begun.
                    fault = e.Message;
                }
                if (found.Count >= count)
                    return found;
                Assert.False(process.HasExited, "The controller has ended.");
                Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromMinutes(3), $"{found.Count} of {count} after 3 minutes {fault}");
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, cancellation);
            }
        }
    }
}
