using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>What is dropped, how it is counted, and that the good answer afterwards wins.</summary>
public sealed class DhcpReceiveChecksTests
{
    private static readonly FakeDhcpServer Rogue = new() { Id = IPv4Address.Parse("10.77.0.66"), Mac = MacAddress.Parse("02:00:00:00:00:66") };

    public static TheoryData<string, DhcpDropReason> BadPackets => new()
    {
        { "xid", DhcpDropReason.UnknownTransaction },
        { "chaddr", DhcpDropReason.OtherHardwareAddress },
        { "op1", DhcpDropReason.NotAReply },
        { "op3", DhcpDropReason.NotAReply },
        { "cookie", DhcpDropReason.BadCookie },
        { "htype", DhcpDropReason.BadHardwareType },
        { "hlen", DhcpDropReason.BadHardwareLength },
        { "short", DhcpDropReason.TooShort },
    };

    [Theory]
    [MemberData(nameof(BadPackets))]
    public void Case05_a_reply_with_a_wrong_fixed_part_is_counted_and_the_good_offer_wins(string what, DhcpDropReason reason)
    {
        var lab = new DhcpLab(new FakeDhcpServer { IsSilent = true });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        var offer = lab.Servers[0].Reply(lab.Sent[0].Message, DhcpMessageType.Offer, IPv4Address.Parse("10.77.0.100"));
        var bytes = new byte[300];
        offer.Write(bytes);
        var bad = (byte[])bytes.Clone();
        switch (what)
        {
            case "xid": bad[4] ^= 1; break;
            case "chaddr": bad[33] ^= 1; break;
            case "op1": bad[0] = 1; break;
            case "op3": bad[0] = 3; break;
            case "cookie": bad[236] ^= 1; break;
            case "htype": bad[1] = 6; break;
            case "hlen": bad[2] = 16; break;
            default: bad = bad[..239]; break;
        }
        lab.Inject(bad, lab.Servers[0].Mac, lab.Servers[0].Id);
        lab.Run(TimeSpan.FromMilliseconds(10));
        Assert.Equal(DhcpClientState.Selecting, client.State);
        Assert.Equal(1, lab.DropCount(reason));
        Assert.Equal(1, lab.Drops.Values.Sum());

        lab.Inject(bytes, lab.Servers[0].Mac, lab.Servers[0].Id);
        lab.Run(TimeSpan.FromMilliseconds(10));
        Assert.Equal(DhcpClientState.Requesting, client.State);
    }

    public static TheoryData<string, DhcpDropReason> BadOptions => new()
    {
        { "server id missing", DhcpDropReason.NoServerId },
        { "server id 0.0.0.0", DhcpDropReason.BadServerId },
        { "server id broadcast", DhcpDropReason.BadServerId },
        { "server id multicast", DhcpDropReason.BadServerId },
        { "lease missing", DhcpDropReason.NoLeaseTime },
        { "client id", DhcpDropReason.OtherClientId },
        { "type", DhcpDropReason.UnexpectedMessageType },
        { "ack", DhcpDropReason.WrongState },
        { "nak", DhcpDropReason.WrongState },
    };

    [Theory]
    [MemberData(nameof(BadOptions))]
    public void Case09_an_offer_without_its_options_is_ignored_and_the_next_servers_is_taken(string what, DhcpDropReason reason)
    {
        var lab = new DhcpLab(
            new FakeDhcpServer { Script = (request, _) => request.Type == DhcpMessageType.Discover ? [Spoil(request, what)] : [] },
            new FakeDhcpServer { Id = IPv4Address.Parse("10.77.0.2"), First = IPv4Address.Parse("10.77.0.200"), Last = IPv4Address.Parse("10.77.0.201") });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(1, lab.DropCount(reason));
        Assert.Equal("10.77.0.200", client.Lease!.Address.ToString());
        Assert.Equal("10.77.0.2", client.Lease.ServerId.ToString());
    }

