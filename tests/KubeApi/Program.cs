using DynamicLb.Tests.KubeApi;

string? Option(string name)
{
    int at = Array.IndexOf(args, name);
    return at >= 0 && at + 1 < args.Length ? args[at + 1] : null;
}

if (args.Contains("--help"))
{
    Console.WriteLine("usage: DynamicLb.Tests.KubeApi [--listen URL] [--token TOKEN] [--kubeconfig-out FILE]");
    return 0;
}

await using var server = await KubeApiServer.StartAsync(Option("--listen") ?? "http://127.0.0.1:0", Option("--token"));
if (Option("--kubeconfig-out") is { } file)
    await File.WriteAllTextAsync(file, server.KubeConfig());
Console.WriteLine($"listening on {server.Url}");
await server.WaitForShutdownAsync();
return 0;
