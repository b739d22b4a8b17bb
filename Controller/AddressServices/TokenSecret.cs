using System.Net;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.AddressServices;

/// <summary>Makes the Secrets that the manifest needs at first start, so that it works as it is: the address service's token, the key of the speakers' heartbeats.</summary>
internal sealed partial class TokenSecret(IKubernetesClient client, ControllerOptions options, TimeProvider time, Random random, ILogger<TokenSecret> logger)
{
    /// <summary>Makes the Secrets asked for that do not exist; tries until they are there.</summary>
    public async Task EnsureAsync(CancellationToken cancellationToken)
    {
        foreach (string name in options.EnsureTokenSecret?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [])
            await EnsureAsync(name, cancellationToken);
    }

    private async Task EnsureAsync(string name, CancellationToken cancellationToken)
    {
        var backoff = new Backoff(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(30), random);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await TryAsync(name, cancellationToken);
                return;
            }
            catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
            {
                LogFailed(logger, options.Namespace, name, e.Message);
                await Task.Delay(backoff.Next(), time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task TryAsync(string name, CancellationToken cancellationToken)
    {
        try
        {
            await client.GetAsync(ResourceTypes.Secrets, options.Namespace, name, cancellationToken);
            return;
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            // The usual case of a first start.
        }
        string token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        try
        {
            await client.CreateAsync(
                ResourceTypes.Secrets,
                new Secret
                {
                    Metadata = new ObjectMeta { Name = name, Namespace = options.Namespace },
                    Type = "Opaque",
                    Data = new Dictionary<string, string> { ["token"] = Convert.ToBase64String(Encoding.ASCII.GetBytes(token)) },
                },
                cancellationToken);
            LogCreated(logger, options.Namespace, name);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Conflict)
        {
            // Another replica was faster.
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Secret {Namespace}/{Name} made, with a random token")]
    private static partial void LogCreated(ILogger logger, string @namespace, string name);

    [LoggerMessage(2, LogLevel.Warning, "Secret {Namespace}/{Name} could not be made: {Cause}")]
    private static partial void LogFailed(ILogger logger, string @namespace, string name, string cause);
}