    [Fact]
    public void Case09_the_truncated_offer_of_kea_is_ignored_and_the_next_servers_is_taken()
    {
        var lab = new DhcpLab();
        var client = lab.NewClient(Samples.Identity("kea-offer-truncated-noend"));
        client.Acquire(lab.Now, null);
        uint xid = lab.Sent[0].Message.TransactionId;
        lab.Inject(Samples.Payload("kea-offer-truncated-noend", xid), Samples.ServerMac, Samples.Server);
        lab.Run(TimeSpan.FromMilliseconds(10));
        Assert.Equal(DhcpClientState.Selecting, client.State);
        Assert.Equal(1, lab.DropCount(DhcpDropReason.NoServerId));
        Assert.Equal("offers refused: 10.77.0.101 from 0.0.0.0 (no valid server identifier)", client.Attempt!.Describe());

        lab.Inject(Samples.Payload("isc-offer", xid), Samples.ServerMac, Samples.Server);
        lab.Run(TimeSpan.FromMilliseconds(10));
        Assert.Equal(DhcpClientState.Requesting, client.State);
    }

    [Theory]
    [InlineData(0u, DhcpDropReason.NoLeaseTime)]
    [InlineData(1u, DhcpDropReason.LeaseTooShort)]
    [InlineData(4u, DhcpDropReason.LeaseTooShort)]
    public void Case14_a_lease_below_the_minimum_is_not_requested(uint seconds, DhcpDropReason reason)
    {
        var lab = new DhcpLab(new FakeDhcpServer { LeaseSeconds = seconds });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromMinutes(1));
        Assert.Equal(DhcpClientState.Selecting, client.State);
        Assert.Equal(0, lab.SentCount(DhcpMessageType.Request));
        Assert.Equal(lab.SentCount(DhcpMessageType.Discover), lab.DropCount(reason));
        Assert.StartsWith("offers refused: 10.77.0.100 from 10.77.0.1 (", client.Attempt!.Describe());
    }

    [Fact]
    public void Case20_an_ack_or_nak_with_another_server_id_does_not_end_requesting()
    {
        var lab = new DhcpLab(new FakeDhcpServer { Script = (request, _) => request.Type == DhcpMessageType.Request ? [] : null });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.RunUntil(() => client.State == DhcpClientState.Requesting, lab.Now + TimeSpan.FromSeconds(1));
        var request = lab.Sent[^1].Message;
        lab.Inject(Rogue.Reply(request, DhcpMessageType.Ack, IPv4Address.Parse("10.77.0.100")), Rogue);
        lab.Inject(Rogue.Reply(request, DhcpMessageType.Nak, default), Rogue);
        lab.Run(TimeSpan.FromMilliseconds(100));
        Assert.Equal(DhcpClientState.Requesting, client.State);
        Assert.Equal(1, lab.DropCount(DhcpDropReason.OtherServer));
        Assert.Equal(1, lab.DropCount(DhcpDropReason.ForeignNak));

        lab.Inject(lab.Servers[0].Reply(request, DhcpMessageType.Ack, IPv4Address.Parse("10.77.0.100")));
        lab.Run(TimeSpan.FromMilliseconds(100));
        Assert.Equal(DhcpClientState.Bound, client.State);
        Assert.Equal(["bound 10.77.0.100"], lab.Events);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Case22_a_faster_rogue_server_is_ignored_by_identifier_or_by_source(bool byIdentifier)
    {
        var rogue = new FakeDhcpServer { Id = IPv4Address.Parse("10.77.0.66"), First = IPv4Address.Parse("10.77.0.10"), Last = IPv4Address.Parse("10.77.0.20") };
        if (!byIdentifier)
        {
            rogue.Script = (_, answers) =>
            {
                foreach (var answer in answers)
                    answer.Options.SetAddress(DhcpOptionCode.ServerId, IPv4Address.Parse("10.77.0.1"));
                return answers;
            };
        }
        var lab = new DhcpLab(rogue, new FakeDhcpServer());
        var client = lab.NewClient(DhcpClientSettings.Default with { AllowedServers = [IPv4Network.Parse("10.77.0.1/32")] });
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal("10.77.0.100", client.Lease!.Address.ToString());
        Assert.InRange(lab.DropCount(DhcpDropReason.RogueServer), 1, 2);
    }

    [Theory]
    [InlineData("0.0.0.0", "no address")]
    [InlineData("127.0.0.1", "loopback address")]
    [InlineData("169.254.1.1", "link-local address")]
    [InlineData("224.0.0.1", "multicast address")]
    [InlineData("240.0.0.1", "reserved address")]
    [InlineData("255.255.255.255", "reserved address")]
    [InlineData("10.77.0.1", "the server's own address")]
    [InlineData("10.77.0.254", "the router's address")]
    [InlineData("10.77.0.0", "the network's address")]
    [InlineData("10.77.0.255", "the network's broadcast address")]
    [InlineData("10.77.1.5", "outside the ranges")]
    public void Case23_an_address_that_cannot_be_used_is_refused_with_its_reason(string address, string reason)
    {
        var lab = new DhcpLab(new FakeDhcpServer
        {
            Router = IPv4Address.Parse("10.77.0.254"),
            Script = (request, answers) =>
            {
                foreach (var answer in answers)
                    answer.YourAddress = IPv4Address.Parse(address);
                return answers;
            },
        })
        {
            Refuse = offered => IPv4Network.Parse("10.77.0.0/24").Contains(offered) ? null : "outside the ranges",
        };
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(30));
        Assert.Equal(DhcpClientState.Selecting, client.State);
        Assert.Equal(lab.SentCount(DhcpMessageType.Discover), lab.DropCount(DhcpDropReason.AddressRefused));
        Assert.Equal($"offers refused: {address} from 10.77.0.1 ({reason})", client.Attempt!.Describe());
        Assert.Equal(new RefusedOffer(lab.Servers[0].Id, IPv4Address.Parse(address), reason), Assert.Single(client.Attempt.Refusals));
    }

    [Fact]
    public void After_a_refused_offer_the_next_discover_does_not_wait_for_the_whole_pause()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        int refused = 0;
        lab.Refuse = _ => refused++ < 2 ? "held by another lease" : null;
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.RunUntil(() => client.State == DhcpClientState.Bound, lab.Now + TimeSpan.FromSeconds(1));
        Assert.Equal(3, lab.SentCount(DhcpMessageType.Discover));
    }

    [Fact]
    public void A_server_that_offers_only_what_is_refused_is_soon_asked_at_the_usual_pace()
    {
        var lab = new DhcpLab(new FakeDhcpServer()) { Refuse = _ => "held by another lease" };
        lab.NewClient().Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(60));
        Assert.InRange(lab.SentCount(DhcpMessageType.Discover), 5, 8);
    }

    [Fact]
    public void Case23_an_ack_of_an_address_the_owner_refuses_does_not_bind()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.RunUntil(() => client.State == DhcpClientState.Requesting, lab.Now + TimeSpan.FromSeconds(1));
        lab.Refuse = _ => "held by another lease";
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(DhcpClientState.Requesting, client.State);
        Assert.Equal(1, lab.DropCount(DhcpDropReason.AddressRefused));
    }

    [Theory]
    [InlineData(30, "255.255.255.252", "10.77.0.4", true)]
    [InlineData(31, "255.255.255.254", "10.77.0.4", false)]
    [InlineData(32, "255.255.255.255", "10.77.0.4", false)]
    [InlineData(32, "255.0.255.0", "10.77.0.4", false)]
    public void First_and_last_address_of_a_point_to_point_network_are_hosts(int prefixLength, string mask, string address, bool refused)
    {
        var reply = new DhcpMessage { IsReply = true, Type = DhcpMessageType.Offer };
        reply.Options.SetAddress(DhcpOptionCode.SubnetMask, IPv4Address.Parse(mask));
        Assert.Equal(prefixLength, DhcpAddressRules.PrefixLength(reply.Options));
        Assert.Equal(refused, DhcpAddressRules.Refuse(IPv4Address.Parse(address), reply, IPv4Address.Parse("10.77.0.1")) is not null);
    }

    [Fact]
    public void Case38_an_offer_through_a_relay_is_accepted()
    {
        var lab = new DhcpLab(new FakeDhcpServer
        {
            Script = (_, answers) =>
            {
                foreach (var answer in answers)
                    answer.RelayAddress = IPv4Address.Parse("10.77.0.254");
                return answers;
            },
        });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(DhcpClientState.Bound, client.State);
    }

    [Fact]
    [Trait("Fault", "C12")]
    public void An_echoed_client_id_is_accepted_and_an_answer_to_a_finished_exchange_finds_nobody()
    {
        var lab = new DhcpLab(new FakeDhcpServer
        {
            Script = (request, answers) =>
            {
                _ = request.Options.TryGet(DhcpOptionCode.ClientId, out var id);
                foreach (var answer in answers)
                    answer.Options.Set(DhcpOptionCode.ClientId, id);
                return [.. answers, .. answers];
            },
        });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(DhcpClientState.Bound, client.State);
        Assert.Equal(1, lab.DropCount(DhcpDropReason.WrongState));
        Assert.Equal(1, lab.DropCount(DhcpDropReason.UnknownTransaction));
        Assert.Equal(["bound 10.77.0.100"], lab.Events);
        Assert.Equal(0, lab.Ids.Count);
    }

    [Fact]
    public void Within_the_window_the_remembered_address_wins_then_the_preferred_server_then_the_first()
    {
        foreach (var (hint, preferred, expected) in ((string?, string?, string)[])[
            ("10.77.0.120", "10.77.0.3", "10.77.0.120"), (null, "10.77.0.3", "10.77.0.130"), (null, null, "10.77.0.110")])
        {
            var lab = new DhcpLab([.. new[] { 1, 2, 3 }.Select(i => new FakeDhcpServer
            {
                Id = IPv4Address.Parse($"10.77.0.{i}"),
                First = IPv4Address.Parse($"10.77.0.1{i}0"),
                Last = IPv4Address.Parse($"10.77.0.1{i}5"),
            })]);
            var client = lab.NewClient(DhcpClientSettings.Default with
            {
                OfferWindow = TimeSpan.FromMilliseconds(200),
                PreferredServers = preferred is null ? [] : [IPv4Address.Parse(preferred)],
            });
            client.Acquire(lab.Now, hint is null ? null : IPv4Address.Parse(hint));
            lab.Run(TimeSpan.FromSeconds(1));
            Assert.Equal(expected, client.Lease!.Address.ToString());
        }
    }

    private static DhcpMessage Spoil(DhcpMessage request, string what)
    {
        var type = what switch { "type" => DhcpMessageType.Inform, "ack" => DhcpMessageType.Ack, "nak" => DhcpMessageType.Nak, _ => DhcpMessageType.Offer };
        var reply = new DhcpMessage
        {
            IsReply = true,
            Type = type,
            TransactionId = request.TransactionId,
            HardwareAddress = request.HardwareAddress,
            YourAddress = IPv4Address.Parse("10.77.0.100"),
        };
        if (what.StartsWith("server id", StringComparison.Ordinal))
        {
            string? id = what switch { "server id 0.0.0.0" => "0.0.0.0", "server id broadcast" => "255.255.255.255", "server id multicast" => "224.0.0.1", _ => null };
            if (id is not null)
                reply.Options.SetAddress(DhcpOptionCode.ServerId, IPv4Address.Parse(id));
        }
        else
        {
            reply.Options.SetAddress(DhcpOptionCode.ServerId, IPv4Address.Parse("10.77.0.1"));
        }
        if (what != "lease missing")
            reply.Options.SetUInt32(DhcpOptionCode.LeaseTime, 600);
        if (what == "client id")
            reply.Options.SetText(DhcpOptionCode.ClientId, "somebody else");
        return reply;
    }
}
