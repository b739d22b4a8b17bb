using System.Globalization;
using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.Services;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>
/// Random sequences through the whole controller, with pools and address services: Services come, go and change, so do the sources, leases are lost and change, the controller starts anew.
/// At every moment no two Services that do not share have one address; after each step, when all has settled, every address is of a source that permits it, leased ones are leased, nothing
/// is leased for nobody, and whoever could have an address has one.
/// </summary>
public sealed class LeasePropertyTests
{
    private const int Steps = 25;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Invariants_hold_after_each_step(int seed)
    {
        var run = new Run(new Random(seed));
        await run.GoAsync();
    }

    private sealed class Run(Random random)
    {
        private static readonly string[] s_names = ["a", "b", "c", "d", "e", "f"];
        private readonly List<string> _log = [];
        private FakeAddressService _first = null!;
        private FakeAddressService _second = null!;
        private ControllerLab _lab = null!;
        private string _yaml = "";
        private LoadBalancerConfig _config = LoadBalancerConfig.Empty;

        public async Task GoAsync()
        {
            await using (_first = await FakeAddressService.StartAsync())
            await using (_second = await FakeAddressService.StartAsync())
            {
                int number = 0;
                _first.Choose = asked => asked.Ip ?? $"10.20.0.{Interlocked.Increment(ref number)}";
                _second.Choose = asked => asked.Ip ?? $"10.21.0.{Interlocked.Increment(ref number)}";
                Choose();
                _lab = await ControllerLab.StartAsync(_yaml);
                var api = _lab.Api;
                try
                {
                    for (int step = 0; step < Steps; step++)
                    {
                        await StepAsync();
                        string last = "";
                        await ControllerLab.Until(async () => (last = await ComplaintAsync()).Length == 0, () => $"{last}; {string.Join("; ", _log.TakeLast(12))}; {_yaml}");
                    }
                }
                finally
                {
                    await _lab.StopAsync();
                    await api.DisposeAsync();
                }
            }
        }

        private async Task StepAsync()
        {
            string name = s_names[random.Next(s_names.Length)];
            var service = (await ServicesAsync()).FirstOrDefault(service => service.Metadata.Name == name);
            int kind = random.Next(100);
            if (kind < 12)
            {
                Choose();
                Log("configure");
                await _lab.ConfigureAsync(_yaml);
            }
            else if (kind < 20)
            {
                Log("restart");
                await _lab.StopAsync();
                _lab = await ControllerLab.StartAsync(_yaml, _lab.Api);
            }
            else if (kind < 32)
            {
                var dhcp = random.Next(2) == 0 ? _first : _second;
                if (dhcp.Leases.Keys.Order().FirstOrDefault() is not { } lease)
                    return;
                Log($"lease of {lease} changes");
                string ip = $"10.{(dhcp == _first ? 20 : 21)}.1.{random.Next(1, 250)}";
                if (!dhcp.Leases.Values.Any(other => other.Ip == ip))
                    dhcp.Leases[lease] = dhcp.Leases[lease] with { Ip = ip };
            }
            else if (service is null)
            {
                Log($"create {name}");
                (string, string)[] annotations = random.Next(2) == 0 ? [(Annotations.AllowSharedIP, random.Next(2) == 0 ? "k" : "l")] : [];
                await _lab.CreateAsync(name, new ServiceSpec { Ports = [new ServicePort { Port = 80 + random.Next(2), Protocol = "TCP" }] }, annotations);
            }
            else if (kind < 60)
            {
                Log($"delete {name}");
                await _lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", name, CancellationToken.None);
            }
            else if (kind < 75)
            {
                string key = new[] { "\"k\"", "\"l\"", "null" }[random.Next(3)];
                Log($"key of {name}: {key}");
                await _lab.PatchAsync(name, "{\"metadata\":{\"annotations\":{\"metallb.io/allow-shared-ip\":" + key + "}}}");
            }
            else if (kind < 85)
            {
                int port = 80 + random.Next(3);
                Log($"port of {name}: {port}");
                await _lab.PatchAsync(name, "{\"spec\":{\"ports\":[{\"port\":" + port.ToString(CultureInfo.InvariantCulture) + ",\"protocol\":\"TCP\"}]}}");
            }
            else
            {
                string pool = new[] { "null", "\"static\"", "\"dhcp\"" }[random.Next(3)];
                Log($"pool of {name}: {pool}");
                await _lab.PatchAsync(name, "{\"metadata\":{\"annotations\":{\"metallb.io/address-pool\":" + pool + "}}}");
            }
        }

