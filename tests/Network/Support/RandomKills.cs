using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;

namespace DynamicLb.Tests.Network.Support;

/// <summary>An address service that is killed again and again, while services come and go.</summary>
internal static class RandomKills
{
    private const int Kills = 50;

    /// <summary>Kills it fifty times at random moments: no service loses its address, and no lease is left without one.</summary>
    /// <param name="service">Of the address service's process.</param>
    /// <param name="family">What is leased; null for IPv4.</param>
    /// <param name="table">The addresses that are held by the server's own lease file.</param>
    /// <param name="limit">How long that may take to match at the end.</param>
    /// <param name="cancelled">Ends the test.</param>
    public static async Task RunAsync(AddressServiceProcess service, string? family, Func<Task<IEnumerable<string>>> table, TimeSpan limit, CancellationToken cancelled)
    {
        int seed = Environment.GetEnvironmentVariable("DYNAMICLB_TEST_SEED") is { Length: > 0 } given
            ? int.Parse(given, System.Globalization.CultureInfo.InvariantCulture) : Environment.ProcessId;
        Console.WriteLine($"kills with DYNAMICLB_TEST_SEED={seed}");
        var random = new Random(seed);
        var known = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int kill = 0; kill < Kills; kill++)
        {
            // Some new, some known, one given back.
            var wanted = Enumerable.Range(0, 3).Select(i => $"demo/s{kill + i}").ToList();
            var calls = wanted.Select(name => TryAsync(service, name, family, cancelled)).ToList();
            string? dropped = known.Count > 5 && random.Next(3) == 0 ? known.Keys.ElementAt(random.Next(known.Count)) : null;
            var drop = dropped is null || wanted.Contains(dropped) ? Task.CompletedTask : TryReleaseAsync(service, known[dropped], cancelled);
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(60)), TimeProvider.System, cancelled);
            await service.KillAsync();
            await drop;
            if (dropped is not null && !wanted.Contains(dropped))
                known.Remove(dropped);
            var answers = await Task.WhenAll(calls);
            for (int i = 0; i < wanted.Count; i++)
            {
                if (answers[i] is not { } ip)
                    continue;
                Assert.True(!known.TryGetValue(wanted[i], out var before) || before == ip, $"kill {kill}: {wanted[i]} had {before} and was told {ip}");
                known[wanted[i]] = ip;
            }
            await service.StartAgainAsync(cancelled);
        }
        foreach (var (name, ip) in known)
            Assert.Equal(ip, (await service.AcquireAsync(name, cancelled, family)).Ip);
        Console.WriteLine($"MEASURED {Kills} kills: {known.Count} leases had come about");
        // Where none came about in all that time, there is one to compare at least.
        await service.AcquirePatientlyAsync(new AcquireAddressRequest("demo/last", Family: family), cancelled);
        IReadOnlyList<LeaseAnswer> leases = [];
        try
        {
            await Wait.UntilAsync(
                async () => (leases = (await service.StatusAsync(cancelled)).Allocations).Count > 0 && leases.All(static l => l.State == "bound" && l.Verified),
                TimeSpan.FromSeconds(90), "all leases to be verified and all releases to be done", cancelled);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}: {string.Join('\n', leases.Where(static l => l.State != "bound" || !l.Verified))}", e);
        }
        var held = await Wait.ForAsync(async () =>
        {
            var active = (await table()).Order(StringComparer.Ordinal).ToList();
            return active.Count == leases.Count ? active : null;
        }, limit, "the server's table to match", cancelled);
        Assert.Equal(leases.Select(l => l.Ip).Order(StringComparer.Ordinal), held);
    }

    /// <summary>The address, or null when the process ended before it told one.</summary>
    public static async Task<string?> TryAsync(AddressServiceProcess service, string name, string? family, CancellationToken cancelled)
    {
        try
        {
            return (await service.AcquireAsync(name, cancelled, family)).Ip;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return null;
        }
    }

    private static async Task TryReleaseAsync(AddressServiceProcess service, string ip, CancellationToken cancelled)
    {
        try
        {
            await service.ReleaseAsync(ip, cancelled);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // Whether it was taken is not known: neither is asserted.
        }
    }
}
