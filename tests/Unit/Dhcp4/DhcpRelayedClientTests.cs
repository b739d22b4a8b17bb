using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>A client whose messages go through a relay's socket.</summary>
public sealed class DhcpRelayedClientTests
{
    private static readonly DhcpClientSettings Relayed = new() { IsRelayed = true };

    // Nothing is known of a frame's source behind a relay.
    private static FakeDhcpServer Server() => new() { Mac = MacAddress.Zero };

    [Fact]
    public void Case37_the_lease_is_renewed_at_T1_in_the_standard_form_at_its_own_server()
    {
        var lab = new DhcpLab(Server());
        var client = lab.NewBoundClient(Relayed);
        lab.RunUntil(() => lab.Events.Count > 0, lab.Now + TimeSpan.FromSeconds(301));
        Assert.Equal(["renewed 10.77.0.100"], lab.Events);
        var request = Assert.Single(lab.Sent);
        Assert.Equal("10.77.0.100", request.Message.ClientAddress.ToString());
        Assert.False(request.Message.Options.Contains(DhcpOptionCode.RequestedAddress));
        Assert.False(request.Message.Options.Contains(DhcpOptionCode.ServerId));
        Assert.Equal((false, "10.77.0.1"), (request.Destination.IsBroadcast, request.Destination.Server.ToString()));
        Assert.Equal(DhcpClientState.Bound, client.State);
    }

    [Fact]
    public void Case37_from_T2_on_every_server_is_asked_still_in_the_standard_form()
    {
        var server = Server();
        var lab = new DhcpLab(server);
        var client = lab.NewBoundClient(Relayed);
        server.IsSilent = true;
        lab.RunUntil(() => client.State == DhcpClientState.Rebinding, lab.Now + TimeSpan.FromSeconds(600));
        Assert.All(lab.Sent.SkipLast(1), sent => Assert.False(sent.Destination.IsBroadcast));
        lab.Sent.Clear();
        lab.RunUntil(() => client.Lease is null, lab.Now + TimeSpan.FromSeconds(600));
        var rebinding = lab.Sent.Where(sent => sent.Message.Type == DhcpMessageType.Request).ToList();
        Assert.True(rebinding.Count >= 2);
        Assert.All(rebinding, sent => Assert.True(sent.Destination.IsBroadcast && !sent.Message.ClientAddress.IsAny));
    }

    [Fact]
    public void Case37_RELEASE_goes_to_the_lease_s_server_both_times()
    {
        var server = Server();
        var lab = new DhcpLab(server);
        var client = lab.NewBoundClient(Relayed);
        client.Release(lab.Now, "service deleted");
        lab.Run(TimeSpan.FromSeconds(10));
        Assert.Equal(2, lab.SentCount(DhcpMessageType.Release));
        Assert.All(lab.Sent, sent => Assert.Equal((false, server.Id), (sent.Destination.IsBroadcast, sent.Destination.Server)));
        Assert.Empty(server.Leases);
    }

    [Fact]
    public void Allowed_servers_are_told_by_their_identifier_for_a_relay_hears_from_any_of_their_addresses()
    {
        var server = Server();
        var lab = new DhcpLab(server);
        var client = lab.NewClient(Relayed with { AllowedServers = [new IPv4Network(server.Id, 32)] });
        client.Acquire(lab.Now, null);
        lab.RunUntil(() => lab.Sent.Count > 0, lab.Now + TimeSpan.FromMilliseconds(1));
        var offer = server.Reply(lab.Sent[0].Message, DhcpMessageType.Offer, IPv4Address.Parse("10.77.0.100"));
        var bytes = new byte[offer.EncodedLength];
        offer.Write(bytes);
        lab.Inject(bytes, MacAddress.Zero, IPv4Address.Parse("192.0.2.1"), TimeSpan.Zero);
        lab.Run(TimeSpan.Zero);
        Assert.Equal(0, lab.DropCount(DhcpDropReason.RogueServer));
    }

    [Fact]
    public void Clients_of_one_hardware_address_are_told_apart_by_the_transaction()
    {
        var mac = MacAddress.Parse("02:00:00:00:00:0b");
        var server = new FakeDhcpServer();
        var lab = new DhcpLab(server);
        // The scripted server keys by chaddr; one that honours option 61 gives each client identifier an address.
        var given = new Dictionary<string, IPv4Address>(StringComparer.Ordinal);
        server.Script = (message, _) =>
        {
            if (!message.Options.TryGet(DhcpOptionCode.ClientId, out var bytes))
                return [];
            string id = Convert.ToHexString(bytes);
            if (!given.TryGetValue(id, out var address))
                given[id] = address = new IPv4Address(server.First.Value + (uint)given.Count);
            return message.Type is DhcpMessageType.Discover or DhcpMessageType.Request
                ? [server.Reply(message, message.Type == DhcpMessageType.Discover ? DhcpMessageType.Offer : DhcpMessageType.Ack, address)] : [];
        };
        var clients = Enumerable.Range(1, 3).Select(i => lab.NewClient(
            new DhcpClientIdentity(mac, DhcpClientIdentity.DuidClientId(1, [0, 4, 0xaa, (byte)i]), null, null))).ToList();
        foreach (var client in clients)
            client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.All(clients, client => Assert.Equal(DhcpClientState.Bound, client.State));
        Assert.Equal(3, clients.Select(client => client.Lease!.Address).Distinct().Count());
        Assert.Equal([255, 0, 0, 0, 1, 0, 4, 0xaa, 1], clients[0].Identity.ClientId.ToArray());
    }
}
