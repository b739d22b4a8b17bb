using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;
using DynamicLb.Tests.Cluster.Manifests;

namespace DynamicLb.Tests.Cluster.Controller;

/// <summary>Assignment of addresses as MetalLB's end-to-end cases have it (e2e l2tests/assignment), done with the real controller and the real kube-apiserver, of both families.</summary>
public sealed class AssignmentTests : IAsyncLifetime
{
    private const string Own = ManifestCluster.Namespace;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);
    private int _known;
    private RealControlPlane _plane = null!;
    private KubernetesClient _client = null!;
    private ChildProcess? _controller;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        // In this version the families of a cluster are a matter of a feature gate.
        _plane = await RealControlPlane.StartAsync(
            new RealControlPlaneOptions { ApiServerArguments = ["--feature-gates", "IPv6DualStack=true", "--service-cluster-ip-range", "10.96.0.0/16,fd96::/112"] }, Token);
        var kubectl = new Kubectl(_plane.AdminKubeconfig);
        await kubectl.RunAsync(["apply", "--validate=false", "-f", Path.Combine(Repository.Root, "manifests", "crds")], cancellationToken: Token);
        await kubectl.RunAsync(["create", "namespace", Own], cancellationToken: Token);
        await TakenUp.DefinitionsAsync(_plane, Token);
        _client = new KubernetesClient(KubernetesClientConfiguration.Load(_plane.AdminKubeconfig), TimeProvider.System);
        StartController();
    }

    public async ValueTask DisposeAsync()
    {
        if (_controller is not null)
            await _controller.DisposeAsync();
        _client?.Dispose();
        if (_plane is not null)
            await _plane.DisposeAsync();
    }

    // One control plane for all cases: each begins without pools and Services.
    [Fact]
    public async Task Every_case_of_assignment_that_needs_no_data_plane()
    {
        await CaseAsync("should remove the ip from a service assign it to a free one when: changing type to ClusterIP", () => RemoveAsync(byType: true));
        await CaseAsync("should remove the ip from a service assign it to a free one when: deleting", () => RemoveAsync(byType: false));
        await CaseAsync("should preserve the same external ip after controller restart", RestartAsync);
        await CaseAsync("should reconsider services when sharing the ip and conditions change", SharingAsync);
        await CaseAsync("removes all pools", RemovesAllPoolsAsync);
        await CaseAsync("reallocates svc after deleting a pool", ReallocatesAsync);
        await CaseAsync("service allocation: with namespace", () => PriorityAsync(ns: true, labels: false, service: false));
        await CaseAsync("service allocation: with only priority", () => PriorityAsync(ns: false, labels: false, service: false));
        await CaseAsync("service allocation: with namespace and namespace labels", () => PriorityAsync(ns: true, labels: true, service: false));
        await CaseAsync("service allocation: with service label", () => PriorityAsync(ns: false, labels: false, service: true));
        await CaseAsync("service allocation: with namespace and service label", () => PriorityAsync(ns: true, labels: false, service: true));
        await CaseAsync("service allocation: with namespace with labels", () => PriorityAsync(ns: false, labels: true, service: false));
        await CaseAsync("Should select dual-stack pool if available", SelectsDualAsync);
        await CaseAsync("Should prefer primary ip ipv4 family among single-stack pools by default", () => PrefersPrimaryAsync("IPv4", "10.31.0.1"));
        await CaseAsync("Should prefer primary ipv6 ip family among single-stack pools", () => PrefersPrimaryAsync("IPv6", "fd31::1"));
        await CaseAsync("Additional ip should be assigned when the assigned 1-stack pool becomes dual-stack", AdditionalAsync);
        await CaseAsync("Single-stack pool should assign based on svc changes between PreferDualStack and RequireDualStack", PolicyAsync);
        await CaseAsync("Svc assigned from single-stack pool should not jump to dual-stack pool when it's available", NoJumpAsync);
        await CaseAsync("When current dualstack pool becomes single-stack, svc should pick another dualstack pool if possible", PicksAnotherAsync);
        await CaseAsync("Pool Status DUALSTACK", PoolStatusAsync);
    }

    private async Task RemoveAsync(bool byType)
    {
        await PoolAsync("one", ["10.31.0.1/32"]);
        await CreateAsync("first");
        await HasAsync("first", "10.31.0.1");
        await HasEventAsync(await CreateAsync("second"), "AllocationFailed");
        await HasAsync("second");
        if (byType)
            await PatchAsync("first", """{"spec":{"type":"ClusterIP"}}""");
        else
            await _client.DeleteAsync(ResourceTypes.Services, "default", "first", Token);
        await HasAsync("second", "10.31.0.1");
        if (byType)
            await HasAsync("first");
    }

    private async Task RestartAsync()
    {
        await PoolAsync("two", ["10.31.0.1-10.31.0.2"]);
        foreach (string name in new[] { "a", "b", "c", "d" })
            await CreateAsync(name);
        Dictionary<string, string> before = [];
        await Wait.UntilAsync(async () => (before = await AddressesAsync()).Count == 2, s_limit, "two Services to have the two addresses", Token);
        for (int i = 0; i < 3; i++)
        {
            _controller!.Signal("TERM");
            await _controller.WaitForExitAsync(Token);
            await _controller.DisposeAsync();
            StartController();
            // Something new tells that it works again.
            await PoolAsync($"new{i}", [$"10.32.0.{i}/32"], autoAssign: false);
            await CreateAsync($"new{i}", annotations: (Annotations.AddressPool, $"new{i}"));
            await HasAsync($"new{i}", $"10.32.0.{i}");
            var after = await AddressesAsync();
            Assert.Equal(before, after.Where(static entry => entry.Key.Length == 1).ToDictionary());
        }
    }

    private async Task SharingAsync()
    {
        await PoolAsync("one", ["10.31.0.1/32"]);
        var local = new ServiceSpec { ExternalTrafficPolicy = "Local", Selector = new Dictionary<string, string> { ["app"] = "x" }, Ports = [new ServicePort { Name = "p", Port = 80 }] };
        await CreateAsync("first", local, annotations: (Annotations.AllowSharedIP, "foo"));
        await HasAsync("first", "10.31.0.1");
        await CreateAsync("second", local with { Ports = [new ServicePort { Name = "p", Port = 81 }] }, annotations: (Annotations.AllowSharedIP, "foo"));
        await HasAsync("second", "10.31.0.1");
        // Other Pods: they cannot share any more.
        await PatchAsync("second", """{"spec":{"selector":{"app":"y"}}}""");
        await HasAsync("second");
        await HasAsync("first", "10.31.0.1");
        // Traffic to any node is bound to no Pods.
        await PatchAsync("first", """{"spec":{"externalTrafficPolicy":"Cluster"}}""");
        await PatchAsync("second", """{"spec":{"externalTrafficPolicy":"Cluster"}}""");
        await HasAsync("second", "10.31.0.1");
        await HasAsync("first", "10.31.0.1");
    }

    private async Task RemovesAllPoolsAsync()
    {
        await PoolAsync("one", ["10.31.0.1/32"]);
        await CreateAsync("web");
        await HasAsync("web", "10.31.0.1");
        await _client.DeleteAsync(ConfigResourceTypes.IPAddressPools, Own, "one", Token);
        await HasAsync("web");
    }

    private async Task ReallocatesAsync()
    {
        await PoolAsync("a", ["10.31.0.0/24"]);
        await CreateAsync("web");
        await HasAsync("web", "10.31.0.0");
        await PoolAsync("b", ["10.32.0.0/24"]);
        await _client.DeleteAsync(ConfigResourceTypes.IPAddressPools, Own, "a", Token);
        await HasAsync("web", "10.32.0.0");
    }

    /// <summary>Pools of one address each are used up by their priority, the one without last, then the one that is pinned to nobody.</summary>
    private async Task PriorityAsync(bool ns, bool labels, bool service)
    {
        var selectors = new[] { new LabelSelector { MatchLabels = new Dictionary<string, string> { ["team"] = "a" } } };
        ServiceAllocationSpec Pinned(long? priority) => new()
        {
            Priority = priority,
            Namespaces = ns ? ["default"] : null,
            NamespaceSelectors = labels ? selectors : null,
            ServiceSelectors = service ? selectors : null,
        };
        if (labels && !ns)
            await PatchNamespaceAsync("\"a\"");
        await PoolAsync("all", ["10.31.0.4/32"]);
        await PoolAsync("without", ["10.31.0.3/32"], allocation: Pinned(null));
        await PoolAsync("twenty", ["10.31.0.2/32"], allocation: Pinned(20));
        await PoolAsync("ten", ["10.31.0.1/32"], allocation: Pinned(10));
        await PoolAsync("elsewhere", ["10.31.0.9/32"], allocation: new ServiceAllocationSpec { Priority = 1, Namespaces = ["kube-system"] });
        await KnownAsync(Pinned(10), service);
        for (int i = 1; i <= 4; i++)
        {
            await CreateAsync($"s{i}", labelled: service);
            await HasAsync($"s{i}", $"10.31.0.{i}");
        }
        if (labels && !ns)
            await PatchNamespaceAsync("null");
    }

    private async Task SelectsDualAsync()
    {
        await PoolAsync("a4", ["10.31.0.1/32"]);
        await PoolAsync("b6", ["fd31::1/128"]);
        await PoolAsync("c46", ["10.32.0.1/32", "fd32::1/128"]);
        await KnownAsync();
        await CreateAsync("web", Dual("PreferDualStack"));
        await HasAsync("web", "10.32.0.1", "fd32::1");
    }

    private async Task PrefersPrimaryAsync(string first, string expected)
    {
        await PoolAsync("a4", ["10.31.0.1/32"]);
        await PoolAsync("b6", ["fd31::1/128"]);
        await KnownAsync();
        await CreateAsync("web", Dual("PreferDualStack") with { IpFamilies = first == "IPv4" ? ["IPv4", "IPv6"] : ["IPv6", "IPv4"] });
        await HasAsync("web", expected);
    }

    private async Task AdditionalAsync()
    {
        await PoolAsync("one", ["10.31.0.1/32"]);
        await CreateAsync("web", Dual("PreferDualStack"));
        await HasAsync("web", "10.31.0.1");
        await ChangePoolAsync("one", "10.31.0.1/32", "fd31::1/128");
        await HasAsync("web", "10.31.0.1", "fd31::1");
    }

    private async Task PolicyAsync()
    {
        await PoolAsync("one", ["10.31.0.1/32"]);
        await CreateAsync("web", Dual("PreferDualStack"));
        await HasAsync("web", "10.31.0.1");
        await PatchAsync("web", """{"spec":{"ipFamilyPolicy":"RequireDualStack"}}""");
        await HasAsync("web");
        await PatchAsync("web", """{"spec":{"ipFamilyPolicy":"PreferDualStack"}}""");
        await HasAsync("web", "10.31.0.1");
    }

    private async Task NoJumpAsync()
    {
        await PoolAsync("one", ["10.31.0.1/32"]);
        await CreateAsync("web", Dual("PreferDualStack"));
        await HasAsync("web", "10.31.0.1");
        await PoolAsync("a46", ["10.32.0.1/32", "fd32::1/128"]);
        await CreateAsync("next", Dual("PreferDualStack"));
        await HasAsync("next", "10.32.0.1", "fd32::1");
        await HasAsync("web", "10.31.0.1");
    }

    private async Task PicksAnotherAsync()
    {
        await PoolAsync("a46", ["10.31.0.1/32", "fd31::1/128"]);
        await CreateAsync("web", Dual("PreferDualStack"));
        await HasAsync("web", "10.31.0.1", "fd31::1");
        await PoolAsync("b46", ["10.32.0.1/32", "fd32::1/128"]);
        await ChangePoolAsync("a46", "10.31.0.1/32");
        await HasAsync("web", "10.32.0.1", "fd32::1");
    }

    private async Task PoolStatusAsync()
    {
        await PoolAsync("dual", ["10.31.0.0/31", "fd31::/127"]);
        await StatusAsync(0, 2, 0, 2);
        await CreateAsync("web", Dual("RequireDualStack"));
        await HasAsync("web", "10.31.0.0", "fd31::");
        await StatusAsync(1, 1, 1, 1);
        await ChangePoolAsync("dual", "10.31.0.0/30", "fd31::/126");
        await StatusAsync(1, 3, 1, 3);
        await _client.PatchAsync(
            ConfigResourceTypes.IPAddressPools, Own, "dual", PatchType.Merge, """{"status":{"assignedIPv4":77}}"""u8.ToArray(), "status", Token);
        await StatusAsync(1, 3, 1, 3);
        await _client.DeleteAsync(ResourceTypes.Services, "default", "web", Token);
        await StatusAsync(0, 4, 0, 4);
    }

    private Task StatusAsync(long assigned4, long available4, long assigned6, long available6) => UntilAsync(
        async () => (await _client.GetAsync(ConfigResourceTypes.IPAddressPools, Own, "dual", Token)).Status
            == new IPAddressPoolStatus { AssignedIPv4 = assigned4, AvailableIPv4 = available4, AssignedIPv6 = assigned6, AvailableIPv6 = available6 },
        $"the pool to be {assigned4}/{available4} and {assigned6}/{available6}");

    private async Task CaseAsync(string name, Func<Task> run)
    {
        try
        {
            await run();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new InvalidOperationException($"{name}: {e.Message}", e);
        }
        foreach (var service in (await _client.ListAsync(ResourceTypes.Services, "default", Token)).Items.Where(static service => service.Metadata.Name != "kubernetes"))
            await _client.DeleteAsync(ResourceTypes.Services, "default", service.Metadata.Name!, Token);
        foreach (var pool in (await _client.ListAsync(ConfigResourceTypes.IPAddressPools, Own, Token)).Items)
            await _client.DeleteAsync(ConfigResourceTypes.IPAddressPools, Own, pool.Metadata.Name!, Token);
        // The next case may have pools of the same addresses.
        await KnownAsync();
        TestContext.Current.SendDiagnosticMessage($"ok: {name}");
    }

    /// <summary>
    /// Completes when the controller goes by all pools and Services as they are now. It follows them one by one, and a Service that comes when only some are known takes what there is; but when
    /// a Service has an address of a pool that was made last, all others are known.
    /// </summary>
    private async Task KnownAsync(ServiceAllocationSpec? allocation = null, bool labelled = false)
    {
        string name = $"known{++_known}", address = $"10.39.0.{_known}";
        await PoolAsync(name, [$"{address}/32"], autoAssign: false, allocation);
        await CreateAsync(name, labelled: labelled, annotations: (Annotations.AddressPool, name));
        await HasAsync(name, address);
        await _client.DeleteAsync(ResourceTypes.Services, "default", name, Token);
        await _client.DeleteAsync(ConfigResourceTypes.IPAddressPools, Own, name, Token);
    }

    private void StartController() => _controller = ChildProcess.Start(
        "dotnet",
        [Programs.PathOf("Controller"), "--config", "resources", "--kubeconfig", _plane.AdminKubeconfig, "--namespace", Own, "--listen", "http://127.0.0.1:0"],
        Path.Combine(_plane.Folder, "controller.log"));

    private Task<IPAddressPool> PoolAsync(string name, IReadOnlyList<string> addresses, bool? autoAssign = null, ServiceAllocationSpec? allocation = null) => _client.CreateAsync(
        ConfigResourceTypes.IPAddressPools,
        new IPAddressPool
        {
            Metadata = new ObjectMeta { Name = name, Namespace = Own },
            Spec = new IPAddressPoolSpec { Addresses = addresses, AutoAssign = autoAssign, ServiceAllocation = allocation },
        },
        Token);

    private Task<IPAddressPool> ChangePoolAsync(string name, params string[] addresses) => _client.PatchAsync(
        ConfigResourceTypes.IPAddressPools, Own, name, PatchType.Merge,
        System.Text.Encoding.UTF8.GetBytes("{\"spec\":{\"addresses\":[\"" + string.Join("\",\"", addresses) + "\"]}}"), null, Token);

    private Task<Namespace> PatchNamespaceAsync(string label) => _client.PatchAsync(
        ResourceTypes.Namespaces, null, "default", PatchType.Merge, System.Text.Encoding.UTF8.GetBytes("{\"metadata\":{\"labels\":{\"team\":" + label + "}}}"), null, Token);

    private Task<Service> CreateAsync(string name, ServiceSpec? spec = null, bool labelled = false, params (string Key, string Value)[] annotations) => _client.CreateAsync(
        ResourceTypes.Services,
        new Service
        {
            Metadata = new ObjectMeta
            {
                Name = name,
                Namespace = "default",
                Annotations = annotations.ToDictionary(static entry => entry.Key, static entry => entry.Value),
                Labels = labelled ? new Dictionary<string, string> { ["team"] = "a" } : null,
            },
            Spec = (spec ?? new ServiceSpec { Ports = [new ServicePort { Name = "http", Port = 80 }] }) with { Type = "LoadBalancer" },
        },
        Token);

    private static ServiceSpec Dual(string policy) => new() { IpFamilyPolicy = policy, IpFamilies = ["IPv4", "IPv6"], Ports = [new ServicePort { Name = "http", Port = 80 }] };

    private Task<Service> PatchAsync(string name, string patch) =>
        _client.PatchAsync(ResourceTypes.Services, "default", name, PatchType.Strategic, System.Text.Encoding.UTF8.GetBytes(patch), null, Token);

    private async Task<Dictionary<string, string>> AddressesAsync() => (await _client.ListAsync(ResourceTypes.Services, "default", Token)).Items
        .Where(static service => service.Status.LoadBalancer.Ingress is { Count: > 0 })
        .ToDictionary(static service => service.Metadata.Name!, static service => string.Join(' ', service.Status.LoadBalancer.Ingress!.Select(static entry => entry.Ip)));

    private Task HasAsync(string name, params string[] addresses) => UntilAsync(
        async () => (await _client.GetAsync(ResourceTypes.Services, "default", name, Token)).Status.LoadBalancer.Ingress is var ingress
            && (ingress ?? []).Select(static entry => entry.Ip).SequenceEqual(addresses),
        $"{name} to have [{string.Join(", ", addresses)}]");

    // An Event about another Service, which had the name before, does not count.
    private Task HasEventAsync(Service service, string reason) => UntilAsync(
        async () => (await _client.ListAsync(ResourceTypes.Events, "default", Token)).Items.Any(told => told.Reason == reason && told.InvolvedObject?.Uid == service.Metadata.Uid),
        $"{service.Metadata.Name} to have the Event {reason}");

    private async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        try
        {
            await Wait.UntilAsync(condition, s_limit, what, Token);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}; there are {string.Join(", ", (await AddressesAsync()).Select(static entry => $"{entry.Key}: {entry.Value}"))}; the controller said: {_controller!.LogTail(8)}", e);
        }
    }
}
