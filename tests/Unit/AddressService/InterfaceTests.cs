using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Several interfaces in one address service.</summary>
public sealed class InterfaceTests
{
    private const string TwoInterfaces = """
        - name: lan
        - name: dmz
          interface: eth1
          vlan: 7
          cidrs: [10.88.0.0/16]
          namespaces: [edge]
          interface-leases: 2
        """;

    [Fact]
    [Trait("Fault", "C27")]
    public void A_lease_is_taken_on_the_interface_that_the_request_names_or_the_namespace_belongs_to_or_the_first()
    {
        using var lab = NewLab();
        lab.Lease("demo/web");
        Assert.Equal(AcquireKind.Success, Ask(lab, new AcquireCall("demo/other", Interface: "dmz")).Kind);
        lab.Lease("edge/web");

        Assert.Equal(
            ["demo/other dmz 10.88.0.100", "demo/web lan 10.77.0.100", "edge/web dmz 10.88.0.101"],
            lab.Leases.Select(l => $"{l.Service} {l.Interface} {l.Ip}"));
    }

    [Fact]
    public void An_address_that_is_asked_for_says_the_interface_in_whose_ranges_it_is()
    {
        using var lab = NewLab();
        Assert.Equal("10.88.0.107", Ask(lab, new AcquireCall("demo/web", Ip: IPv4Address.Parse("10.88.0.107"))).Answer.Ip);
    }

    [Fact]
    public void An_unknown_interface_and_another_one_than_the_lease_is_on_are_refused_by_name()
    {
        using var lab = NewLab();
        lab.Lease("demo/web");

        var unknown = Ask(lab, new AcquireCall("demo/new", Interface: "wan"));
        Assert.Equal((AcquireKind.Malformed, "interface: there is no 'wan'; there is lan, dmz"), (unknown.Kind, unknown.Answer.Detail));
        var other = Ask(lab, new AcquireCall("demo/web", Interface: "dmz"));
        Assert.Equal((AcquireKind.Conflict, "interface: demo/web has its lease on lan, not on dmz: release it first"), (other.Kind, other.Answer.Detail));
        Assert.Single(lab.Leases);
    }

    [Fact]
    public void Each_interface_has_its_own_limit()
    {
        using var lab = NewLab();
        lab.Lease("edge/a");
        lab.Lease("edge/b");
        var third = LeaseLab.Outcome(lab.Post("edge/c"));
        Assert.Equal((AcquireKind.Denied, "interface-leases: dmz has all 2 leases that it may have"), (third.Kind, third.Answer.Detail));
        lab.Lease("demo/web");
    }

    [Fact]
    [Trait("Fault", "A9")]
    public void A_silent_interface_does_not_slow_the_others()
    {
        using var lab = NewLab(limit: null);
        lab.OtherServers[0].IsSilent = true;
        for (int i = 0; i < LeaseLink.MaxUnanswered + 50; i++)
            lab.Call($"edge/w{i}");
        lab.Advance(TimeSpan.FromSeconds(1));
        lab.Lease("demo/web");
    }

    [Fact]
    public void A_lease_stays_on_its_interface_over_a_restart()
    {
        using var lab = NewLab();
        string ip = lab.Lease("edge/web").Ip;
        lab.Restart();
        lab.Settle();

        var lease = Assert.Single(lab.Leases);
        Assert.Equal(("dmz", ip, "bound", true), (lease.Interface, lease.Ip, lease.State, lease.Verified));
        Assert.Equal(1, lab.CountSent(DhcpMessageType.Discover));
    }

    [Fact]
    public void The_lease_of_an_interface_that_is_no_longer_configured_is_left_as_it_is_until_it_is_again()
    {
        using var lab = NewLab();
        string ip = lab.Lease("edge/web").Ip;
        var record = Assert.Single(lab.Store.Records);

        using (var without = new LeaseLab(new AddressServiceOptions { Listed = List("- name: lan") }))
        {
            without.Store.Save(record);
            without.Restart();
            without.Advance(TimeSpan.FromHours(1));
            Assert.Empty(without.Leases);
            Assert.Empty(without.Sent);
            Assert.Equal(record, Assert.Single(without.Store.Records));
        }
        lab.Restart();
        Assert.Equal(ip, Assert.Single(lab.Leases).Ip);
    }

    [Fact]
    public void Of_interfaces_that_relay_from_one_address_each_hears_every_reply_and_an_unknown_one_counts_once()
    {
        var options = new AddressServiceOptions { Listed = List("[{name: near, interface: eth0}, {name: far, interface: eth0, link-selection: 10.88.0.0, namespaces: [far]}]") };
        options.Interface.Transport = TransportMode.Relay;
        using var lab = new LeaseLab(options);
        lab.OtherServers.Add(new FakeDhcpServer { Id = IPv4Address.Parse("10.88.0.1"), First = IPv4Address.Parse("10.88.0.100"), Last = IPv4Address.Parse("10.88.0.250") });
        lab.Arriving = answer =>
        {
            // As the socket has it: to the others, too.
            foreach (var link in lab.Keeper.Links)
            {
                if (lab.Leases.Any(l => l.Interface != link.Name))
                    lab.Keeper.Receive(link, new DhcpReply(InMemoryDhcpTransport.Recode(answer), MacAddress.Zero, answer.ServerId));
            }
        };
        lab.Lease("far/web");
        Assert.DoesNotContain("dropped.unknowntransaction", lab.Keeper.Status().Counters.Keys);
        var late = lab.Server.Handle(InMemoryDhcpTransport.Recode(lab.Sent[0].Message))[0];
        late.TransactionId ^= 1;
        foreach (var link in lab.Keeper.Links)
            lab.Keeper.Receive(link, new DhcpReply(InMemoryDhcpTransport.Recode(late), MacAddress.Zero, late.ServerId));
        Assert.Equal(1, lab.Keeper.Status().Counters["dropped.unknowntransaction"]);
    }

