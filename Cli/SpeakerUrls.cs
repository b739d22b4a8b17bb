using System.CommandLine;

namespace DynamicLb.Cli;

/// <summary>The option that names speakers.</summary>
internal static class SpeakerUrls
{
    public static Option<Uri[]> Option(string description) => new("--speaker")
    {
        Description = description,
        DefaultValueFactory = static _ => [new Uri("http://127.0.0.1:17473")],
        AllowMultipleArgumentsPerToken = true,
        CustomParser = static result =>
        {
            var urls = new List<Uri>();
            foreach (var token in result.Tokens)
            {
                if (Uri.TryCreate(token.Value, UriKind.Absolute, out var url) && url.Scheme is "http" or "https")
                    urls.Add(url);
                else
                    result.AddError($"--speaker: '{token.Value}' is no URL such as http://127.0.0.1:17473");
            }
            return [.. urls];
        },
    };
}
