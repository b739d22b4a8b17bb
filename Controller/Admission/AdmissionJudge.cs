using System.Text.Json;
using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Controller.Admission;

/// <summary>
/// Says whether an object of the configuration may be written: whether the whole configuration, with it, has a fault that it does not have without. The judgement is that of
/// <see cref="ConfigValidator"/>; what may still be made (BFD profiles, aliases of communities, Secrets) may be missing. Pure.
/// </summary>
internal sealed class AdmissionJudge(string ownNamespace, BgpRules rules = BgpRules.Own)
{
    private const int MostFaults = 20;

    /// <summary>Whether the answer depends on the configuration at all; if not, null may be passed for it.</summary>
    public bool NeedsConfiguration(AdmittedKind kind, AdmissionRequest request) => Early(kind, request) is null;

    /// <summary>Judges.</summary>
    /// <param name="kind">The kind of the object.</param>
    /// <param name="request">What is asked.</param>
    /// <param name="resources">The configuration as it is.</param>
    public AdmissionResponse Judge(AdmittedKind kind, AdmissionRequest request, ConfigResources? resources)
    {
        var answer = Early(kind, request) ?? (request.Operation == "DELETE" ? JudgeDelete(request, resources!) : JudgeWrite(kind, request, resources!));
        return answer with { Uid = request.Uid };
    }

    /// <summary>The answer that the request alone gives, or null.</summary>
    private AdmissionResponse? Early(AdmittedKind kind, AdmissionRequest request)
    {
        bool isOurs = request.Namespace == ownNamespace;
        switch (request.Operation)
        {
            case "CREATE":
                return isOurs ? null : AdmissionResponse.Deny($"resource must be created in {ownNamespace} namespace");
            case "UPDATE":
                // One elsewhere counts for nothing. One that is at fault already must still lose its finalizers, and get its status.
                return !isOurs || IsSame(request) || IsGoing(request.Object) ? AdmissionResponse.Allow() : null;
            case "DELETE":
                return isOurs && kind.Kind == "BFDProfile" ? null : AdmissionResponse.Allow();
            default:
                return AdmissionResponse.Allow();
        }
    }

    private AdmissionResponse JudgeWrite(AdmittedKind kind, AdmissionRequest request, ConfigResources resources)
    {
        string name = NameOf(request);
        var warnings = new List<string>();
        if (request.Object is not { ValueKind: JsonValueKind.Object } item)
            return AdmissionResponse.Deny("the request has no object");
        ConfigResult before, after;
        try
        {
            before = Read(request.OldObject is { ValueKind: JsonValueKind.Object } old ? kind.With(resources, name, old) : kind.Without(resources, name));
            after = Read(kind.With(resources, name, item));
        }
        catch (JsonException e)
        {
            return AdmissionResponse.Deny($"{kind.Kind} '{name}' {e.Path}: {e.Message}");
        }
        var faults = after.Faults.Except(before.Faults).Select(static fault => fault.ToString()).ToList();
        if (kind.Kind == "BGPPeer")
            JudgePeer(request, name, faults, warnings);
        if (faults.Count > 0)
            return AdmissionResponse.Deny(string.Join("; ", faults.Take(MostFaults)) + (faults.Count > MostFaults ? $"; and {faults.Count - MostFaults} more" : ""));
        string title = $"{kind.Kind} '{name}'";
        warnings.AddRange(after.Notices.Except(before.Notices).Where(notice => notice.Object == title).Select(static notice => notice.ToString()));
        return AdmissionResponse.Allow(warnings);
    }

    /// <summary>What the definition says with rules that API servers before 1.25 do not know, and what is no fault.</summary>
    private static void JudgePeer(AdmissionRequest request, string name, List<string> faults, List<string> warnings)
    {
        const string GracefulRestart = "enableGracefulRestart";
        if (Field(request.OldObject, GracefulRestart) is { } was && Field(request.Object, GracefulRestart) is { } isNow && was != isNow)
            faults.Add($"BGPPeer '{name}' spec.{GracefulRestart}: EnableGracefulRestart cannot be changed after creation");
        if (Field(request.Object, "disableMP") == true)
            warnings.Add($"BGPPeer '{name}' spec.disableMP: is deprecated, use dualStackAddressFamily");
    }

    private static AdmissionResponse JudgeDelete(AdmissionRequest request, ConfigResources resources)
    {
        string name = NameOf(request);
        var users = resources.BgpPeers.Where(peer => peer.Spec.BfdProfile == name).Select(static peer => $"BGPPeer '{peer.Metadata.Name}'").ToList();
        return users.Count == 0 ? AdmissionResponse.Allow() : AdmissionResponse.Deny($"failed to delete BFDProfile {name}: used by {string.Join(", ", users)}");
    }

    private ConfigResult Read(ConfigResources resources) => ResourceReader.Read(resources, null, rules, toleratesAbsent: true);

    private static bool IsSame(AdmissionRequest request) =>
        request.Object is { ValueKind: JsonValueKind.Object } item && request.OldObject is { ValueKind: JsonValueKind.Object } old
        && Same(Part(item, "spec"), Part(old, "spec")) && Same(Part(Part(item, "metadata"), "labels"), Part(Part(old, "metadata"), "labels"));

    private static bool Same(JsonElement? left, JsonElement? right) =>
        left is null || right is null ? left is null && right is null : JsonElement.DeepEquals(left.Value, right.Value);

    private static bool IsGoing(JsonElement? item) => Part(Part(item, "metadata"), "deletionTimestamp") is not null;

    private static bool? Field(JsonElement? item, string name) => Part(Part(item, "spec"), name)?.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    private static JsonElement? Part(JsonElement? item, string name) =>
        item is { ValueKind: JsonValueKind.Object } value && value.TryGetProperty(name, out var part) && part.ValueKind != JsonValueKind.Null ? part : null;

    private static string NameOf(AdmissionRequest request)
    {
        if (request.Name is { Length: > 0 } name)
            return name;
        var metadata = Part(request.Object ?? request.OldObject, "metadata");
        return Part(metadata, "name")?.GetString() ?? $"{Part(metadata, "generateName")?.GetString()}new";
    }
}
