using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Configuration;

/// <summary>The setting <c>dhcp-options</c>: options beside the client's own, as <c>code=kind:value</c>, separated by commas.</summary>
internal static class ExtraOptionList
{
    private const int LongestValue = 255;

    /// <returns>Every fault; null when there is none.</returns>
    public static string? Parse(string text, Action<IReadOnlyList<DhcpExtraOption>> set)
    {
        var faults = new List<string>();
        var options = new List<DhcpExtraOption>();
        foreach (string item in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = item.IndexOf('=', StringComparison.Ordinal);
            int colon = item.IndexOf(':', StringComparison.Ordinal);
            if (equals < 1 || colon < equals || !int.TryParse(item.AsSpan(0, equals), NumberStyles.None, CultureInfo.InvariantCulture, out int code))
            {
                faults.Add($"'{item}' is not CODE=KIND:VALUE");
                continue;
            }
            string kind = item[(equals + 1)..colon];
            string? fault = DhcpExtraOption.Refusal(code);
            if (fault is null && options.Any(option => (int)option.Code == code))
                fault = $"option {code} is there twice";
            byte[]? value = Value(kind, item[(colon + 1)..]);
            if (fault is null && value is null)
                fault = $"option {code}: '{item[(equals + 1)..]}' is none of text:TEXT, hex:BYTES, ips:ADDRESS [ADDRESS ...], uint8:N, uint16:N, uint32:N";
            if (fault is null && value!.Length > LongestValue)
                fault = $"option {code} has {value.Length} bytes, {LongestValue} are possible";
            if (fault is null)
                options.Add(new DhcpExtraOption((DhcpOptionCode)code, value));
            else
                faults.Add(fault);
        }
        if (faults.Count > 0)
            return $"has faults: {string.Join("; ", faults)}";
        set(options);
        return null;
    }

    private static byte[]? Value(string kind, string text) => kind switch
    {
        "text" when text.Length > 0 => Encoding.UTF8.GetBytes(text),
        "hex" => Hexadecimal(text.Replace(":", "", StringComparison.Ordinal)),
        "ips" => Addresses(text.Split(' ', StringSplitOptions.RemoveEmptyEntries)),
        "uint8" => Number(text, 1),
        "uint16" => Number(text, 2),
        "uint32" => Number(text, 4),
        _ => null,
    };

    private static byte[]? Hexadecimal(string text)
    {
        var bytes = new byte[text.Length / 2];
        return Convert.FromHexString(text, bytes, out _, out int written) == System.Buffers.OperationStatus.Done && written == bytes.Length && text.Length % 2 == 0
            ? bytes : null;
    }

    private static byte[]? Addresses(string[] items)
    {
        var bytes = new byte[items.Length * IPv4Address.Length];
        for (int i = 0; i < items.Length; i++)
        {
            if (!IPv4Address.TryParse(items[i], out var address))
                return null;
            address.Write(bytes.AsSpan(i * IPv4Address.Length));
        }
        return bytes.Length == 0 ? null : bytes;
    }

    private static byte[]? Number(string text, int size)
    {
        if (!uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) || (size < 4 && number >> (8 * size) != 0))
            return null;
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, number);
        return bytes[(4 - size)..];
    }
}
