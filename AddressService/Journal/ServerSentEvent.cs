using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Journal;

/// <summary>The text of server-sent events (WHATWG HTML §9.2). JSON holds no line breaks, so that each event's data is one line.</summary>
internal static class ServerSentEvent
{
    /// <summary>A comment, which readers leave out: it shows both ends that the connection lives.</summary>
    public static byte[] Heartbeat { get; } = ":\n\n"u8.ToArray();

    /// <summary>How long a browser's own reader waits before it comes back, in milliseconds.</summary>
    public static byte[] Retry { get; } = "retry: 2000\n\n"u8.ToArray();

    public static byte[] Encode(LeaseEvent happened) => Encode(happened.Type, happened, AddressServiceJsonContext.Default.LeaseEvent, happened.Id);

    /// <param name="type">Name of the event.</param>
    /// <param name="data">Its data.</param>
    /// <param name="typeInfo">How the data is written.</param>
    /// <param name="id">Where a reader goes on after it; empty to begin anew, null to leave it as it is.</param>
    public static byte[] Encode<T>(string type, T data, JsonTypeInfo<T> typeInfo, string? id = null)
    {
        var text = new StringBuilder("event: ").Append(type).Append('\n');
        if (id is not null)
            text.Append("id: ").Append(id).Append('\n');
        text.Append("data: ").Append(JsonSerializer.Serialize(data, typeInfo)).Append("\n\n");
        return Encoding.UTF8.GetBytes(text.ToString());
    }
}
