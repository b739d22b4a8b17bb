using System.CommandLine;
using System.Net;
using System.Text.Json;
using DynamicLb.Contracts.Explanations;

namespace DynamicLb.Cli.Explain;

/// <summary><c>dynlb explain NAMESPACE/NAME</c>: asks speakers why a Service is announced, or not, and by whom.</summary>
internal static class ExplainCommand
{
    private const int LargestAnswer = 4 << 20;

    public static Command Create()
    {
        var name = new Argument<string>("service") { Description = "NAMESPACE/NAME; a name alone is in the namespace default." };
        name.Validators.Add(static result =>
        {
            if (Split(result.GetValueOrDefault<string>()!) is null)
                result.AddError("A Service is written NAMESPACE/NAME.");
        });
        var speakers = SpeakerUrls.Option("A speaker's URL, as its --listen says; several, to hear of every node what its neighbours asked, and how its BGP sessions are. One knows all but that.");
        var output = new Option<string>("--output") { Description = "text or json.", DefaultValueFactory = static _ => "text" };
        output.AcceptOnlyFromAmong("text", "json");
        var command = new Command("explain", "Says who announces a Service, and why; or why nobody does.") { name, speakers, output };
        command.SetAction((result, cancellationToken) => RunAsync(
            Split(result.GetValue(name)!)!.Value, result.GetValue(speakers)!, result.GetValue(output) == "json", result.InvocationConfiguration.Output,
            result.InvocationConfiguration.Error, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(
        (string Namespace, string Name) service, Uri[] speakers, bool json, TextWriter output, TextWriter error, CancellationToken cancellationToken)
    {
        var explanations = new List<ServiceExplanation>();
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(10), MaxResponseContentBufferSize = LargestAnswer };
        foreach (var speaker in speakers)
        {
            try
            {
                using var response = await http.GetAsync(new Uri(speaker, $"/v1/explain/{Uri.EscapeDataString(service.Namespace)}/{Uri.EscapeDataString(service.Name)}"), cancellationToken);
                if (response.StatusCode == HttpStatusCode.NotFound)
                {
                    await error.WriteLineAsync($"{speaker} knows no Service {service.Namespace}/{service.Name}");
                    continue;
                }
                if (response.StatusCode == HttpStatusCode.ServiceUnavailable)
                {
                    await error.WriteLineAsync($"{speaker} cannot explain yet: {PlainText.Of(await response.Content.ReadAsStringAsync(cancellationToken))}");
                    continue;
                }
                response.EnsureSuccessStatusCode();
                await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
                explanations.Add((await JsonSerializer.DeserializeAsync(body, ExplanationJsonContext.Default.ServiceExplanation, cancellationToken))!);
            }
            catch (Exception e) when (e is HttpRequestException or JsonException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
            {
                await error.WriteLineAsync($"{speaker} does not explain: {e.Message}");
            }
        }
        var answers = !json ? explanations.Select(ExplainReport.Write)
            : speakers.Length > 1 ? [JsonSerializer.Serialize(explanations, ExplanationJsonContext.Default.IReadOnlyListServiceExplanation)]
            : explanations.Select(static explanation => JsonSerializer.Serialize(explanation, ExplanationJsonContext.Default.ServiceExplanation));
        foreach (string answer in answers)
            await output.WriteLineAsync(answer);
        return explanations.Count < speakers.Length ? ExitCode.Unusable
            : explanations.Exists(static explanation => explanation.IsAnnounced) ? ExitCode.Success : ExitCode.Faults;
    }

    private static (string Namespace, string Name)? Split(string text)
    {
        var parts = text.Split('/');
        return parts.Length > 2 || parts.Any(string.IsNullOrEmpty) ? null : parts.Length == 2 ? (parts[0], parts[1]) : ("default", parts[0]);
    }
}
