using System.Net;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.AddressServices;

/// <summary>Makes the Secret with the token of the bundled address service at first start, so that the manifest works as it is.</summary>
internal sealed partial class TokenSecret(IKubernetesClient client, ControllerOptions options, TimeProvider time, Random random, ILogger<TokenSecret> logger)
{
    /// <summary>Makes the Secret, if asked for and there is none; tries until it is there.</summary>
    public async Task EnsureAsync(CancellationToken cancellationToken)
    {
        if (options.EnsureTokenSecret is not { Length: > 0 } name)
            return;
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

    [LoggerMessage(1, LogLevel.Information, "Secret {Namespace}/{Name} made, with a random token for the address service")]
    private static partial void LogCreated(ILogger logger, string @namespace, string name);

    [LoggerMessage(2, LogLevel.Warning, "Secret {Namespace}/{Name} could not be made: {Cause}")]
    private static partial void LogFailed(ILogger logger, string @namespace, string name, string cause);
}
