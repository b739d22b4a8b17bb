using System.Net;
using System.Text;

namespace DynamicLb.Tests.KubeApi;

/// <summary>A page for a look at the Services and Events.</summary>
internal static class StatusPage
{
    public static string Render(ObjectStore store)
    {
        var page = new StringBuilder("<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2><title>Kubernetes API</title>"
            + "<style>body{font:14px system-ui;margin:2em;color-scheme:light dark}td,th{text-align:left;padding:.2em 1em .2em 0}</style>");
        Section(page, store, ApiResource.Find("", "v1", "services")!, "Services", static item =>
            [
                $"{ObjectStore.Text(ObjectStore.Metadata(item), "namespace")}/{ObjectStore.Text(ObjectStore.Metadata(item), "name")}",
                ObjectStore.Text(item["spec"], "type"),
                item["status"]?["loadBalancer"]?["ingress"]?.ToJsonString(),
                ObjectStore.Metadata(item)["annotations"]?.ToJsonString(),
            ]);
        Section(page, store, ApiResource.Find("", "v1", "events")!, "Events", static item =>
            [
                ObjectStore.Text(item, "lastTimestamp"), ObjectStore.Text(item, "type"), ObjectStore.Text(item, "reason"),
                ObjectStore.Text(item["involvedObject"], "name"), ObjectStore.Text(item, "message"),
            ]);
        Section(page, store, ApiResource.Find("coordination.k8s.io", "v1", "leases")!, "Leases", static item =>
            [ObjectStore.Text(ObjectStore.Metadata(item), "name"), ObjectStore.Text(item["spec"], "holderIdentity"), ObjectStore.Text(item["spec"], "renewTime")]);
        return page.ToString();
    }

    private static void Section(
        StringBuilder page, ObjectStore store, ApiResource resource, string title, Func<System.Text.Json.Nodes.JsonObject, string?[]> cells)
    {
        page.Append("<h2>").Append(title).Append("</h2><table>");
        foreach (var item in store.List(resource, null, 0, null, static _ => true).Items)
            page.Append("<tr>").AppendJoin("", cells(item).Select(static cell => $"<td>{WebUtility.HtmlEncode(cell)}</td>")).Append("</tr>");
        page.Append("</table>");
    }
}
