using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Controller.AddressServices;

/// <summary>Counts the calls to one address service, and how long they take. Calls that were given up by the caller do not count.</summary>
internal sealed class MeteredClient(IAddressServiceClient client, string name, AddressServiceMetrics metrics, TimeProvider time) : IAddressServiceClient
{
    public Task<ConfigAnswer> GetConfigAsync(CancellationToken cancellationToken) =>
        CountAsync("config", client.GetConfigAsync, static _ => AnswerStatus.Success, cancellationToken);

    public Task<StatusAnswer> GetStatusAsync(CancellationToken cancellationToken) =>
        CountAsync("status", client.GetStatusAsync, static answer => answer.Status, cancellationToken);

    public Task<AcquireAddressAnswer> AcquireAsync(AcquireAddressRequest request, CancellationToken cancellationToken) =>
        CountAsync("acquire", token => client.AcquireAsync(request, token), static answer => answer.Status, cancellationToken);

    // What is not there any more is given back as well as can be.
    public Task<ReleaseAddressAnswer> ReleaseAsync(ReleaseAddressRequest request, CancellationToken cancellationToken) =>
        CountAsync("release", token => client.ReleaseAsync(request, token), static answer => answer.NotFound ? AnswerStatus.Success : answer.Status, cancellationToken);

    public Task<OrphansAnswer> ReportOrphansAsync(OrphansRequest request, CancellationToken cancellationToken) =>
        CountAsync("orphans", token => client.ReportOrphansAsync(request, token), static answer => answer.Status, cancellationToken);

    public Task<SelfTestAnswer> TestAsync(SelfTestRequest request, CancellationToken cancellationToken) => client.TestAsync(request, cancellationToken);

    public Task<LeasesAnswer> GetLeasesAsync(LeaseQuery query, CancellationToken cancellationToken) => client.GetLeasesAsync(query, cancellationToken);

    public IAsyncEnumerable<LeaseWatchEvent> WatchLeasesAsync(string? lastEventId, CancellationToken cancellationToken) => client.WatchLeasesAsync(lastEventId, cancellationToken);

    private async Task<T> CountAsync<T>(string call, Func<CancellationToken, Task<T>> work, Func<T, string> statusOf, CancellationToken cancellationToken)
    {
        long started = time.GetTimestamp();
        try
        {
            var answer = await work(cancellationToken);
            metrics.Answered(name, call, statusOf(answer), time.GetElapsedTime(started));
            return answer;
        }
        catch (AddressServiceUnavailableException e)
        {
            metrics.Unanswered(name, call, e.Fault, time.GetElapsedTime(started));
            throw;
        }
    }
}