    [Fact]
    public void A_reply_that_comes_by_another_interface_than_its_request_went_is_dropped()
    {
        using var lab = NewLab();
        DhcpMessage? discover = null;
        lab.Leaving = message => discover ??= message;
        lab.Server.IsSilent = true;
        var waiter = lab.Post("demo/web");
        lab.Server.IsSilent = false;
        foreach (var offer in lab.Server.Handle(discover!))
            lab.Keeper.Receive(lab.Keeper.Links[1], new DhcpReply(InMemoryDhcpTransport.Recode(offer), lab.Server.Mac, lab.Server.Id));
        Assert.False(waiter.Task.IsCompleted);
        Assert.Equal(1, lab.Keeper.Status().Counters["dropped.unknowntransaction"]);
        lab.Advance(TimeSpan.FromSeconds(6));
        Assert.True(waiter.Task.IsCompletedSuccessfully);
    }

    [Fact]
    public void The_configuration_lists_the_interfaces()
    {
        using var lab = NewLab();
        lab.Lease("edge/web");
        var config = lab.Keeper.Config();
        Assert.Equal(["10.88.0.0/16"], config.Cidrs);
        Assert.Equal(
            [("lan", 0, 0, null), ("dmz", 7, 1, (int?)2)], config.Interfaces!.Select(i => (i.Name, i.Vlan, i.Leases, i.MaxLeases)));
    }

    [Fact]
    public void The_entries_start_from_the_settings_outside_of_the_list_wherever_these_come_from()
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, $"allow-anonymous: true\ninterfaces:\n{TwoInterfaces}\nvendor-class: ours\n");
            var interfaces = OptionSources.Read(["--config", file, "--transport", "chaddr"], static _ => null).Options!.Interfaces;
            Assert.Equal(
                [("lan", "lan", 0, "ours", TransportMode.ChAddr, 0), ("dmz", "eth1", 7, "ours", TransportMode.ChAddr, 1)],
                interfaces.Select(i => (i.Name!, i.Device, i.Vlan, i.VendorClass, i.Transport, i.Cidrs.Count)));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("[{name: lan, vlan: 5000}, {interface: eth1, colour: red}]", "entry 1: vlan is not a whole number", "entry 2: colour is unknown", "entry 2 has no name")]
    [InlineData("[{name: lan}, {name: lan, interface: eth1}]", "lan is there 2 times")]
    [InlineData("[{name: lan}, {name: other, interface: lan}]", "lan and other, both of which are lan, VLAN 0")]
    [InlineData("[{name: a, namespaces: x}, {name: b, namespaces: [x, y]}]", "namespace x with a and b")]
    [InlineData("[]", "is not a list of 1 to 64 entries")]
    [InlineData("lan", "is not a list of 1 to 64 entries")]
    public void Faults_in_the_list_are_told_with_entry_and_key(string list, params string[] faults)
    {
        var result = OptionSources.Read(["--allow-anonymous", "--interfaces", list], static _ => null);
        Assert.Null(result.Options);
        Assert.All(faults, fault => Assert.Contains(fault, result.Text, StringComparison.Ordinal));
    }

    [Fact]
    public void The_list_and_a_single_interface_exclude_each_other()
    {
        var result = OptionSources.Read(["--allow-anonymous", "--interfaces", "[{name: lan}]", "--vlan", "5"], static _ => null);
        Assert.Contains("--interface and --vlan do not go with a list", result.Text, StringComparison.Ordinal);
    }

    private static LeaseLab NewLab(int? limit = 2)
    {
        var options = new AddressServiceOptions { Listed = List(TwoInterfaces) };
        options.Interfaces[1].MaxLeases = limit;
        var lab = new LeaseLab(options);
        lab.OtherServers.Add(new FakeDhcpServer
        {
            Id = IPv4Address.Parse("10.88.0.1"),
            First = IPv4Address.Parse("10.88.0.100"),
            Last = IPv4Address.Parse("10.88.0.250"),
            Mac = MacAddress.Parse("02:00:00:00:88:01"),
        });
        return lab;
    }

    private static IReadOnlyList<ListedInterface> List(string yaml)
    {
        IReadOnlyList<ListedInterface> entries = [];
        Assert.Null(InterfaceList.Parse(yaml, list => entries = list));
        return entries;
    }

    private static AcquireOutcome Ask(LeaseLab lab, AcquireCall call)
    {
        var waiter = new AcquireWaiter();
        lab.Keeper.Acquire(call, waiter);
        lab.Settle();
        return LeaseLab.Outcome(waiter);
    }
}
