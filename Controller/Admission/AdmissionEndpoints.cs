using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using Microsoft.AspNetCore.Http.Features;

namespace DynamicLb.Controller.Admission;

/// <summary>
/// Where the API server asks. What is judged against is read from it anew each time: what was written a moment ago counts. When it cannot be read the answer is 500, and the failure
/// policy decides.
/// </summary>
internal sealed partial class AdmissionEndpoints(IKubernetesClient client, string ownNamespace, ILogger<AdmissionEndpoints> logger) : IDisposable
{
    /// <summary>Where BGPPeers are converted.</summary>
    public const string ConvertPath = "/convert";

    // A list of many objects with all their managed fields.
    private const long LargestBody = 32 << 20;

    // The API server waits for 10 s.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(8);
    private readonly AdmissionJudge _judge = new(ownNamespace);
    private readonly SemaphoreSlim _judging = new(4);

    /// <summary>All paths.</summary>
    public static IReadOnlyList<string> Paths { get; } = [.. AdmittedKind.All.Select(static kind => kind.Path), ConvertPath];

    /// <summary>Serves all paths.</summary>
    public void Map(IEndpointRouteBuilder endpoints)
    {
        foreach (var kind in AdmittedKind.All)
            endpoints.MapPost(kind.Path, (RequestDelegate)(context => JudgeAsync(context, kind))).ExcludeFromDescription();
        endpoints.MapPost(ConvertPath, (RequestDelegate)ConvertAsync).ExcludeFromDescription();
    }

    public void Dispose() => _judging.Dispose();

    private async Task JudgeAsync(HttpContext context, AdmittedKind kind)
    {
        var json = AdmissionJsonContext.Default.AdmissionReview;
        if (await ReadAsync(context, json) is not { Request: { } request, ApiVersion: "admission.k8s.io/v1" or "admission.k8s.io/v1beta1" } review)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
            patience.CancelAfter(Patience);
            var resources = _judge.NeedsConfiguration(kind, request) ? await ReadAsync(patience.Token) : null;
            var answer = _judge.Judge(kind, request, resources);
            if (!answer.Allowed)
                LogDenied(logger, request.Operation, kind.Kind, request.Namespace, request.Name, answer.Status?.Message);
            await WriteAsync(context, review with { Request = null, Response = answer }, json);
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException or OperationCanceledException)
        {
            if (context.RequestAborted.IsCancellationRequested)
                return;
            LogUnread(logger, kind.Kind, request.Name, e is OperationCanceledException ? "no answer in time" : e.Message);
            context.Response.StatusCode = StatusCodes.Status500InternalServerError;
        }
    }

    private static async Task ConvertAsync(HttpContext context)
    {
        var json = AdmissionJsonContext.Default.ConversionReview;
        if (await ReadAsync(context, json) is { Request: { } request, ApiVersion: "apiextensions.k8s.io/v1" or "apiextensions.k8s.io/v1beta1" } review)
            await WriteAsync(context, review with { Request = null, Response = BgpPeerConversion.Answer(request) }, json);
        else
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
    }

    private async Task<ConfigResources> ReadAsync(CancellationToken cancellationToken)
    {
        await _judging.WaitAsync(cancellationToken);
        try
        {
            var pools = ListAsync(ConfigResourceTypes.IPAddressPools, ownNamespace, cancellationToken);
            var services = ListAsync(ConfigResourceTypes.AddressServices, ownNamespace, cancellationToken);
            var layer2 = ListAsync(ConfigResourceTypes.L2Advertisements, ownNamespace, cancellationToken);
            var bgp = ListAsync(ConfigResourceTypes.BGPAdvertisements, ownNamespace, cancellationToken);
            var peers = ListAsync(ConfigResourceTypes.BGPPeers, ownNamespace, cancellationToken);
            var profiles = ListAsync(ConfigResourceTypes.BFDProfiles, ownNamespace, cancellationToken);
            var communities = ListAsync(ConfigResourceTypes.Communities, ownNamespace, cancellationToken);
            var nodes = ListAsync(ResourceTypes.Nodes, null, cancellationToken);
            await Task.WhenAll(pools, services, layer2, bgp, peers, profiles, communities, nodes);
            return new ConfigResources
            {
                Pools = await pools,
                AddressServices = await services,
                L2Advertisements = await layer2,
                BgpAdvertisements = await bgp,
                BgpPeers = await peers,
                BfdProfiles = await profiles,
                Communities = await communities,
                Nodes = await nodes,
            };
        }
        finally
        {
            _judging.Release();
        }
    }

    private async Task<IReadOnlyCollection<T>> ListAsync<T>(ResourceType<T> type, string? @namespace, CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        try
        {
            return (await client.ListAsync(type, @namespace, cancellationToken)).Items;
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            // A cluster without that kind.
            return [];
        }
    }

    private static async Task<T?> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> json)
        where T : class
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = LargestBody;
        try
        {
            return await JsonSerializer.DeserializeAsync(context.Request.Body, json, context.RequestAborted);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static async Task WriteAsync<T>(HttpContext context, T review, JsonTypeInfo<T> json)
    {
        context.Response.ContentType = "application/json";
        await JsonSerializer.SerializeAsync(context.Response.Body, review, json, context.RequestAborted);
    }

    [LoggerMessage(1, LogLevel.Information, "Denied: {Operation} of {Kind} {Namespace}/{Name}: {Reason}")]
    private static partial void LogDenied(ILogger logger, string? operation, string kind, string? @namespace, string? name, string? reason);

    [LoggerMessage(2, LogLevel.Warning, "{Kind} {Name} could not be judged, the configuration cannot be read: {Cause}")]
    private static partial void LogUnread(ILogger logger, string kind, string? name, string cause);
}
