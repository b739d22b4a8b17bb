using System.Net;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>What tells leases apart: a client identifier each, under one MAC; and how many MACs there may be.</summary>
public sealed class IdentityTests
{
    private const string Ignored = "server ignores client identifiers";

    [Fact]
    public void Case02_services_that_share_the_interface_s_MAC_have_an_address_each_and_keep_it_over_a_restart()
    {
        using var lab = Lab();
        lab.Server.HonoursClientIds = true;
        var ips = Enumerable.Range(0, 50).Select(i => lab.Lease($"demo/web{i}").Ip).ToList();
        lab.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(50, ips.Distinct(StringComparer.Ordinal).Count());
        Assert.All(lab.Sent, sent => Assert.Equal(lab.Nic, sent.Message.HardwareAddress));
        Assert.Empty(lab.Joined);
        var ids = lab.Sent.Select(sent => ClientId(sent.Message)).Distinct(StringComparer.Ordinal).ToList();
        Assert.Equal(50, ids.Count);
        Assert.All(ids, id => Assert.StartsWith("FF000000010004", id, StringComparison.Ordinal));

        lab.Sent.Clear();
        lab.Restart();
        lab.Advance(TimeSpan.FromSeconds(5));
        Assert.True(lab.Keeper.IsSettled);
        Assert.Equal(ips.Order(StringComparer.Ordinal), lab.Leases.Select(lease => lease.Ip).Order(StringComparer.Ordinal));
        Assert.Equal(ids.Order(StringComparer.Ordinal), lab.Sent.Select(sent => ClientId(sent.Message)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_release_gives_back_the_one_lease_of_its_client_identifier()
    {
        using var lab = Lab();
        lab.Server.HonoursClientIds = true;
        string kept = lab.Lease("demo/kept").Ip, gone = lab.Lease("demo/gone").Ip;
        lab.Delete(service: "demo/gone");
        lab.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal([kept], lab.Server.Leases.Values.Select(address => address.ToString()));
        Assert.Equal(gone, lab.Lease("demo/next").Ip);
    }

    [Fact]
    public void The_client_identifier_is_the_Service_s_UID_as_a_DUID_and_another_one_when_that_is_taken()
    {
        using var lab = Lab();
        lab.Server.HonoursClientIds = true;
        const string Uid = "01234567-89ab-cdef-0123-456789abcdef";
        lab.Lease("demo/web", Uid);
        Assert.Equal("FF000000010004" + "0123456789ABCDEF0123456789ABCDEF", ClientId(lab.Sent[0].Message));
        lab.Lease("demo/twin", Uid);
        Assert.StartsWith("FF000000010004", ClientId(lab.Sent[^1].Message), StringComparison.Ordinal);
        Assert.NotEqual(ClientId(lab.Sent[0].Message), ClientId(lab.Sent[^1].Message));
    }

    [Fact]
    public void Case24_a_server_that_ignores_client_identifiers_fails_the_second_service_and_leaves_the_first_alone()
    {
        using var lab = Lab();
        string first = lab.Lease("demo/web").Ip;
        lab.Sent.Clear();
        for (int again = 0; again < 2; again++)
        {
            var waiter = lab.Post("demo/other");
            lab.Advance(TimeSpan.FromSeconds(2));
            var outcome = LeaseLab.Outcome(waiter);
            Assert.Equal(AcquireKind.BadServer, outcome.Kind);
            Assert.Contains(Ignored, outcome.Answer.Detail, StringComparison.Ordinal);
            Assert.Equal("", outcome.Answer.Ip);
        }
        Assert.All(lab.Sent, sent => Assert.Equal(DhcpMessageType.Discover, sent.Message.Type));
        Assert.Equal(first, Assert.Single(lab.Leases).Ip);
        Assert.Single(lab.Store.Load().Leases);
        lab.Advance(TimeSpan.FromSeconds(400));
        Assert.Equal("bound", Assert.Single(lab.Leases).State);
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Release));
    }

    [Fact]
    public void Case24_a_server_that_offers_the_host_s_own_address_is_refused_before_anything_is_requested()
    {
        using var lab = Lab();
        lab.OwnAddresses.Add(lab.Server.First);
        var waiter = lab.Post("demo/web");
        lab.Advance(TimeSpan.FromSeconds(2));
        Assert.Contains(Ignored, LeaseLab.Outcome(waiter).Answer.Detail, StringComparison.Ordinal);
        Assert.All(lab.Sent, sent => Assert.Equal(DhcpMessageType.Discover, sent.Message.Type));
    }

    [Fact]
    public void One_offer_of_another_s_address_proves_nothing_the_server_may_have_lost_its_table()
    {
        using var lab = Lab();
        lab.Server.HonoursClientIds = true;
        string first = lab.Lease("demo/web").Ip;
        bool forgot = true;
        lab.Server.Script = (message, _) =>
        {
            bool wrong = forgot && message.Type == DhcpMessageType.Discover;
            forgot = false;
            return wrong ? [lab.Server.Reply(message, DhcpMessageType.Offer, IPv4Address.Parse(first))] : null;
        };
        var waiter = lab.Post("demo/other");
        Assert.False(waiter.Task.IsCompleted);
        lab.Advance(TimeSpan.FromSeconds(6));
        var outcome = LeaseLab.Outcome(waiter);
        Assert.Equal(AcquireKind.Success, outcome.Kind);
        Assert.NotEqual(first, outcome.Answer.Ip);
    }

    [Fact]
    public void Without_its_interface_there_is_no_MAC_to_share()
    {
        using var lab = Lab();
        lab.Nic = MacAddress.Zero;
        var outcome = LeaseLab.Outcome(lab.Post("demo/web"));
        Assert.Equal(AcquireKind.Unavailable, outcome.Kind);
        Assert.Empty(lab.Store.Load().Leases);
    }

    [Fact]
    public void A_MAC_budget_bounds_new_leases_by_name_of_the_setting_and_counts_what_is_being_given_back()
    {
        using var lab = new LeaseLab();
        lab.Options.Interface.MacBudget = 2;
        lab.Lease("demo/a");
        lab.Lease("demo/b");
        var outcome = LeaseLab.Outcome(lab.Post("demo/c"));
        Assert.Equal(AcquireKind.Unavailable, outcome.Kind);
        Assert.StartsWith("mac-budget: ", outcome.Answer.Detail, StringComparison.Ordinal);
        lab.Lease("demo/a");
        lab.Delete(service: "demo/a");
        Assert.Equal(AcquireKind.Unavailable, LeaseLab.Outcome(lab.Post("demo/c")).Kind);
        lab.Advance(TimeSpan.FromSeconds(10));
        lab.Lease("demo/c");
    }

    [Fact]
    public void A_MAC_budget_does_not_count_who_shares_the_interface_s_MAC()
    {
        using var lab = Lab();
        lab.Server.HonoursClientIds = true;
        lab.Options.Interface.MacBudget = 1;
        lab.Lease("demo/a");
        lab.Lease("demo/b");
    }

    [Fact]
    public async Task Case24_is_told_by_502_and_an_exhausted_MAC_budget_by_503()
    {
        await using var confused = await ApiHost.StartAsync(o => o.Interface.Identity = IdentityMode.ClientId);
        Assert.Equal(HttpStatusCode.OK, (await confused.PostAsync("/v1/ip", """{"service":"demo/web"}""")).Code);
        var (code, body) = await confused.PostAsync("/v1/ip", """{"service":"demo/other"}""");
        Assert.Equal(HttpStatusCode.BadGateway, code);
        Assert.Contains(Ignored, body.GetProperty("detail").GetString(), StringComparison.Ordinal);

        await using var bounded = await ApiHost.StartAsync(o => o.Interface.MacBudget = 1);
        await bounded.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        (code, body) = await bounded.PostAsync("/v1/ip", """{"service":"demo/other"}""");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, code);
        Assert.Contains("mac-budget", body.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("relay-servers", "--transport", "relay")]
    [InlineData("vlan", "--transport", "relay", "--relay-servers", "10.0.0.1", "--vlan", "7")]
    [InlineData("choose one", "--link-selection", "10.30.0.0", "--subnet-selection", "10.30.0.0")]
    [InlineData("relay-servers", "--relay-servers", "somewhere")]
    [InlineData("relay6-address and relay6-link go with relay6-servers", "--relay6-link", "fd88::")]
    [InlineData("go with families that include ipv6", "--relay6-servers", "fd00::5")]
    [InlineData("need a relay6-address", "--relay6-servers", "fd00::5", "--families", "ipv6", "--vlan", "7")]
    [InlineData("--relay6-servers has 'fe80::1', which is no IPv6 address beyond the link", "--relay6-servers", "fd00::5,fe80::1", "--families", "ipv6")]
    [InlineData("--relay6-link is no IPv6 address beyond the link", "--relay6-link", "10.0.0.1")]
    [InlineData("mac-budget", "--mac-budget", "0")]
    [InlineData("identity", "--identity", "both")]
    public void Settings_of_transport_and_identity_that_cannot_be_are_faults_at_the_start(string fault, params string[] arguments)
    {
        var result = OptionSources.Read([.. arguments, "--allow-anonymous"], static _ => null);
        Assert.Null(result.Options);
        Assert.Contains(fault, result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void One_interface_relays_for_several_subnets_but_for_each_once()
    {
        const string Near = "{name: near, interface: eth0}", Far = "{name: far, interface: eth0, link-selection: 10.30.0.0}";
        string[] relay = ["--allow-anonymous", "--transport", "relay", "--relay-servers", "10.0.0.1", "--interfaces"];
        Assert.Equal(2, OptionSources.Read([.. relay, $"[{Near}, {Far}]"], static _ => null).Options!.Interfaces.Count);
        Assert.Contains("relayed for 10.30.0.0", OptionSources.Read([.. relay, $"[{Near}, {Far}, {Far.Replace("far", "again", StringComparison.Ordinal)}]"], static _ => null).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void One_interface_relays_DHCPv6_for_several_links_but_for_each_once()
    {
        const string Near = "{name: near, interface: eth0}", Far = "{name: far, interface: eth0, relay6-link: 'fd88::'}";
        string[] relay = ["--allow-anonymous", "--families", "ipv6", "--relay6-servers", "fd00::5,fd00::6", "--interfaces"];
        var interfaces = OptionSources.Read([.. relay, $"[{Near}, {Far}]"], static _ => null).Options!.Interfaces;
        Assert.All(interfaces, each => Assert.Equal((true, 2), (each.IsRelayed6, each.Relay6Servers.Count)));
        Assert.Equal(IPv6Address.Parse("fd88::"), interfaces[1].Relay6Link);
        Assert.Contains("far and again, both of which relay DHCPv6 for fd88::", OptionSources.Read([.. relay, $"[{Near}, {Far}, {Far.Replace("far", "again", StringComparison.Ordinal)}]"], static _ => null).Text, StringComparison.Ordinal);
    }

    private static LeaseLab Lab()
    {
        var options = new AddressServiceOptions();
        options.Interface.Identity = IdentityMode.ClientId;
        options.Interface.MessageBurst = 150;
        return new LeaseLab(options);
    }

    private static string ClientId(DhcpMessage message) => message.Options.TryGet(DhcpOptionCode.ClientId, out var id) ? Convert.ToHexString(id) : "";
}
