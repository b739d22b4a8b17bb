using System.Text.Json.Nodes;

namespace DynamicLb.Controller.Admission;

/// <summary>
/// Reads BGPPeers of one version as another. Both versions agree in the names and forms of the fields that both have; v1beta1 lacks some, and asks for AS number and address. What is not
/// set stays so: timers that nobody gave are the defaults in either version. Pure.
/// </summary>
internal static class BgpPeerConversion
{
    private const string Older = "metallb.io/v1beta1";
    private const string Newer = "metallb.io/v1beta2";
    private static readonly string[] _newFields =
        ["dynamicASN", "localASN", "interface", "connectTime", "passwordSecret", "enableGracefulRestart", "vrf", "disableMP", "dualStackAddressFamily"];

    /// <summary>Answers a request: all objects, or the first reason why not.</summary>
    public static ConversionResponse Answer(ConversionRequest request)
    {
        var converted = new List<JsonObject>();
        foreach (var item in request.Objects ?? [])
        {
            if (Convert(item, request.DesiredApiVersion, out string? reason) is not { } result)
                return new ConversionResponse { Uid = request.Uid, ConvertedObjects = [], Result = new ConversionResult { Status = "Failure", Message = reason } };
            converted.Add(result);
        }
        return new ConversionResponse { Uid = request.Uid, ConvertedObjects = converted };
    }

    private static JsonObject? Convert(JsonObject item, string? version, out string? reason)
    {
        reason = null;
        string? kind = Text(item["kind"]), from = Text(item["apiVersion"]);
        if (kind != "BGPPeer" || from is not (Older or Newer) || version is not (Older or Newer))
        {
            reason = $"cannot convert {from} {kind} to {version}: only BGPPeer, between {Older} and {Newer}";
            return null;
        }
        var result = item.DeepClone().AsObject();
        result["apiVersion"] = version;
        if (version == Older && result["spec"] is JsonObject spec)
        {
            foreach (string field in _newFields)
                spec.Remove(field);
            spec.TryAdd("peerASN", 0);
            spec.TryAdd("peerAddress", "");
        }
        else if (version == Newer && from == Older && result["spec"] is JsonObject older)
        {
            // Only there for those who asked for something that the older version cannot say.
            if (older["peerASN"] is JsonValue number && number.TryGetValue(out long asn) && asn == 0)
                older.Remove("peerASN");
            if (Text(older["peerAddress"]) is "")
                older.Remove("peerAddress");
        }
        return result;
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? text) ? text : null;
}
