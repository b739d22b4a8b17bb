using System.CommandLine;
using System.Text.Json;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Cli.Doctor;

/// <summary><c>dynlb doctor dhcp</c>: asks an address service to try the ways to lease, and tells what it found.</summary>
internal static class DoctorCommand
{
    private const int DefaultSeconds = 8;

    public static Command Create()
    {
        var url = new Option<Uri>("--url")
        {
            Description = "The address service.",
            DefaultValueFactory = static _ => new Uri("http://127.0.0.1:8080"),
            CustomParser = static result =>
            {
                if (Uri.TryCreate(result.Tokens[0].Value, UriKind.Absolute, out var parsed) && parsed.Scheme is "http" or "https")
                    return parsed;
                result.AddError($"--url: '{result.Tokens[0].Value}' is no http or https URL");
                return null;
            },
        };
        var token = new Option<FileInfo?>("--token-file") { Description = "File with a token of the admin role; of several lines the first counts." };
        var ca = new Option<FileInfo?>("--ca-file") { Description = "Certificates that the service's must chain to (the system's)." };
        var link = new Option<string?>("--interface") { Description = "The interface, by its configured name (the first)." };
        var modes = new Option<string[]>("--modes")
        {
            Description = $"What to try, of {string.Join(", ", SelfTestModes.All)} (all). chaddr sends from a second MAC: leave it out where that shuts the switch port down.",
            AllowMultipleArgumentsPerToken = true,
        };
        var seconds = new Option<int>("--seconds") { Description = "How long each answer is waited for, 1 to 30.", DefaultValueFactory = _ => DefaultSeconds };
        var output = new Option<string>("--output") { Description = "text or json.", DefaultValueFactory = _ => "text" };
        output.AcceptOnlyFromAmong("text", "json");
        var dhcp = new Command("dhcp", "Tries each way to lease from DHCP, and says which of them the network allows, why others fail, and what to configure.")
        {
            url, token, ca, link, modes, seconds, output,
        };
        dhcp.SetAction((result, cancellationToken) => RunAsync(
            result.GetValue(url)!, result.GetValue(token), result.GetValue(ca),
            new SelfTestRequest(result.GetValue(link), result.GetValue(modes) is { Length: > 0 } some ? [.. some.SelectMany(m => m.Split(',', StringSplitOptions.RemoveEmptyEntries))] : null, result.GetValue(seconds)),
            result.GetValue(output) == "json", result.InvocationConfiguration.Output, result.InvocationConfiguration.Error, cancellationToken));
        return new Command("doctor", "Finds out what is wrong.") { dhcp };
    }

    private static async Task<int> RunAsync(
        Uri url, FileInfo? tokenFile, FileInfo? caFile, SelfTestRequest request, bool json, TextWriter output, TextWriter error, CancellationToken cancellationToken)
    {
        SelfTestAnswer answer;
        try
        {
            string? token = tokenFile is null ? null : await ReadTokenAsync(tokenFile.FullName, cancellationToken);
            using var handler = AddressServiceTls.CreateHandler(caFile is null ? null : new AddressServiceTls(caFile.FullName, null, null));
            using var http = new HttpClient(handler) { BaseAddress = url };
            // Each mode may wait three times: for a lease, for a second offer, and to give the lease back.
            var timeout = TimeSpan.FromSeconds((3 * (request.Seconds ?? DefaultSeconds)) + 15);
            answer = await new AddressServiceClient(http, _ => ValueTask.FromResult(token), timeout, TimeProvider.System).TestAsync(request, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or AddressServiceUnavailableException)
        {
            await error.WriteLineAsync(e.Message);
            return ExitCode.Unusable;
        }
        if (answer.Status != AnswerStatus.Success)
        {
            await error.WriteLineAsync($"{url} refuses the test: {answer.Detail}");
            return ExitCode.Unusable;
        }
        await output.WriteLineAsync(json ? JsonSerializer.Serialize(answer, AddressServiceJsonContext.Default.SelfTestAnswer) : DoctorReport.Write(answer));
        return answer.Modes!.Any(mode => mode.Mode == answer.Configured && mode.Outcome == SelfTestOutcome.Works) ? ExitCode.Success : ExitCode.Faults;
    }

    /// <summary>The first token of a file that may serve the address service itself: <c>name roles namespaces token</c>, or the token alone.</summary>
    private static async Task<string?> ReadTokenAsync(string path, CancellationToken cancellationToken)
    {
        foreach (string line in await File.ReadAllLinesAsync(path, cancellationToken))
        {
            string text = line.Trim();
            if (text.Length > 0 && text[0] != '#')
                return text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[^1];
        }
        throw new IOException($"{path} has no token");
    }
}
