using System.Collections.Frozen;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>An allocator, and short ways to say what it is asked.</summary>
public abstract class AllocatorLab
{
    private protected static readonly FamilyWish IPv4 = FamilyWish.Single(AddressFamily.InterNetwork);
    private protected static readonly FamilyWish IPv6 = FamilyWish.Single(AddressFamily.InterNetworkV6);
    private protected static readonly FamilyWish PreferBoth = FamilyWish.PreferBoth(AddressFamily.InterNetwork);

    private protected readonly Allocator _allocator = new();

    private protected static AddressPool Pool(string name, params string[] ranges) =>
        new(name, AnnouncementProtocol.Layer2, true, [.. ranges.Select(Range)], false);

    private protected static AddressServiceSource Service(string name) =>
        new(name, AnnouncementProtocol.Layer2, true, new Uri("http://x"), [], null, null, TimeSpan.FromSeconds(40));

    private protected static ServiceAllocation Pinned(long priority, params string[] namespaces) => new(priority, namespaces.ToFrozenSet(), [], []);

    private protected static AddressRange Range(string text)
    {
        Assert.Null(AddressRange.TryParse(text, out var range));
        return range;
    }

    private protected static Applicant Sharer(string name, string? key, string backend, params string[] ports) => new(Name(name))
    {
        Sharing = key is null ? null : new SharingGroup(key, backend),
        Ports = [.. ports.Select(static port => new SharedPort(port.Split('/')[0], int.Parse(port.Split('/')[1])))],
    };

    private protected static NamespacedName Name(string name) => new("ns", name);

    private protected static LabelSelector Selector(string key, string value) => new() { MatchLabels = new Dictionary<string, string> { [key] = value } };

    private protected static Dictionary<string, string> Labels(string text) => new() { [text.Split('=')[0]] = text.Split('=')[1] };

    private protected void Use(params AddressPool[] pools) => _allocator.SetSources(pools, []);

    private protected Refusal? Assign(string name, string address) => _allocator.Assign(new Applicant(Name(name)), [IPAddress.Parse(address)], null);

    private protected string Allocate(string name, FamilyWish? wish = null, string? pool = null) => Allocate(new Applicant(Name(name)), wish, pool);

    private protected string Allocate(Applicant applicant, FamilyWish? wish = null, string? pool = null)
    {
        Assert.Null(_allocator.Allocate(applicant, wish ?? IPv4, pool, static _ => true).Refusal);
        return Held(applicant.Name.Name);
    }

    private protected Refusal Refused(Applicant applicant, FamilyWish wish, string? pool = null)
    {
        var refusal = _allocator.Allocate(applicant, wish, pool, static _ => true).Refusal;
        Assert.NotNull(refusal);
        return refusal;
    }

    private protected string Held(string name) => string.Join(' ', _allocator.Get(Name(name))!.Addresses);
}
