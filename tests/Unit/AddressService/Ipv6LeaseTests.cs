using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class Ipv6LeaseTests
{
    private const string Uid = "01234567-89ab-cdef-0123-456789abcdef";

    [Fact]
    public void Case51_a_service_has_one_lease_of_each_family()
    {
        using var lab = Lab();
        var four = lab.Lease("demo/web");
        var six = Lease(lab, "demo/web", Uid);
        Assert.Equal(("10.77.0.100", "ipv4", (string?)null), (four.Ip, four.Family, four.Duid));
        Assert.Equal(("fd77::1:0", "ipv6", (string?)null, 600L), (six.Ip, six.Family, six.Mac, six.LeaseSeconds));
        Assert.Equal("0004" + Uid.Replace("-", "", StringComparison.Ordinal), six.Duid);
        Assert.NotEqual(four.Id, six.Id);
        Assert.Equal(six.Ip, Lease(lab, "demo/web", Uid).Ip);
        Assert.Equal([Dhcp6MessageType.Solicit, Dhcp6MessageType.Request], lab.Server6.Received.Select(message => message.Type));
        Assert.Equal(["ipv4", "ipv6"], lab.Leases.Select(lease => lease.Family));
        Assert.Equal(2, lab.Keeper.Leases(new LeaseFilter("demo/web", null, 10, null)).Leases.Count);
        Assert.Equal("fd77::1:0", lab.Keeper.Lease("fd77::1:0")!.Lease.Ip);
    }

    [Fact]
    public void An_interface_leases_no_IPv6_unless_it_is_told_to()
    {
        using var lab = new LeaseLab();
        var outcome = LeaseLab.Outcome(lab.Call("demo/web", family: LeaseFamily.IPv6));
        Assert.Equal(AcquireKind.Malformed, outcome.Kind);
        Assert.StartsWith("family: ipv6 is not leased on lan0", outcome.Answer.Detail, StringComparison.Ordinal);
        Assert.Empty(lab.Store.Records);
        using var only = Lab(o => o.Interface.Families = [LeaseFamily.IPv6]);
        Assert.Equal(AcquireKind.Malformed, LeaseLab.Outcome(only.Call("demo/web")).Kind);
    }

    [Fact]
    public void Case51_a_restart_rebinds_and_keeps_the_address()
    {
        using var lab = Lab();
        var before = Lease(lab, "demo/web");
        lab.Advance(TimeSpan.FromSeconds(20));
        lab.Server6.Received.Clear();
        lab.Restart();
        Assert.False(lab.Keeper.IsSettled);
        lab.Settle();
        Assert.True(lab.Keeper.IsSettled);
        Assert.Equal(Dhcp6MessageType.Rebind, Assert.Single(lab.Server6.Received).Type);
        var after = Lease(lab, "demo/web");
        Assert.Equal((before.Ip, before.Id, before.Duid), (after.Ip, after.Id, after.Duid));
        Assert.True(after.Verified);
        Assert.Single(lab.Detected);
    }

    [Fact]
    public void Case51_a_lease_is_renewed_and_without_answers_lost_at_the_end_of_its_valid_lifetime()
    {
        using var lab = Lab();
        var lease = Lease(lab, "demo/web");
        lab.Advance(TimeSpan.FromSeconds(200));
        Assert.Equal(1, lab.Server6.Count(Dhcp6MessageType.Renew));
        var end = lab.Leases[0].ValidUntil!.Value;
        Assert.True(end > lease.ValidUntil);
        lab.Server6.IsSilent = true;
        lab.Advance(end - lab.Clock.UtcNow - TimeSpan.FromSeconds(1));
        Assert.Equal(("rebinding", lease.Ip), (lab.Leases[0].State, lab.Leases[0].Ip));
        lab.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(("selecting", ""), (lab.Leases[0].State, lab.Leases[0].Ip));
        lab.Server6.IsSilent = false;
        lab.Advance(TimeSpan.FromSeconds(120));
        Assert.Equal(lease.Ip, lab.Leases[0].Ip);
    }

    [Fact]
    public void Case27_the_address_that_the_caller_says_the_service_has_is_not_looked_for_but_another_is()
    {
        using var lab = Lab();
        // Our own speaker answers for it, and the store was lost.
        lab.InUse.Add(IPv6Address.Parse("fd77::1:0"));
        var call = lab.Call("demo/web", ip: "fd77::1:0", held: "fd77::1:0", family: LeaseFamily.IPv6);
        lab.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal("fd77::1:0", LeaseLab.Outcome(call).Answer.Ip);
        Assert.Empty(lab.Detected);
        Assert.Equal(0, lab.Server6.Count(Dhcp6MessageType.Decline));
        call = lab.Call("demo/other", held: "fd77::1:0", family: LeaseFamily.IPv6);
        lab.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal("fd77::1:1", LeaseLab.Outcome(call).Answer.Ip);
        Assert.Equal([IPv6Address.Parse("fd77::1:1")], lab.Detected);
    }

    [Fact]
    public void Case51_an_address_in_use_is_declined_and_another_taken()
    {
        using var lab = Lab();
        lab.InUse.Add(IPv6Address.Parse("fd77::1:0"));
        Assert.Equal("fd77::1:1", Lease(lab, "demo/web").Ip);
        Assert.Equal(1, lab.Server6.Count(Dhcp6MessageType.Decline));
        Assert.Equal(2, lab.Detected.Count);
    }

    [Fact]
    public void Case51_releasing_by_family_by_address_and_by_service()
    {
        using var lab = Lab();
        lab.Lease("demo/web");
        var six = Lease(lab, "demo/web");
        Assert.Equal(ReleaseKind.Mismatch, lab.Delete(six.Ip, "demo/other").Kind);
        Assert.Equal(six.Ip, lab.Delete(service: "demo/web", family: LeaseFamily.IPv6).Answer.Ip);
        lab.Advance(TimeSpan.FromSeconds(10));
        Assert.Empty(lab.Server6.Leases);
        Assert.Equal("ipv4", Assert.Single(lab.Leases).Family);

        six = Lease(lab, "demo/web");
        Assert.Equal(six.Ip, lab.Delete(ip: six.Ip).Answer.Ip);
        lab.Advance(TimeSpan.FromSeconds(10));
        Assert.Empty(lab.Server6.Leases);

        Lease(lab, "demo/web");
        var all = lab.Delete(service: "demo/web");
        Assert.Equal((ReleaseKind.Success, "10.77.0.100", 2), (all.Kind, all.Answer.Ip, all.Ids.Count));
        lab.Advance(TimeSpan.FromSeconds(10));
        Assert.Empty(lab.Server6.Leases);
        Assert.Empty(lab.Server.Leases);
        Assert.Empty(lab.Leases);
        Assert.Equal(ReleaseKind.Success, lab.Delete(service: "demo/web").Kind);
    }

    [Fact]
    public void Case51_no_addresses_left_is_told_and_ends_when_one_is_free()
    {
        using var lab = Lab();
        lab.Server6.Size = 1;
        Lease(lab, "demo/a");
        var waiter = lab.Call("demo/b", family: LeaseFamily.IPv6);
        lab.Advance(TimeSpan.FromSeconds(5));
        Assert.Contains("NoAddrsAvail: none left", lab.Keeper.GiveUp("demo/b", waiter, LeaseFamily.IPv6).Answer.Detail, StringComparison.Ordinal);
        lab.Delete(service: "demo/a");
        lab.Advance(TimeSpan.FromMinutes(3));
        Assert.Equal("fd77::1:0", lab.Leases.Single(lease => lease.Service == "demo/b").Ip);
    }

    [Fact]
    public void A_service_made_anew_with_the_same_uid_gets_another_DUID_while_the_old_one_is_released()
    {
        using var lab = Lab();
        var old = Lease(lab, "demo/web", Uid);
        lab.Delete(service: "demo/web");
        var waiter = lab.Call("demo/web", Uid, family: LeaseFamily.IPv6);
        lab.Advance(TimeSpan.FromSeconds(10));
        var renewed = LeaseLab.Outcome(waiter).Answer;
        Assert.NotEqual(old.Duid, renewed.Duid);
        Assert.NotEqual(old.Ip, renewed.Ip);
        Assert.Equal(renewed.Ip, Assert.Single(lab.Server6.Leases).Value.ToString());
        Assert.StartsWith("0004", renewed.Duid, StringComparison.Ordinal);
    }

    [Fact]
    public void Addresses_outside_the_ranges_are_not_taken_and_quotas_count_both_families()
    {
        using var lab = Lab(o => (o.Interface.Cidrs, o.Interface.Cidrs6) = ([IPv4Network.Parse("10.77.0.0/24")], [IPv6Network.Parse("fd88::/64")]));
        lab.Lease("demo/a");
        var waiter = lab.Call("demo/a", family: LeaseFamily.IPv6);
        lab.Advance(TimeSpan.FromSeconds(5));
        Assert.Contains("fd77::1:0 (outside the configured ranges)", lab.Keeper.GiveUp("demo/a", waiter, LeaseFamily.IPv6).Answer.Detail, StringComparison.Ordinal);
        using var limited = Lab(o => o.Limits.MaxLeases = 1);
        limited.Lease("demo/a");
        Assert.Equal(AcquireKind.Denied, LeaseLab.Outcome(limited.Call("demo/a", family: LeaseFamily.IPv6)).Kind);
    }

    [Fact]
    public void A_record_of_IPv6_is_version_2_and_faults_are_found()
    {
        using var lab = Lab();
        Lease(lab, "demo/web");
        lab.Lease("demo/web");
        var six = lab.Store.Records.Single(record => record.Family == LeaseFamily.IPv6);
        Assert.Equal((2, "", (uint?)1, (uint?)300), (six.Version, six.Mac, six.Iaid, six.PreferredSeconds));
        Assert.Null(LeaseRecordRules.Fault(six));
        Assert.Equal(1, lab.Store.Records.Single(record => record.Family == LeaseFamily.IPv4).Version);
        Assert.NotNull(LeaseRecordRules.Fault(six with { Version = 1 }));
        Assert.NotNull(LeaseRecordRules.Fault(six with { Duid = "zz" }));
        Assert.NotNull(LeaseRecordRules.Fault(six with { Address = "10.0.0.1" }));
        Assert.NotNull(LeaseRecordRules.Fault(six with { Family = LeaseFamily.IPv4 }));
    }

    [Fact]
    public void Events_and_orphans_tell_the_family()
    {
        using var lab = Lab();
        Lease(lab, "demo/web");
        var told = lab.Keeper.Journal.After(null);
        Assert.Null(told);
        lab.Lease("demo/web");
        Assert.Equal(["ipv4", "ipv6"], lab.Keeper.ReportOrphans(new HashSet<string>(StringComparer.Ordinal) { "demo/web" }, _ => true).Orphans.Select(lease => lease.Family));
    }

    private static LeaseLab Lab(Action<AddressServiceOptions>? change = null)
    {
        var options = new AddressServiceOptions();
        options.Interface.Families = [LeaseFamily.IPv4, LeaseFamily.IPv6];
        change?.Invoke(options);
        return new LeaseLab(options);
    }

    private static AcquireAddressAnswer Lease(LeaseLab lab, string service, string? uid = null)
    {
        var waiter = lab.Call(service, uid, family: LeaseFamily.IPv6);
        for (int i = 0; i < 60 && !waiter.Task.IsCompleted; i++)
            lab.Advance(TimeSpan.FromSeconds(0.1));
        var outcome = LeaseLab.Outcome(waiter);
        Assert.Equal(AcquireKind.Success, outcome.Kind);
        return outcome.Answer;
    }
}
