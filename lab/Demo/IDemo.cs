namespace DynamicLb.Lab.Demo;

/// <summary>What a demo shows.</summary>
internal interface IDemo : IAsyncDisposable
{
    /// <summary>All steps; throws at the first that is not observed.</summary>
    Task RunAsync(CancellationToken cancellationToken);

    /// <summary>Puts the Service back and waits for Ctrl-C.</summary>
    Task PlayAsync(CancellationToken cancellationToken);
}
