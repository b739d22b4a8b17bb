using System.CommandLine;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Controller.Admission;
using DynamicLb.Kubernetes.Client;

namespace DynamicLb.Controller;

/// <summary>The settings of a controller. Immutable.</summary>
/// <param name="Common">What controller and speaker share.</param>
/// <param name="Namespace">Namespace of our own Lease and Secrets.</param>
/// <param name="Identity">Who we are among the replicas.</param>
/// <param name="LeaderElect">Whether replicas take turns by a Lease.</param>
/// <param name="EnsureTokenSecret">Secrets to make at start, with a random token each, when they do not exist, separated by commas; null for none.</param>
internal sealed record ControllerOptions(KubernetesProgramSettings Common, string Namespace, string Identity, bool LeaderElect, string? EnsureTokenSecret)
{
    /// <summary>How admission and conversion webhooks are served.</summary>
    public WebhookOptions Webhooks { get; init; } = new();

    /// <summary>How often address services are asked for news.</summary>
    public TimeSpan PollInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a lease without an owner is kept.</summary>
    public TimeSpan OrphanGrace { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How long after a failed allocation it is tried again although nothing happened.</summary>
    public TimeSpan RetryFailed { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>The command line.</summary>
internal static class ControllerCommand
{
    public static RootCommand Create(Func<ControllerOptions, CancellationToken, Task> run)
    {
        var common = new KubernetesProgramArguments("http://0.0.0.0:17472");
        var leaderElect = new Option<bool>("--leader-elect") { Description = "Take turns with other replicas.", DefaultValueFactory = static _ => true };
        var ensure = new Option<string?>("--ensure-token-secret") { Description = "Make these Secrets, separated by commas, with a random token each if they do not exist." };
        var poll = new Option<int>("--poll-seconds") { Description = "How often address services are asked for news.", DefaultValueFactory = static _ => 5 };
        var grace = new Option<int>("--orphan-grace-seconds")
        {
            Description = "How long a lease that no Service owns is kept.",
            DefaultValueFactory = static _ => 600,
        };
        poll.Validators.Add(static result => RequireRange(result, "--poll-seconds", 1, 3600));
        grace.Validators.Add(static result => RequireRange(result, "--orphan-grace-seconds", 1, 86_400));

        var command = new RootCommand("DynamicLb controller: gives Services of type LoadBalancer their addresses.");
        common.AddTo(command);
        var webhooks = new WebhookArguments();
        webhooks.AddTo(command);
        foreach (var option in new Option[] { leaderElect, ensure, poll, grace })
            command.Options.Add(option);
        command.SetAction((result, cancellationToken) =>
        {
            var settings = common.Read(result);
            return run(
                new ControllerOptions(
                    settings, settings.Namespace ?? KubernetesClientConfiguration.Load(settings.KubeConfig).Namespace ?? "dynamiclb-system", $"{Environment.MachineName}_{Guid.NewGuid():N}", result.GetValue(leaderElect),
                    result.GetValue(ensure))
                {
                    Webhooks = webhooks.Read(result),
                    PollInterval = TimeSpan.FromSeconds(result.GetValue(poll)),
                    OrphanGrace = TimeSpan.FromSeconds(result.GetValue(grace)),
                },
                cancellationToken);
        });
        return command;
    }

    private static void RequireRange(System.CommandLine.Parsing.OptionResult result, string name, int least, int most)
    {
        if (result.GetValueOrDefault<int>() is var value && (value < least || value > most))
            result.AddError($"{name}: must be {least} to {most}");
    }
}
