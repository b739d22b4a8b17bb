using System.Text;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Bgp;

/// <summary>Passwords from Secrets of our own namespace. They are followed from the moment on that a peer names one. Thread-safe.</summary>
internal sealed class BgpSecrets(IKubernetesClient client, string space, TimeProvider time, Random random, ILogger<Informer<Secret>> logger)
{
    private readonly TaskCompletionSource _needed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Informer<Secret> _secrets = new(client, ResourceTypes.Secrets, space, time, random, logger);

    /// <summary>Tells that a Secret changed.</summary>
    public event Action? Changed;

    /// <summary>Follows until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _needed.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        _secrets.Subscribe((_, _) => Changed?.Invoke());
        await Together.RunAsync(cancellationToken, _secrets.RunAsync, SyncAsync);

        async Task SyncAsync(CancellationToken token)
        {
            await _secrets.WaitForSyncAsync(token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Changed?.Invoke();
        }
    }

    /// <summary>The password of a peer, or what is wrong with it.</summary>
    public (BgpPassword Password, string? Fault) Of(BgpPeer peer)
    {
        if (peer.Spec.PasswordSecret?.Name is not { Length: > 0 } name)
            return (string.IsNullOrEmpty(peer.Spec.Password) ? BgpPassword.None : new BgpPassword(Networking.Bgp.BgpAuthentication.Md5, peer.Spec.Password), null);
        _needed.TrySetResult();
        if (!_secrets.HasSynced)
            return (BgpPassword.None, "waiting for the first list of Secrets");
        if (_secrets.Get(new NamespacedName(space, name)) is not { } secret)
            return (BgpPassword.None, $"Secret \"{name}\" not found");
        string? fault = BgpPassword.TryRead(name, secret.Type, Value, out var password);
        return (password, fault);

        string? Value(string key)
        {
            var bytes = new byte[4096];
            return secret.Data is { } data && data.TryGetValue(key, out var value) && Convert.TryFromBase64String(value, bytes, out int length)
                ? Encoding.UTF8.GetString(bytes, 0, length) : null;
        }
    }
}