        /// <summary>What is wrong now; empty when nothing is.</summary>
        private async Task<string> ComplaintAsync()
        {
            var services = await ServicesAsync();
            var has = services.ToDictionary(static service => service.Metadata.Name!, static service => ServiceStatusWriter.AddressesOf(service));
            foreach (var left in services)
            {
                foreach (var right in services.Where(right => string.CompareOrdinal(right.Metadata.Name, left.Metadata.Name) > 0 && has[right.Metadata.Name!].Intersect(has[left.Metadata.Name!]).Any()))
                {
                    if (!Applicant(left).SharesWith(Applicant(right)))
                        return $"{left.Metadata.Name} and {right.Metadata.Name} have {has[left.Metadata.Name!][0]}";
                }
            }
            var leased = _first.Leases.Values.Select(static lease => ("dhcp", lease.Ip)).Concat(_second.Leases.Values.Select(static lease => ("more", lease.Ip))).ToList();
            foreach (var service in services)
            {
                string name = service.Metadata.Name!;
                string? pool = service.Metadata.Annotation(Annotations.AllocatedFromPool);
                string? asked = service.Metadata.Annotation(Annotations.AddressPool);
                if (has[name] is [var address])
                {
                    if (_config.Find(pool) is not { } source || !source.MayContain(address))
                        return $"{name} has {address} of {pool}";
                    if (source is AddressServiceSource && !leased.Contains((source.Name, address.ToString())))
                        return $"{name} has {address}, which is not leased from {pool}";
                    if (asked is not null && asked != pool && CouldHave(service, asked, services, has))
                        return $"{name} has {address} of {pool}, and could have one of {asked}";
                }
                else if (asked is null ? _config.AddressServices.Any(static source => source.AutoAssign) || CouldHave(service, "static", services, has) : CouldHave(service, asked, services, has))
                {
                    return $"{name} has nothing and could have an address";
                }
            }
            var held = services.Select(service => (service.Metadata.Annotation(Annotations.AllocatedFromPool) ?? "", has[service.Metadata.Name!] is [var first, ..] ? first.ToString() : "")).ToHashSet();
            return leased.Where(lease => _config.Find(lease.Item1) is not null && !held.Contains(lease)).Select(static lease => $"{lease} is leased for nobody").FirstOrDefault() ?? "";
        }

        private bool CouldHave(Service service, string sourceName, List<Service> services, Dictionary<string, IReadOnlyList<IPAddress>> has)
        {
            if (_config.Find(sourceName) is AddressServiceSource)
                return true;
            if (_config.Find(sourceName) is not AddressPool pool)
                return false;
            foreach (var range in pool.Ranges)
            {
                for (var number = range.First; number <= range.Last; number++)
                {
                    var address = AddressRange.ToAddress(range.Family, number);
                    if (services.Where(other => other != service && has[other.Metadata.Name!].Contains(address)).All(other => Applicant(service).SharesWith(Applicant(other))))
                        return true;
                }
            }
            return false;
        }

        private void Choose()
        {
            int size = random.Next(1, 4);
            string pool = $"address-pools: [{{name: static, protocol: layer2, addresses: [10.0.0.1-10.0.0.{size}]}}]\n";
            string dhcp = $"- {{name: dhcp, protocol: layer2, url: '{_first.Url}', cidrs: [10.20.0.0/16]}}\n";
            string more = $"- {{name: more, protocol: layer2, url: '{_second.Url}', auto-assign: false}}\n";
            _yaml = random.Next(4) switch
            {
                0 => pool,
                1 => $"{pool}address-services:\n{dhcp}",
                2 => $"address-services:\n{dhcp}{more}",
                _ => $"{pool}address-services:\n{more}{dhcp}",
            };
            _config = ConfigFileReader.Read(_yaml).Config!;
        }

        private async Task<List<Service>> ServicesAsync() => [.. (await _lab.Api.Client.ListAsync(ResourceTypes.Services, "default", CancellationToken.None)).Items];

        private static DynamicLb.Controller.Allocation.Applicant Applicant(Service service) => ServiceRequest.ApplicantOf(service, null);

        private void Log(string entry) => _log.Add(entry);
    }
}
