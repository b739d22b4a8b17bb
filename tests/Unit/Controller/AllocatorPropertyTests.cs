using System.Collections.Frozen;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>
/// Random sequences of Services, edits, pools and restarts. After each step: no two Services that do not share hold one address, every address held is in a pool that permits it, whoever
/// could have an address has one, and what was given is what a plain search finds.
/// </summary>
public sealed class AllocatorPropertyTests
{
    private static readonly string[] Namespaces = ["red", "blue"];
    private static readonly string?[] Keys = [null, null, "k", "l"];

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 60)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Invariants_hold_after_each_step(int seed)
    {
        var run = new Run(new Random(seed));
        for (int step = 0; step < 120; step++)
            run.Step();
    }

    private sealed class Run(Random random)
    {
        private readonly Dictionary<NamespacedName, (Applicant Applicant, FamilyWish Wish)> _services = [];
        private Allocator _allocator = new();
        private List<AddressPool> _pools = [];
        private string _log = "";

        public void Step()
        {
            int kind = random.Next(100);
            if (_pools.Count == 0 || kind < 6)
                ChangePools();
            else if (kind < 46)
                Add();
            else if (kind < 66)
                Remove();
            else if (kind < 82)
                Edit();
            else if (kind < 94)
                Ask();
            else
                Restart();
            Settle();
            Check();
        }

        private void Add()
        {
            var applicant = RandomApplicant(new NamespacedName(Pick(Namespaces), $"s{random.Next(14)}"));
            if (_services.ContainsKey(applicant.Name))
                return;
            FamilyWish[] wishes = [FamilyWish.Single(AddressFamily.InterNetwork), FamilyWish.Single(AddressFamily.InterNetworkV6), FamilyWish.Both, FamilyWish.PreferBoth(AddressFamily.InterNetworkV6)];
            _services[applicant.Name] = (applicant, wishes[random.Next(wishes.Length)]);
            Log($"add {applicant.Name}");
        }

        private void Remove()
        {
            if (_services.Count == 0)
                return;
            var name = Pick([.. _services.Keys]);
            _services.Remove(name);
            _allocator.Release(name);
            Log($"remove {name}");
        }

        /// <summary>Labels, key and ports of a Service change; the controller assigns what it has again, or lets go of it.</summary>
        private void Edit()
        {
            if (_services.Count == 0)
                return;
            var name = Pick([.. _services.Keys]);
            var applicant = RandomApplicant(name);
            _services[name] = (applicant, _services[name].Wish);
            Confirm(applicant);
            Log($"edit {name}");
        }

        /// <summary>A Service asks for a certain address, which must not cost it what it has.</summary>
        private void Ask()
        {
            if (_services.Count == 0)
                return;
            var name = Pick([.. _services.Keys]);
            var before = _allocator.Get(name);
            if (before is not { Addresses.Count: 1 })
                return;
            var family = before.Addresses[0].AddressFamily;
            var asked = AddressRange.ToAddress(family, AddressRange.ToNumber(before.Addresses[0]) + (UInt128)random.Next(20) - 10);
            bool allowed = MayHave(_services[name].Applicant, asked);
            var refusal = _allocator.Assign(_services[name].Applicant, [asked], null);
            Log($"ask {name} {asked}: {refusal?.Message}");
            Assert.True(allowed == refusal is null, _log);
            if (refusal is not null)
                Assert.True(before.Equals(_allocator.Get(name)), _log);
        }

        private void ChangePools()
        {
            var pools = new List<AddressPool>();
            for (int i = 0; i < 5; i++)
            {
                if (random.Next(4) == 0)
                    continue;
                int first = random.Next(8), length = random.Next(1, 8);
                var ranges = new List<AddressRange> { Range($"10.0.{i}.{(first + 250).ToString(CultureInfo.InvariantCulture)}", length) };
                if (random.Next(2) == 0)
                    ranges.Add(Range($"fd00::{i}:{first}", random.Next(1, 6)));
                if (random.Next(3) == 0)
                    ranges.Reverse();
                pools.Add(new AddressPool($"p{i}", AnnouncementProtocol.Layer2, random.Next(5) > 0, ranges, random.Next(2) == 0)
                {
                    Allocation = random.Next(3) == 0
                        ? new ServiceAllocation(random.Next(3), random.Next(2) == 0 ? new[] { Pick(Namespaces) }.ToFrozenSet() : FrozenSet<string>.Empty, [],
                            random.Next(2) == 0 ? [new LabelSelector { MatchLabels = new Dictionary<string, string> { ["a"] = "b" } }] : [])
                        : null,
                });
            }
            _pools = pools;
            _allocator.SetSources(pools, []);
            Log("pools");
        }

        private void Restart()
        {
            var status = _services.Keys.Select(name => (name, Addresses: _allocator.Get(name)?.Addresses ?? [])).OrderByDescending(static entry => entry.Addresses.Count).ToList();
            _allocator = new Allocator();
            _allocator.SetSources(_pools, []);
            foreach (var (name, addresses) in status.Where(static entry => entry.Addresses.Count > 0))
                Assert.True(_allocator.Assign(_services[name].Applicant, addresses, null) is null, $"{name} lost its address by a restart; {_log}");
            Log("restart");
        }

        /// <summary>What the controller does with all that wait, until nothing changes any more.</summary>
        private void Settle()
        {
            long freed;
            do
            {
                freed = _allocator.Freed;
                foreach (var (applicant, wish) in _services.Values)
                {
                    Confirm(applicant);
                    if (_allocator.Get(applicant.Name) is not null)
                        continue;
                    var expected = Search(applicant, wish);
                    var result = _allocator.Allocate(applicant, wish, null, static _ => true);
                    Assert.True((result.Refusal is null) == expected is not null, $"{applicant.Name} {wish}: {result.Refusal?.Message}, search finds {expected}; {_log}");
                    if (expected is not null)
                        Assert.True(expected == string.Join(' ', _allocator.Get(applicant.Name)!.Addresses), $"{applicant.Name} got {string.Join(' ', _allocator.Get(applicant.Name)!.Addresses)}, search finds {expected}; {_log}");
                }
            }
            while (_allocator.Freed != freed);
        }

        private void Confirm(Applicant applicant)
        {
            if (_allocator.Get(applicant.Name) is { } held && _allocator.Assign(applicant, held.Addresses, null) is not null)
                _allocator.Release(applicant.Name);
        }

        private void Check()
        {
            var holders = new Dictionary<IPAddress, List<Applicant>>();
            foreach (var (applicant, _) in _services.Values)
            {
                if (_allocator.Get(applicant.Name) is not { } held)
                    continue;
                var pool = _pools.Find(pool => pool.Name == held.Pool);
                Assert.True(pool is not null && held.Addresses.All(pool.MayContain) && applicant.MayUse(pool), $"{applicant.Name} holds {string.Join(' ', held.Addresses)} of {held.Pool}; {_log}");
                Assert.True(!pool!.AvoidBuggyIPs || !held.Addresses.Any(AddressSource.IsBuggy), _log);
                foreach (var address in held.Addresses)
                    (holders.TryGetValue(address, out var list) ? list : holders[address] = []).Add(applicant);
            }
            foreach (var (address, list) in holders)
            {
                for (int i = 0; i < list.Count; i++)
                {
                    for (int j = 0; j < i; j++)
                        Assert.True(Share(list[i], list[j]), $"{list[i].Name} and {list[j].Name} both hold {address}; {_log}");
                }
            }
            Assert.True(_allocator.Use().Sum(static use => use.InUse) == holders.Count, _log);
            foreach (var (applicant, wish) in _services.Values.Where(service => _allocator.Get(service.Applicant.Name) is null))
                Assert.True(Search(applicant, wish) is null, $"{applicant.Name} could have {Search(applicant, wish)}; {_log}");
        }

        /// <summary>The plain search: every pool in its turn, every address of it.</summary>
        private string? Search(Applicant applicant, FamilyWish wish)
        {
            var pinned = _pools.Where(pool => pool.AutoAssign && pool.Allocation is not null && applicant.MayUse(pool)).OrderBy(static pool => pool.Allocation!.Rank).ToList();
            var open = _pools.Where(static pool => pool.AutoAssign && pool.Allocation is null).ToList();
            foreach (var group in new[] { pinned, open })
            {
                foreach (var families in wish.Alternatives)
                {
                    foreach (var pool in group)
                    {
                        var found = families.Select(family => Addresses(pool, family).FirstOrDefault(address => MayHave(applicant, address))).OfType<IPAddress>().ToList();
                        if (found.Count == families.Count)
                            return string.Join(' ', found);
                    }
                }
            }
            return null;
        }

        private bool MayHave(Applicant applicant, IPAddress address)
        {
            if (_pools.Find(pool => pool.MayContain(address)) is not { } pool || !applicant.MayUse(pool) || (pool.AvoidBuggyIPs && AddressSource.IsBuggy(address)))
                return false;
            return _services.Values.Where(other => other.Applicant.Name != applicant.Name && _allocator.Get(other.Applicant.Name)?.Addresses.Contains(address) == true)
                .All(other => Share(applicant, other.Applicant));
        }

        private static bool Share(Applicant left, Applicant right) => left.Sharing is not null && left.Sharing == right.Sharing && !left.Ports.Intersect(right.Ports).Any();

        private static IEnumerable<IPAddress> Addresses(AddressPool pool, AddressFamily family)
        {
            foreach (var range in pool.Ranges.Where(range => range.Family == family))
            {
                for (var number = range.First; number <= range.Last; number++)
                    yield return AddressRange.ToAddress(family, number);
            }
        }

        private static AddressRange Range(string first, int length)
        {
            // 10.0.1.253 may run into 10.0.2.0 and beyond: buggy addresses lie in the middle.
            string[] parts = first.Split('.');
            var address = parts.Length == 4
                ? AddressRange.ToAddress(AddressFamily.InterNetwork, ((UInt128)10 << 24) + ((UInt128)int.Parse(parts[2], CultureInfo.InvariantCulture) << 12) + (UInt128)int.Parse(parts[3], CultureInfo.InvariantCulture))
                : IPAddress.Parse(first);
            var number = AddressRange.ToNumber(address);
            return new AddressRange(address.AddressFamily, number, number + (UInt128)length - 1);
        }

        private Applicant RandomApplicant(NamespacedName name)
        {
            string? key = Pick(Keys);
            return new Applicant(name)
            {
                Labels = random.Next(2) == 0 ? new Dictionary<string, string> { ["a"] = "b" } : null,
                Sharing = key is null ? null : new SharingGroup(key, random.Next(4) == 0 ? "app=x" : ""),
                Ports = [.. Enumerable.Range(80, 3).Where(_ => random.Next(2) == 0).Select(static port => new SharedPort("TCP", port))],
            };
        }

        private T Pick<T>(T[] items) => items[random.Next(items.Length)];

        private void Log(string entry) => _log = $"{entry}; {(_log.Length > 2000 ? _log[..2000] : _log)}";
    }
}
