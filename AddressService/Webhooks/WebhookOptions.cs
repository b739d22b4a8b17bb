using DynamicLb.Contracts.AddressServices;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.AddressService.Webhooks;

/// <summary>Somebody who is sent events by POST.</summary>
/// <param name="Url">Where to.</param>
/// <param name="SecretFile">File with the secret that signs what is sent.</param>
/// <param name="Events">Which types of events.</param>
internal sealed record WebhookOptions(Uri Url, string SecretFile, IReadOnlySet<string> Events)
{
    private const int Most = 16;

    /// <summary>What can be asked for.</summary>
    private static readonly HashSet<string> s_all = new(StringComparer.Ordinal)
    {
        LeaseEventType.Requested, LeaseEventType.Bound, LeaseEventType.Renewed, LeaseEventType.Changed, LeaseEventType.Recovered, LeaseEventType.Suspect,
        LeaseEventType.Lost, LeaseEventType.Declined, LeaseEventType.Conflict, LeaseEventType.Releasing, LeaseEventType.Released,
    };

    /// <summary>What is sent to those who do not say: everything but renewals.</summary>
    private static readonly IReadOnlySet<string> s_default = s_all.Except([LeaseEventType.Renewed, LeaseEventType.Requested]).ToHashSet(StringComparer.Ordinal);

    /// <summary>Where it goes, for the log: paths and queries may hold secrets.</summary>
    public string Name => $"{Url.Scheme}://{Url.Authority}";

    /// <summary>Reads the list from YAML.</summary>
    /// <returns>What is wrong with it, or null.</returns>
    public static string? Parse(string yaml, Action<IReadOnlyList<WebhookOptions>> set)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(yaml));
        }
        catch (YamlException e)
        {
            return $"is not YAML: {e.Message}";
        }
        if (stream.Documents.Count == 0 || stream.Documents[0].RootNode is YamlScalarNode { Value: null or "" })
        {
            set([]);
            return null;
        }
        if (stream.Documents[0].RootNode is not YamlSequenceNode list || list.Children.Count > Most)
            return $"is not a list of at most {Most} entries with url, secret-file and events";
        var hooks = new List<WebhookOptions>();
        foreach (var node in list.Children)
        {
            if (Read(node, out var hook) is { } fault)
                return $"entry {hooks.Count + 1}: {fault}";
            hooks.Add(hook!);
        }
        set(hooks);
        return null;
    }

    private static string? Read(YamlNode node, out WebhookOptions? hook)
    {
        hook = null;
        if (node is not YamlMappingNode mapping)
            return "is not a mapping";
        Uri? url = null;
        string? secretFile = null;
        var events = s_default;
        foreach (var (key, value) in mapping.Children)
        {
            switch ((key as YamlScalarNode)?.Value)
            {
                case "url" when value is YamlScalarNode { Value: { } text }:
                    if (!Uri.TryCreate(text, UriKind.Absolute, out url) || url.Scheme is not ("http" or "https") || url.UserInfo.Length > 0)
                        return "url is no http or https URL without a password in it";
                    break;
                case "secret-file" when value is YamlScalarNode { Value: { Length: > 0 } text }:
                    secretFile = text;
                    if (WebhookSecret.Fault(text) is { } fault)
                        return $"secret-file {fault}";
                    break;
                case "events" when value is YamlSequenceNode { Children.Count: > 0 } names:
                    events = names.Children.Select(n => (n as YamlScalarNode)?.Value ?? "").ToHashSet(StringComparer.Ordinal);
                    if (events.FirstOrDefault(e => !s_all.Contains(e)) is { } unknown)
                        return $"events has '{unknown}', which is none of {string.Join(", ", s_all.Order(StringComparer.Ordinal))}";
                    break;
                default:
                    return $"'{key}' is unknown or has no fitting value";
            }
        }
        if (url is null || secretFile is null)
            return "url and secret-file are required";
        hook = new WebhookOptions(url, secretFile, events);
        return null;
    }
}

/// <summary>The secret behind a webhook's signatures.</summary>
internal static class WebhookSecret
{
    private const int Shortest = 16;
    private const int Longest = 4096;

    /// <returns>What is wrong with a file, or null.</returns>
    public static string? Fault(string path)
    {
        try
        {
            return Read(path).Length < Shortest ? $"{path} holds less than {Shortest} characters" : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{path} cannot be read: {e.Message}";
        }
    }

    /// <exception cref="IOException">It cannot be read, or is too long.</exception>
    public static byte[] Read(string path)
    {
        using var file = File.OpenRead(path);
        if (file.Length > Longest)
            throw new IOException($"it is longer than {Longest} bytes");
        using var reader = new StreamReader(file);
        return System.Text.Encoding.UTF8.GetBytes(reader.ReadToEnd().Trim());
    }
}
