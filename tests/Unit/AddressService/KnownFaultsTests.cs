using System.Text.RegularExpressions;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>
/// What other programs that lease addresses for Services get wrong. Each of these is ruled out by a test that bears <c>[Trait("Fault", ...)]</c>, in whatever suite; those of
/// their controllers have the number (F1 and so on) in the name.
/// </summary>
public sealed partial class KnownFaultsTests
{
    private static readonly Dictionary<string, string> Faults = new(StringComparer.Ordinal)
    {
        ["A1"] = "giving up a search waits for itself for ever",
        ["A2"] = "a stop is not heard while an exchange goes on",
        ["A3"] = "T1 and T2 are taken from the first answer only",
        ["A4"] = "a renewal that brings another address is kept to itself",
        ["A6"] = "IPv6 works only beside IPv4",
        ["A8"] = "an address is used after its lease ended",
        ["A9"] = "one dead DHCP server holds up all Services",
        ["A10"] = "Services of one name in two namespaces share a lease",
        ["A11"] = "a restart asks for a new lease instead of confirming the old one",
        ["A12"] = "DUID and IAID are the same for all Services of a node",
        ["A13"] = "a DHCPv6 renewal begins with SOLICIT",
        ["A14"] = "clients of IPv6 share state that is not guarded, and end each other's lease",
        ["A15"] = "interfaces are left behind on the node",
        ["A16"] = "a handover releases leases",
        ["A17"] = "an address that another host has is used",
        ["A18"] = "renewals are lost while the address is announced elsewhere",
        ["A19"] = "errors come without their cause",
        ["A20"] = "no metric tells what DHCP does",
        ["C1"] = "a crash loses all leases",
        ["C2"] = "an update of the program loses all leases",
        ["C3"] = "a search in vain costs a MAC",
        ["C4"] = "a caller that gave up leaves a lease that nobody owns",
        ["C5"] = "requests are served one after the other",
        ["C6"] = "nobody is told that a lease was lost",
        ["C7"] = "after a change of address the lease is known by the old one",
        ["C8"] = "nothing is ever released",
        ["C9"] = "renewals are sent in a form of no standard",
        ["C10"] = "two leases get one MAC",
        ["C11"] = "shared state is not guarded",
        ["C12"] = "a late answer is taken for another exchange's",
        ["C13"] = "watchers that are gone stay in memory",
        ["C14"] = "a watch that ended is not noticed",
        ["C15"] = "what happens between reading and watching is missed",
        ["C16"] = "a call never returns",
        ["C17"] = "the same request twice is two leases, and a faulty one is served",
        ["C18"] = "/v1/config is documented and does not exist",
        ["C19"] = "nobody is asked for a token",
        ["C20"] = "leases are gone with the Pod",
        ["C21"] = "host names have dots and are cut at them",
        ["C22"] = "what failed once is never tried again",
        ["C24"] = "a late renewal frees an address that is in use",
        ["C25"] = "the page does not notice that its connection is gone",
        ["C26"] = "there are no metrics and no alerts",
        ["C27"] = "one interface, no quota",
    };

    [Fact]
    public void Each_is_ruled_out_by_a_test()
    {
        var named = new[] { "Unit", "Network", "Cluster" }
            .SelectMany(static suite => RepositoryFiles.ReadAll($"tests/{suite}", "*.cs"))
            .SelectMany(static text => Named().Matches(text).Select(static match => match.Groups["id"].Value)).ToHashSet(StringComparer.Ordinal);
        Assert.Equal([], Faults.Keys.Except(named));
        Assert.Equal([], named.Except(Faults.Keys));
    }

    [Fact]
    [Trait("Fault", "C7")]
    public void After_a_change_of_address_the_lease_is_known_by_the_new_one_alone()
    {
        using var lab = new LeaseLab();
        string before = lab.Lease("demo/web").Ip;
        var other = IPv4Address.Parse("10.77.0.150");
        lab.Arriving = answer =>
        {
            if (answer.Type == DhcpMessageType.Ack)
                answer.YourAddress = other;
        };
        lab.Advance(TimeSpan.FromMinutes(6));
        Assert.Equal(other.ToString(), Assert.Single(lab.Leases).Ip);

        Assert.Null(lab.Keeper.Lease(before));
        Assert.Equal(DynamicLb.AddressService.Leasing.ReleaseKind.NotFound, lab.Delete(ip: before).Kind);
        Assert.Equal(DynamicLb.AddressService.Leasing.ReleaseKind.Success, lab.Delete(ip: other.ToString()).Kind);
        lab.Advance(TimeSpan.FromMinutes(20));
        Assert.Equal(other, lab.Sent.Last(static sent => sent.Message.Type == DhcpMessageType.Release).Message.ClientAddress);
        Assert.Empty(lab.Leases);
        Assert.Empty(lab.Store.Records);
    }

    [GeneratedRegex("""\[Trait\("Fault", "(?<id>[AC][0-9]+)"\)\]""", RegexOptions.ExplicitCapture)]
    private static partial Regex Named();
}
