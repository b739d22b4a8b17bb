using System.Text.Json.Nodes;
using DynamicLb.Lab;

namespace DynamicLb.Tests.Network.Browser;

/// <summary>A page in <see cref="Chromium"/>.</summary>
internal sealed class Page(Chromium chromium, string session)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public Task<JsonNode> CallAsync(string method, JsonObject parameters) => chromium.CallAsync(method, parameters, session);

    /// <summary>The value of an expression; what it throws is thrown here.</summary>
    public async Task<JsonNode?> EvaluateAsync(string expression)
    {
        var answer = await CallAsync("Runtime.evaluate", new() { ["expression"] = expression, ["returnByValue"] = true, ["awaitPromise"] = true });
        return answer["exceptionDetails"] is { } fault ? throw new InvalidOperationException($"{expression}: {fault.ToJsonString()}") : answer["result"]!["value"];
    }

    public async Task<string> TextAsync(string selector) => (string?)await EvaluateAsync($"document.querySelector({Quote(selector)})?.textContent.trim() ?? ''") ?? "";

    /// <summary>Waits for an expression to be true.</summary>
    public Task WaitAsync(string expression, string what) => Wait.UntilAsync(
        async () => (bool?)await EvaluateAsync($"Boolean({expression})") == true, TimeSpan.FromSeconds(60), what, Cancelled);

    public Task WaitForTextAsync(string selector, string text) =>
        WaitAsync($"document.querySelector({Quote(selector)})?.textContent.includes({Quote(text)})", $"'{text}' in {selector}");

    public Task ResizeAsync(int width, int height) => CallAsync(
        "Emulation.setDeviceMetricsOverride", new() { ["width"] = width, ["height"] = height, ["deviceScaleFactor"] = 1, ["mobile"] = width < 600 });

    public Task PreferAsync(string scheme) => CallAsync(
        "Emulation.setEmulatedMedia", new() { ["features"] = new JsonArray(new JsonObject { ["name"] = "prefers-color-scheme", ["value"] = scheme }) });

    public Task TypeAsync(string text) => CallAsync("Input.insertText", new() { ["text"] = text });

    /// <summary>Presses a key: Tab, Enter, Space.</summary>
    public async Task PressAsync(string key)
    {
        (int code, string? text) = key switch { "Tab" => (9, null), "Enter" => (13, "\r"), "Space" => (32, " "), _ => throw new ArgumentException(key, nameof(key)) };
        var down = new JsonObject { ["type"] = text is null ? "rawKeyDown" : "keyDown", ["key"] = key == "Space" ? " " : key, ["code"] = key, ["windowsVirtualKeyCode"] = code };
        if (text is not null)
            down["text"] = text;
        await CallAsync("Input.dispatchKeyEvent", down);
        await CallAsync("Input.dispatchKeyEvent", new() { ["type"] = "keyUp", ["key"] = key == "Space" ? " " : key, ["code"] = key, ["windowsVirtualKeyCode"] = code });
    }

    /// <summary>Presses Tab until the focus is where it should be.</summary>
    public async Task TabToAsync(string selector)
    {
        const int Most = 60;
        for (int i = 0; i < Most; i++)
        {
            if ((bool?)await EvaluateAsync($"document.activeElement?.matches({Quote(selector)}) ?? false") == true)
                return;
            await PressAsync("Tab");
        }
        Assert.Fail($"Tab does not reach {selector}");
    }

    public async Task ScreenshotAsync(string name)
    {
        string folder = Path.Combine(Repository.Root, "artifacts", "test-logs");
        Directory.CreateDirectory(folder);
        var answer = await CallAsync("Page.captureScreenshot", new() { ["format"] = "png", ["captureBeyondViewport"] = true });
        await File.WriteAllBytesAsync(Path.Combine(folder, $"dashboard-{name}.png"), Convert.FromBase64String((string)answer["data"]!), Cancelled);
    }

    /// <summary>Role and name of everything that people who do not see the page are told of.</summary>
    public async Task<IReadOnlyList<(string Role, string Name)>> AccessibleAsync()
    {
        var tree = await CallAsync("Accessibility.getFullAXTree", []);
        return [.. tree["nodes"]!.AsArray().Where(node => (bool?)node!["ignored"] != true)
            .Select(node => ((string?)node!["role"]?["value"] ?? "", (string?)node["name"]?["value"] ?? ""))];
    }

    public static string Quote(string text) => System.Text.Json.JsonSerializer.Serialize(text);
}
