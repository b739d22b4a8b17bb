namespace DynamicLb.Contracts.AddressServices;

/// <summary>
/// The REST API of one address service, one method per call. Every method may be called concurrently. A refusal by the service is an
/// answer whose <c>Status</c> is not <see cref="AnswerStatus.Success"/>, not an exception.
/// </summary>
/// <remarks>
/// Failing to reach the service, an answer that is not of the API's form, or an open circuit breaker throw
/// <see cref="AddressServiceUnavailableException"/>.
/// </remarks>
public interface IAddressServiceClient
{
    /// <summary><c>GET /v1/config</c>.</summary>
    Task<ConfigAnswer> GetConfigAsync(CancellationToken cancellationToken);

    /// <summary><c>GET /v1/status</c>.</summary>
    Task<StatusAnswer> GetStatusAsync(CancellationToken cancellationToken);

    /// <summary><c>POST /v1/ip</c>. Idempotent per service: the same service gets the same lease.</summary>
    Task<AcquireAddressAnswer> AcquireAsync(AcquireAddressRequest request, CancellationToken cancellationToken);

    /// <summary><c>DELETE /v1/ip</c>.</summary>
    Task<ReleaseAddressAnswer> ReleaseAsync(ReleaseAddressRequest request, CancellationToken cancellationToken);

    /// <summary><c>POST /v1/ip/orphans</c>: lists leases as being without an owner. It releases nothing.</summary>
    Task<OrphansAnswer> ReportOrphansAsync(OrphansRequest request, CancellationToken cancellationToken);

    /// <summary><c>POST /v1/selftest</c>: tries the ways to lease. It takes some seconds.</summary>
    Task<SelfTestAnswer> TestAsync(SelfTestRequest request, CancellationToken cancellationToken);

    /// <summary><c>GET /v1/leases</c>: one page.</summary>
    Task<LeasesAnswer> GetLeasesAsync(LeaseQuery query, CancellationToken cancellationToken);

    /// <summary>
    /// <c>GET /v1/leases/watch</c>. Begins with everything (<see cref="LeaseEventType.Reset"/>, a <see cref="LeaseEventType.Snapshot"/> for each lease,
    /// <see cref="LeaseEventType.Synced"/>) unless <paramref name="lastEventId"/> is known there. A connection that ends or falls silent is made
    /// again and goes on after the last event; while the address service is away, nothing is returned. Ends by cancellation only.
    /// </summary>
    /// <param name="lastEventId">The last event known; null for none.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="AddressServiceUnavailableException">The address service refuses the call, for want of a token for example.</exception>
    IAsyncEnumerable<LeaseWatchEvent> WatchLeasesAsync(string? lastEventId, CancellationToken cancellationToken);
}

/// <summary>Why a call to an address service had no answer.</summary>
public enum AddressServiceFault
{
    /// <summary>No connection, or an answer that is not the API's.</summary>
    Unreachable = 0,

    /// <summary>No answer in time.</summary>
    Timeout,

    /// <summary>It failed repeatedly, and is left alone for a while.</summary>
    CircuitOpen,
}

/// <summary>The address service could not be reached, or did not answer in the API's form.</summary>
public sealed class AddressServiceUnavailableException : Exception
{
    /// <summary>Creates the exception.</summary>
    public AddressServiceUnavailableException()
    {
    }

    /// <summary>Creates the exception with a cause in words.</summary>
    public AddressServiceUnavailableException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with a cause in words and the exception behind it.</summary>
    public AddressServiceUnavailableException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The kind of cause.</summary>
    public AddressServiceFault Fault { get; init; }
}
