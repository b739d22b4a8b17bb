using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.FrrK8s;

/// <summary>
/// Keeps this node's FRRConfiguration equal to what is wanted. Several changes in a moment are one write; what others change of it is put right every <see cref="Interval"/>.
/// It is left alone when the speaker ends: FRR goes on announcing.
/// </summary>
internal sealed partial class FrrConfigurationWriter(
    IKubernetesClient client, string space, string node, TimeProvider time, ILogger<FrrConfigurationWriter> logger)
{
    /// <summary>How often it is written although nothing changed.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(5);

    /// <summary>How long more changes are waited for: a router's configuration is loaded anew with each.</summary>
    public static readonly TimeSpan Debounce = TimeSpan.FromMilliseconds(500);

    private const string FieldManager = "dynamiclb-speaker";
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(2);

    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private volatile FrrConfigurationSpec? _wanted;

    /// <summary>What is wanted; null before the first time.</summary>
    internal FrrConfigurationSpec? Wanted => _wanted;

    /// <summary>Takes up what is wanted. Thread-safe.</summary>
    public void Want(FrrConfigurationSpec spec)
    {
        _wanted = spec;
        _wake.Writer.TryWrite(true);
    }

    /// <summary>Writes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        string name = FrrConfigurations.NameOf(node);
        byte[] written = [];
        string told = "";
        try
        {
            await _wake.Reader.ReadAsync(cancellationToken);
            while (true)
            {
                await Task.Delay(Debounce, time, cancellationToken);
                _wake.Reader.TryRead(out _);
                var pause = Interval;
                byte[] body = JsonSerializer.SerializeToUtf8Bytes(
                    new FrrConfiguration
                    {
                        ApiVersion = FrrResourceTypes.FrrConfigurations.ApiVersion,
                        Kind = FrrResourceTypes.FrrConfigurations.Kind,
                        Metadata = new ObjectMeta { Name = name, Namespace = space },
                        Spec = _wanted!,
                    },
                    FrrJsonContext.Default.FrrConfiguration);
                try
                {
                    await client.ApplyAsync(FrrResourceTypes.FrrConfigurations, space, name, body, null, FieldManager, cancellationToken);
                    if (!body.AsSpan().SequenceEqual(written))
                        LogWritten(logger, space, name);
                    (written, told) = (body, "");
                }
                catch (Exception fault) when (fault is KubernetesApiException or HttpRequestException or IOException)
                {
                    pause = RetryAfter;
                    if (fault.Message != told)
                        LogFailed(logger, space, name, fault.Message);
                    told = fault.Message;
                }
                await SleepAsync(pause, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }
    }

    private async Task SleepAsync(TimeSpan pause, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(pause, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            await _wake.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time to write again.
        }
    }

    [LoggerMessage(1, LogLevel.Information, "FRRConfiguration {Namespace}/{Name} is written")]
    private static partial void LogWritten(ILogger logger, string @namespace, string name);

    [LoggerMessage(2, LogLevel.Error, "FRRConfiguration {Namespace}/{Name} could not be written: {Cause}")]
    private static partial void LogFailed(ILogger logger, string @namespace, string name, string cause);
}
