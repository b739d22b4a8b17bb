using System.Text.Json;
using System.Text.Json.Serialization;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.AddressService.Store;

/// <summary>A lease as an object in Kubernetes (manifests/crds/addressleases.yaml).</summary>
internal sealed record AddressLease : KubernetesObject
{
    /// <summary>The <see cref="LeaseRecord"/>. Read apart from the object, so that one damaged record does not hide the others.</summary>
    public JsonElement Spec { get; init; }

    /// <summary>Who wrote it last.</summary>
    public AddressLeaseWriter? Writer { get; init; }

    public static ResourceType<AddressLease> Type { get; } = new(
        "dynamiclb.io", "v1beta1", "addressleases", "AddressLease", true, AddressLeaseJsonContext.Default.AddressLease,
        AddressLeaseJsonContext.Default.ResourceListAddressLease);
}

/// <summary>Tells a replica that was cut off from the one that replaced it.</summary>
/// <param name="Leader">Name of the replica.</param>
/// <param name="Epoch">Rises with each new leader.</param>
internal sealed record AddressLeaseWriter(string Leader, long Epoch)
{
    /// <summary>Whether a replica other than <paramref name="own"/> leads since, or claims to at the same time.</summary>
    public bool Supersedes(AddressLeaseWriter own) => Epoch > own.Epoch || (Epoch == own.Epoch && Leader != own.Leader);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ResourceList<AddressLease>))]
internal sealed partial class AddressLeaseJsonContext : JsonSerializerContext;
