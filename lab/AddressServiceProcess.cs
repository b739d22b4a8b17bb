using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab;

/// <summary>Our address service on a host of the lab, and how to call it.</summary>
public sealed class AddressServiceProcess : IDisposable
{
    private readonly LabNetwork _network;
    private readonly LabHost _host;
    private AddressServiceProcess(LabNetwork network, LabHost host, IReadOnlyList<string> arguments)
    {
        (_network, _host, Arguments) = (network, host, arguments);
        Token = RandomNumberGenerator.GetHexString(32, lowercase: true);
        TokenFile = Path.Combine(network.Folder, $"{host.Name}-token");
        File.WriteAllText(TokenFile, Token);
        Http = host.CreateHttpClient(Url);
        Http.DefaultRequestHeaders.Add("X-Auth-Token", Token);
    }

    /// <summary>URL within the lab.</summary>
    public Uri Url => new($"http://{_host.ManagementAddress}:8080");

    /// <summary>The token it asks for.</summary>
    public string Token { get; }

    /// <summary>File with the token.</summary>
    public string TokenFile { get; }

    /// <summary>Folder of its leases.</summary>
    public string Data => Path.Combine(_network.Folder, $"{_host.Name}-leases");

    /// <summary>A client with the token.</summary>
    public HttpClient Http { get; }

    /// <summary>Flags beyond those of the lab, from the next start on.</summary>
    public IReadOnlyList<string> Arguments { get; set; }

    /// <summary>The running process; null before the start.</summary>
    public ChildProcess? Process { get; private set; }

    /// <summary>Starts one and waits until it answers, be it that it stands by. More flags may follow those of the lab.</summary>
    public static async Task<AddressServiceProcess> StartAsync(LabNetwork network, LabHost host, CancellationToken cancellationToken, params IReadOnlyList<string> arguments)
    {
        var service = new AddressServiceProcess(network, host, arguments);
        await service.StartAgainAsync(cancellationToken);
        return service;
    }

    /// <summary>Starts it (again), on the same data.</summary>
    public async Task StartAgainAsync(CancellationToken cancellationToken)
    {
        Process = _network.StartOurs(_host, $"address-service-{_host.Name}", "AddressService",
            [.. Arguments.Contains("--interfaces") ? (string[])[] : ["--interface", "eth0"], "--listen", "http://0.0.0.0:8080", "--data", Data, "--token-file", TokenFile, .. Arguments]);
        try
        {
            await Wait.UntilAsync(() => AnswersAsync(cancellationToken), TimeSpan.FromSeconds(90), "the address service", cancellationToken);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}: {Process.LogTail(5)}", e);
        }
    }

    /// <summary>Kills it without warning.</summary>
    public async Task KillAsync()
    {
        Process!.Signal("KILL");
        await Process.WaitForExitAsync(CancellationToken.None);
    }

    /// <summary>Leases an address; the answer may be an error as well.</summary>
    public Task<AcquireAddressAnswer> AcquireAsync(string service, CancellationToken cancellationToken, string? family = null) =>
        AcquireAsync(new AcquireAddressRequest(service, Family: family), cancellationToken);

    /// <summary>Leases an address.</summary>
    public async Task<AcquireAddressAnswer> AcquireAsync(AcquireAddressRequest request, CancellationToken cancellationToken)
    {
        using var answer = await Http.PostAsJsonAsync("/v1/ip", request, AddressServiceJsonContext.Default.AcquireAddressRequest, cancellationToken);
        var body = await answer.Content.ReadAsStringAsync(cancellationToken);
        return answer.IsSuccessStatusCode
            ? System.Text.Json.JsonSerializer.Deserialize(body, AddressServiceJsonContext.Default.AcquireAddressAnswer)!
            : throw new AddressServiceUnavailableException($"{(int)answer.StatusCode} {body}");
    }

    /// <summary>Leases an address as the controller does: that a call ran out of time is not the end, the search goes on and the next call joins it.</summary>
    /// <param name="request">What to lease.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="AddressServiceUnavailableException">Refused, or six calls ran out of time.</exception>
    public async Task<AcquireAddressAnswer> AcquirePatientlyAsync(AcquireAddressRequest request, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await AcquireAsync(request, cancellationToken);
            }
            catch (AddressServiceUnavailableException e) when (attempt < 6 && e.Message.StartsWith("504", StringComparison.Ordinal))
            {
                // Joined by the next.
            }
        }
    }

    /// <summary>Leases addresses for many services at once, as patiently as <see cref="AcquirePatientlyAsync"/>.</summary>
    public Task<AcquireAddressAnswer[]> AcquireAllAsync(IEnumerable<string> services, CancellationToken cancellationToken) =>
        Task.WhenAll(services.Select(service => AcquirePatientlyAsync(new AcquireAddressRequest(service), cancellationToken)));

    /// <summary>Gives an address back; the HTTP status.</summary>
    public async Task<int> ReleaseAsync(string ip, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Delete, "/v1/ip")
        {
            Content = JsonContent.Create(new ReleaseAddressRequest(ip), AddressServiceJsonContext.Default.ReleaseAddressRequest),
        };
        using var answer = await Http.SendAsync(request, cancellationToken);
        return (int)answer.StatusCode;
    }

    /// <summary>Kills it and deletes its leases.</summary>
    public async Task LoseStoreAsync()
    {
        await KillAsync();
        Directory.Delete(Data, recursive: true);
    }

    /// <summary>All leases.</summary>
    public async Task<StatusAnswer> StatusAsync(CancellationToken cancellationToken) =>
        (await Http.GetFromJsonAsync("/v1/status", AddressServiceJsonContext.Default.StatusAnswer, cancellationToken))!;

    /// <inheritdoc/>
    public void Dispose() => Http.Dispose();

    private async Task<bool> AnswersAsync(CancellationToken cancellationToken)
    {
        if (Process!.HasExited)
        {
            throw new InvalidOperationException($"the address service ended: {Process.LogTail(5)}");
        }

        try
        {
            using var answer = await Http.GetAsync("/v1/status", cancellationToken);
            return answer.IsSuccessStatusCode
                || (answer.StatusCode == HttpStatusCode.ServiceUnavailable && (await answer.Content.ReadAsStringAsync(cancellationToken)).Contains("standby", StringComparison.Ordinal));
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
