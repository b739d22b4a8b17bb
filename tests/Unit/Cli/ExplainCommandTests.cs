using System.CommandLine;
using System.Text.Json;
using DynamicLb.Cli;
using DynamicLb.Contracts.Explanations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Tests.Unit.Cli;

/// <summary><c>dynlb explain</c> with speakers that answer, that do not know, and that are dead.</summary>
public sealed class ExplainCommandTests : IAsyncDisposable
{
    // Nobody listens there.
    private const string Dead = "http://127.0.0.1:1";
    private static readonly ServiceExplanation s_announced = new("demo/web", "node1", "announced from this node, node1", "None", "node1")
    {
        Addresses = [new ExplainedAddress("10.0.0.1", true)],
    };
    private readonly List<WebApplication> _speakers = [];

    public async ValueTask DisposeAsync()
    {
        foreach (var speaker in _speakers)
            await speaker.DisposeAsync();
    }

    [Fact]
    public async Task A_speaker_that_does_not_answer_keeps_nothing_back_of_what_others_say()
    {
        string good = await StartAsync(200, s_announced);
        var (code, output, error) = await ExplainAsync("--speaker", Dead, await StartAsync(404, null), await StartAsync(503, null, "waiting for the API server"), good);

        Assert.Equal(2, code);
        Assert.Contains("demo/web: announced from this node, node1", output, StringComparison.Ordinal);
        Assert.Contains($"{Dead}/ does not explain", error, StringComparison.Ordinal);
        Assert.Contains("knows no Service demo/web", error, StringComparison.Ordinal);
        Assert.Contains("cannot explain yet: waiting for the API server", error, StringComparison.Ordinal);
        Assert.Equal(0, (await ExplainAsync("--speaker", good)).Code);
    }

    [Fact]
    public async Task One_speaker_is_an_object_and_several_are_an_array()
    {
        string one = await StartAsync(200, s_announced);
        using var alone = JsonDocument.Parse((await ExplainAsync("--output", "json", "--speaker", one)).Output);
        using var several = JsonDocument.Parse((await ExplainAsync("--output", "json", "--speaker", one, one)).Output);

        Assert.Equal("node1", alone.RootElement.GetProperty("node").GetString());
        Assert.Equal(["node1", "node1"], several.RootElement.EnumerateArray().Select(static item => item.GetProperty("node").GetString()));
    }

    [Fact]
    public async Task What_is_only_to_be_announced_is_not_called_announced()
    {
        var silent = s_announced with { Addresses = [new ExplainedAddress("10.0.0.1", false) { Silence = "this node stood still" }] };
        var elsewhere = s_announced with { Reason = "NotOwner", Owner = "node2" };

        Assert.Equal(1, (await ExplainAsync("--speaker", await StartAsync(200, silent))).Code);
        Assert.Equal(1, (await ExplainAsync("--speaker", await StartAsync(200, elsewhere))).Code);
        Assert.Equal(0, (await ExplainAsync("--speaker", await StartAsync(200, elsewhere with { Announcers = ["node2"] }))).Code);
    }

    private static async Task<(int Code, string Output, string Error)> ExplainAsync(params string[] arguments)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await CommandTable.Create().Parse(["explain", "demo/web", .. arguments]).InvokeAsync(new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }

    private async Task<string> StartAsync(int code, ServiceExplanation? explanation, string text = "")
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        app.MapGet("/v1/explain/demo/web", async context =>
        {
            context.Response.StatusCode = code;
            await context.Response.WriteAsync(explanation is null ? text : JsonSerializer.Serialize(explanation, ExplanationJsonContext.Default.ServiceExplanation));
        });
        await app.StartAsync(TestContext.Current.CancellationToken);
        _speakers.Add(app);
        return app.Urls.First();
    }
}
