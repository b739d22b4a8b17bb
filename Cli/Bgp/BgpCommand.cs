using System.CommandLine;
using System.Text.Json;
using DynamicLb.Contracts.Explanations;

namespace DynamicLb.Cli.Bgp;

/// <summary><c>dynlb bgp</c>: asks speakers how their BGP sessions are doing.</summary>
internal static class BgpCommand
{
    private const int LargestAnswer = 16 << 20;

    public static Command Create()
    {
        var speakers = SpeakerUrls.Option("A speaker's URL, as its --listen says; several for several nodes.");
        var routes = new Option<bool>("--routes") { Description = "Lists what each peer is to know." };
        var output = new Option<string>("--output") { Description = "text or json.", DefaultValueFactory = static _ => "text" };
        output.AcceptOnlyFromAmong("text", "json");
        var command = new Command("bgp", "Shows the BGP sessions of nodes: state, last error, routes.") { speakers, routes, output };
        command.SetAction((result, cancellationToken) => RunAsync(
            result.GetValue(speakers)!, result.GetValue(routes), result.GetValue(output) == "json", result.InvocationConfiguration.Output, result.InvocationConfiguration.Error,
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(Uri[] speakers, bool routes, bool json, TextWriter output, TextWriter error, CancellationToken cancellationToken)
    {
        int code = ExitCode.Success;
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(10), MaxResponseContentBufferSize = LargestAnswer };
        foreach (var speaker in speakers)
        {
            BgpExplanation explanation;
            try
            {
                using var answer = await http.GetAsync(new Uri(speaker, "/v1/bgp"), cancellationToken);
                answer.EnsureSuccessStatusCode();
                await using var body = await answer.Content.ReadAsStreamAsync(cancellationToken);
                explanation = (await JsonSerializer.DeserializeAsync(body, BgpJsonContext.Default.BgpExplanation, cancellationToken))!;
            }
            catch (Exception e) when (e is HttpRequestException or JsonException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
            {
                await error.WriteLineAsync($"{speaker} does not tell: {e.Message}");
                return ExitCode.Unusable;
            }
            await output.WriteLineAsync(json ? JsonSerializer.Serialize(explanation, BgpJsonContext.Default.BgpExplanation) : BgpReport.Write(explanation, routes));
            if (explanation.Peers.Any(static peer => !BgpReport.IsUp(peer)))
                code = ExitCode.Faults;
        }
        return code;
    }
}
