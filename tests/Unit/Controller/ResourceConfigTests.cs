using System.Text;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>A controller that is configured by resources.</summary>
public sealed class ResourceConfigTests
{
    [Fact]
    public async Task A_Service_gets_an_address_of_an_IPAddressPool_whose_status_counts_it()
    {
        await using var lab = await ControllerLab.StartWithResourcesAsync();
        await lab.CreateAsync("web");
        await PoolAsync(lab, "lab", "10.0.0.0/30");

        await lab.HasAsync("web", "10.0.0.0");
        await PoolStatusAsync(lab, "lab", new IPAddressPoolStatus { AssignedIPv4 = 1, AvailableIPv4 = 3 });
        await lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "web", CancellationToken.None);
        await PoolStatusAsync(lab, "lab", new IPAddressPoolStatus { AvailableIPv4 = 4 });
    }

    [Fact]
    public async Task The_status_of_a_pool_that_somebody_edits_is_put_right()
    {
        await using var lab = await ControllerLab.StartWithResourcesAsync();
        await PoolAsync(lab, "lab", "10.0.0.0/30");
        await PoolStatusAsync(lab, "lab", new IPAddressPoolStatus { AvailableIPv4 = 4 });

        await PatchAsync(lab, ConfigResourceTypes.IPAddressPools, "lab", """{"status":{"availableIPv4":9}}""", "status");

        await PoolStatusAsync(lab, "lab", new IPAddressPoolStatus { AvailableIPv4 = 4 });
    }

    [Fact]
    public async Task Faults_are_told_in_the_ConfigurationState_and_the_rest_goes_on()
    {
        await using var lab = await ControllerLab.StartWithResourcesAsync();
        await PoolAsync(lab, "bad", "10.9.0.0/40");
        await PoolAsync(lab, "good", "10.0.0.0/24");
        await lab.CreateAsync("web");

        await lab.HasAsync("web", "10.0.0.0");
        var state = await StateAsync(lab, "Invalid");
        Assert.Equal("configuration error: IPAddressPool 'bad' spec.addresses: '10.9.0.0/40' has no valid prefix length (0 to 32)", state.Status!.ErrorSummary);
        var condition = Assert.Single(state.Status.Conditions!);
        Assert.Equal(("poolReconcilerValid", "False", "ConfigurationError"), (condition.Type, condition.Status, condition.Reason));
        Assert.Equal("controller", state.Metadata.Labels![ConfigurationState.ComponentTypeLabel]);

        await PatchAsync(lab, ConfigResourceTypes.IPAddressPools, "bad", """{"spec":{"addresses":["10.9.0.0/24"]}}""", null);

        state = await StateAsync(lab, "Valid");
        Assert.Equal("Reconciled", state.Status!.Conditions![0].Reason);
    }

    [Fact]
    public async Task A_pool_that_becomes_bad_costs_no_address_not_even_by_a_restart()
    {
        var lab = await ControllerLab.StartWithResourcesAsync();
        await PoolAsync(lab, "lab", "10.0.0.0/24");
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");
        await PatchAsync(lab, ConfigResourceTypes.IPAddressPools, "lab", """{"spec":{"addresses":["nonsense"]}}""", null);
        await StateAsync(lab, "Invalid");
        await lab.CreateAsync("while-it-ran");
        await lab.HasAsync("while-it-ran", "10.0.0.1");
        await lab.StopAsync();

        await using var next = await ControllerLab.StartWithResourcesAsync(lab.Api);
        await PoolAsync(next, "other", "10.1.0.0/24");
        await next.CreateAsync("later");
        await next.CreateAsync("same", (Annotations.AddressPool, "lab"));

        await next.HasAsync("later", "10.1.0.0");
        await next.ToldAsync("AllocationFailed", "pool \"lab\" has faults");
        await next.HasAsync("web", "10.0.0.0");
        await next.HasAsync("while-it-ran", "10.0.0.1");
        await next.HasAsync("same");
        await PatchAsync(next, ConfigResourceTypes.IPAddressPools, "lab", """{"spec":{"addresses":["10.0.0.0/24"]}}""", null);
        await next.HasAsync("same", "10.0.0.2");
        Assert.Equal("lab", (await next.HasAsync("web", "10.0.0.0")).Metadata.Annotation(Annotations.AllocatedFromPool));
    }

    [Fact]
    public async Task A_namespace_that_gets_the_labels_of_a_pool_gets_its_addresses()
    {
        await using var lab = await ControllerLab.StartWithResourcesAsync();
        await lab.CreateAsync("web");
        await lab.Api.Client.CreateAsync(
            ConfigResourceTypes.IPAddressPools,
            new IPAddressPool
            {
                Metadata = new ObjectMeta { Name = "team", Namespace = "default" },
                Spec = new IPAddressPoolSpec
                {
                    Addresses = ["10.5.0.0/24"],
                    ServiceAllocation = new ServiceAllocationSpec { NamespaceSelectors = [new() { MatchLabels = new Dictionary<string, string> { ["team"] = "a" } }] },
                },
            },
            CancellationToken.None);
        await lab.ToldAsync("AllocationFailed", "no available IPs");
        await lab.HasAsync("web");

        await NamespaceAsync(lab, """{"metadata":{"labels":{"team":"a"}}}""");
        await lab.HasAsync("web", "10.5.0.0");
        await NamespaceAsync(lab, """{"metadata":{"labels":{"team":"b"}}}""");
        await lab.HasAsync("web");
        await lab.ToldAsync("ClearAssignment", "serviceAllocation does not match");
    }

    [Fact]
    public async Task An_address_service_is_used_like_a_pool_and_its_status_says_how_it_fares()
    {
        await using var service = await FakeAddressService.StartAsync();
        service.Token = "secret";
        await using var lab = await ControllerLab.StartWithResourcesAsync();
        await lab.Api.Client.CreateAsync(
            ResourceTypes.Secrets,
            new Secret { Metadata = new ObjectMeta { Name = "token", Namespace = "default" }, Data = new Dictionary<string, string> { ["token"] = Convert.ToBase64String("secret"u8) } },
            CancellationToken.None);
        await lab.Api.Client.CreateAsync(
            ConfigResourceTypes.AddressServices,
            new AddressServiceResource
            {
                Metadata = new ObjectMeta { Name = "dhcp", Namespace = "default" },
                Spec = new AddressServiceSpec { Url = service.Url.ToString(), TokenSecretRef = new SecretKeySpec { Name = "token" } },
            },
            CancellationToken.None);
        await lab.CreateAsync("web");

        var web = await lab.HasAsync("web", "10.20.0.11");
        Assert.Equal("dhcp", web.Metadata.Annotation(Annotations.AllocatedFromPool));
        AddressServiceStatus? status = null;
        await ControllerLab.Until(
            async () => (status = (await lab.Api.Client.GetAsync(ConfigResourceTypes.AddressServices, "default", "dhcp", CancellationToken.None)).Status) is { Reachable: true, Leased: 1 },
            () => $"status {status}");
        Assert.Equal("True", Assert.Single(status!.Conditions!).Status);
    }

    private static Task<IPAddressPool> PoolAsync(ControllerLab lab, string name, string addresses) => lab.Api.Client.CreateAsync(
        ConfigResourceTypes.IPAddressPools,
        new IPAddressPool { Metadata = new ObjectMeta { Name = name, Namespace = "default" }, Spec = new IPAddressPoolSpec { Addresses = [addresses] } },
        CancellationToken.None);

    private static async Task PoolStatusAsync(ControllerLab lab, string name, IPAddressPoolStatus expected)
    {
        IPAddressPoolStatus? status = null;
        await ControllerLab.Until(
            async () => (status = (await lab.Api.Client.GetAsync(ConfigResourceTypes.IPAddressPools, "default", name, CancellationToken.None)).Status) == expected,
            () => $"status {status}, not {expected}");
    }

    private static async Task<ConfigurationState> StateAsync(ControllerLab lab, string result)
    {
        ConfigurationState? state = null;
        await ControllerLab.Until(
            async () =>
            {
                try
                {
                    state = await lab.Api.Client.GetAsync(ConfigResourceTypes.ConfigurationStates, "default", "controller", CancellationToken.None);
                }
                catch (KubernetesApiException)
                {
                    // Not there yet.
                }
                return state?.Status?.Result == result;
            },
            () => $"state {state?.Status}, not {result}");
        return state!;
    }

    private static Task<T> PatchAsync<T>(ControllerLab lab, ResourceType<T> type, string name, string patch, string? subresource)
        where T : KubernetesObject =>
        lab.Api.Client.PatchAsync(type, "default", name, PatchType.Merge, Encoding.UTF8.GetBytes(patch), subresource, CancellationToken.None);

    private static Task<Namespace> NamespaceAsync(ControllerLab lab, string patch) =>
        lab.Api.Client.PatchAsync(ResourceTypes.Namespaces, null, "default", PatchType.Merge, Encoding.UTF8.GetBytes(patch), null, CancellationToken.None);
}
