using DynamicLb.AddressService.SelfTest;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.SelfTest;

/// <summary>One throw-away lease, in virtual time.</summary>
public sealed class SelfTestProbeTests
{
    private static readonly MacAddress Nic = MacAddress.Parse("02:00:00:00:00:0b");
    private readonly FakeDhcpServer _server = new();
    private readonly Dictionary<IPv4Address, bool> _ours = [];
    private readonly List<DhcpMessage> _sent = [];
    private TimeSpan _now;

    [Fact]
    public void A_lease_is_taken_and_given_back()
    {
        var report = Run(Probe());
        Assert.Equal((SelfTestOutcome.Works, "10.77.0.100", "10.77.0.1"), (report.Outcome, report.Address?.ToString(), report.Server?.ToString()));
        Assert.Empty(_server.Leases);
        Assert.Equal(2, _sent.Count(message => message.Type == DhcpMessageType.Release));
        Assert.True(_now < TimeSpan.FromSeconds(2));
    }

    [Fact]
    public void Silence_is_no_reply_after_the_time_given_and_nothing_is_released()
    {
        _server.IsSilent = true;
        Assert.Equal(SelfTestOutcome.NoReply, Run(Probe()).Outcome);
        Assert.Equal(TimeSpan.FromSeconds(8), _now);
        Assert.All(_sent, message => Assert.Equal(DhcpMessageType.Discover, message.Type));
        Assert.InRange(_sent.Count, 3, 4);
    }

    [Fact]
    public void An_offer_that_is_not_confirmed_is_given_back_for_it_may_have_been_granted()
    {
        _server.Script = (message, _) => message.Type == DhcpMessageType.Request ? [] : null;
        var report = Run(Probe());
        Assert.Equal(SelfTestOutcome.NotConfirmed, report.Outcome);
        Assert.Equal(DhcpMessageType.Release, _sent[^1].Type);
    }

    [Fact]
    public void A_confirmation_that_is_read_only_when_the_time_is_over_counts()
    {
        var probe = Probe();
        void Answer()
        {
            foreach (var answer in _server.Handle(InMemoryDhcpTransport.Recode(probe.Outbox.Dequeue().Message)))
                probe.Receive(new DhcpReply(InMemoryDhcpTransport.Recode(answer), _server.Mac, _server.Id), _now);
        }

        probe.Begin(_now);
        Answer();
        _now = TimeSpan.FromSeconds(8);
        Answer();
        while (probe.Report is null)
        {
            _now = probe.NextDeadline!.Value;
            probe.Tick(_now);
        }
        Assert.Equal(SelfTestOutcome.Works, probe.Report.Outcome);
    }

    [Fact]
    public void What_this_host_or_one_of_our_leases_has_is_neither_requested_nor_released()
    {
        for (uint last = 100; last < 200; last++)
            _ours.Add(IPv4Address.Parse($"10.77.0.{last}"), false);
        Assert.Equal(SelfTestOutcome.Refused, Run(Probe()).Outcome);
        Assert.All(_sent, message => Assert.Equal(DhcpMessageType.Discover, message.Type));
    }

    [Fact]
    public void Two_client_identifiers_of_one_MAC_that_get_two_addresses_are_told_apart()
    {
        HonourClientIds();
        var report = Run(ClientIdProbe());
        Assert.Equal(SelfTestOutcome.Works, report.Outcome);
        Assert.Contains("10.77.0.101", report.Detail, StringComparison.Ordinal);
        Assert.Single(_sent, message => message.Type == DhcpMessageType.Request);
        Assert.All(_sent.Where(m => m.Type == DhcpMessageType.Release), m => Assert.Equal("10.77.0.100", m.ClientAddress.ToString()));
    }

    [Fact]
    public void Case24_a_server_that_offers_a_second_client_identifier_the_same_address_ignores_them()
    {
        var report = Run(ClientIdProbe());
        Assert.Equal(SelfTestOutcome.IgnoresClientIds, report.Outcome);
        Assert.Empty(_server.Leases);
    }

    [Fact]
    public void Case24_a_server_that_offers_the_address_of_the_host_itself_ignores_client_identifiers_and_that_address_is_left_alone()
    {
        _ours.Add(IPv4Address.Parse("10.77.0.5"), true);
        _server.Leases[Nic] = IPv4Address.Parse("10.77.0.5");
        Assert.Equal(SelfTestOutcome.IgnoresClientIds, Run(ClientIdProbe()).Outcome);
        Assert.All(_sent, message => Assert.Equal(DhcpMessageType.Discover, message.Type));
        Assert.Single(_server.Leases);
    }

    [Fact]
    public void A_second_client_identifier_that_is_offered_nothing_proves_nothing()
    {
        HonourClientIds(most: 1);
        var report = Run(ClientIdProbe());
        Assert.Equal(SelfTestOutcome.Works, report.Outcome);
        Assert.Contains("offered nothing", report.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void An_address_of_a_lease_with_a_MAC_of_its_own_says_nothing_about_client_identifiers()
    {
        _ours.Add(IPv4Address.Parse("10.77.0.5"), false);
        _server.Leases[Nic] = IPv4Address.Parse("10.77.0.5");
        Assert.Equal(SelfTestOutcome.Refused, Run(ClientIdProbe()).Outcome);
    }

    private void HonourClientIds(int most = 100)
    {
        var given = new Dictionary<string, IPv4Address>(StringComparer.Ordinal);
        _server.Script = (message, _) =>
        {
            string id = message.Options.TryGet(DhcpOptionCode.ClientId, out var bytes) ? Convert.ToHexString(bytes) : "";
            if (!given.ContainsKey(id) && given.Count < most)
                given[id] = new IPv4Address(_server.First.Value + (uint)given.Count);
            return !given.TryGetValue(id, out var address) ? [] : message.Type switch
            {
                DhcpMessageType.Discover => [_server.Reply(message, DhcpMessageType.Offer, address)],
                DhcpMessageType.Request => [_server.Reply(message, DhcpMessageType.Ack, address)],
                _ => [],
            };
        };
    }

    private SelfTestProbe Probe() => Probe(new DhcpClientIdentity(MacAddress.Parse("02:4c:42:00:00:01"), new byte[] { 1, 2 }, null, null), null);

    private SelfTestProbe ClientIdProbe() => Probe(
        new DhcpClientIdentity(Nic, new byte[] { 255, 1 }, null, null), new DhcpClientIdentity(Nic, new byte[] { 255, 2 }, null, null));

    private SelfTestProbe Probe(DhcpClientIdentity identity, DhcpClientIdentity? rival) => new(
        identity, rival, DhcpClientSettings.Default, _ours, static _ => null, DhcpRandom.Seeded(1), TimeSpan.FromSeconds(8));

    private SelfTestReport Run(SelfTestProbe probe)
    {
        probe.Begin(_now);
        while (true)
        {
            while (probe.Outbox.TryDequeue(out var item))
            {
                var message = InMemoryDhcpTransport.Recode(item.Message);
                _sent.Add(message);
                foreach (var answer in _server.Handle(message))
                    probe.Receive(new DhcpReply(InMemoryDhcpTransport.Recode(answer), _server.Mac, _server.Id), _now);
            }
            if (probe.Report is { } report)
                return report;
            Assert.NotNull(probe.NextDeadline);
            _now = probe.NextDeadline.Value > _now ? probe.NextDeadline.Value : _now;
            probe.Tick(_now);
        }
    }
}
