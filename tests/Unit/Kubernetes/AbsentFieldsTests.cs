using System.Text.Json;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Kubernetes;

/// <summary>The source generator gives init-only properties that are absent in the text no value, whatever their initializer says.</summary>
public sealed class AbsentFieldsTests
{
    [Fact]
    public void Objects_without_metadata_spec_or_status_have_empty_ones()
    {
        var service = JsonSerializer.Deserialize("{}", ResourceTypes.Services.TypeInfo)!;
        var node = JsonSerializer.Deserialize("{}", ResourceTypes.Nodes.TypeInfo)!;
        var lease = JsonSerializer.Deserialize("{}", ResourceTypes.Leases.TypeInfo)!;

        Assert.Null(service.Metadata.Name);
        Assert.Null(service.Spec.Type);
        Assert.Null(service.Status.LoadBalancer.Ingress);
        Assert.Null(node.Status.Conditions);
        Assert.Null(lease.Spec.HolderIdentity);
    }

    [Fact]
    public void A_list_without_items_is_empty()
    {
        var list = JsonSerializer.Deserialize("{}", ResourceTypes.Services.ListTypeInfo)!;

        Assert.Empty(list.Items);
        Assert.Null(list.Metadata.ResourceVersion);
    }
}
