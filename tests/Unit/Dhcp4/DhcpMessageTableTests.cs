using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>Which options each message carries (RFC 2131 tables 4 and 5).</summary>
public sealed class DhcpMessageTableTests
{
    private static readonly byte[] RequestList = [1, 3, 15, 28, 51, 54, 58, 59];
    private readonly DhcpLab _lab = new(new FakeDhcpServer());

    [Fact]
    public void Discover_carries_what_it_must_and_no_more()
    {
        _lab.NewClient().Acquire(_lab.Now, null);
        var sent = Assert.Single(_lab.Sent);
        AssertCommon(sent, DhcpMessageType.Discover, 53, 55, 57, 60, 61, 12);
        Assert.Equal(IPv4Address.Any, sent.Message.ClientAddress);
        Assert.Equal(DhcpDestination.Broadcast, sent.Destination);
    }

    [Fact]
    public void Discover_asks_for_the_hint_and_the_wanted_lease_time()
    {
        var client = _lab.NewClient(DhcpClientSettings.Default with { RequestedLeaseSeconds = 3600 });
        client.Acquire(_lab.Now, IPv4Address.Parse("10.77.0.150"));
        _lab.Run(TimeSpan.FromSeconds(1));
        AssertCommon(_lab.Sent[0], DhcpMessageType.Discover, 53, 55, 57, 60, 61, 12, 50, 51);
        AssertCommon(_lab.Sent[1], DhcpMessageType.Request, 53, 55, 57, 60, 61, 12, 50, 51, 54);
        Assert.Equal("10.77.0.150", Requested(_lab.Sent[0]).ToString());
        Assert.True(_lab.Sent[1].Message.Options.TryGetUInt32(DhcpOptionCode.LeaseTime, out uint lease));
        Assert.Equal(3600u, lease);
        Assert.Equal("10.77.0.150", client.Lease!.Address.ToString());
    }

    [Fact]
    public void Selecting_request_repeats_transaction_secs_and_identity_and_names_server_and_address()
    {
        _lab.Servers[0].IsSilent = true;
        _lab.NewClient().Acquire(_lab.Now, null);
        _lab.Run(TimeSpan.FromSeconds(6));
        _lab.Servers[0].IsSilent = false;
        _lab.RunUntil(() => _lab.SentCount(DhcpMessageType.Request) == 1, _lab.Now + TimeSpan.FromMinutes(1));

        var discover = _lab.Sent[^2].Message;
        var request = _lab.Sent[^1];
        AssertCommon(request, DhcpMessageType.Request, 53, 50, 54, 55, 57, 60, 61, 12);
        Assert.Equal((discover.TransactionId, discover.Seconds), (request.Message.TransactionId, request.Message.Seconds));
        Assert.True(discover.Seconds > 0);
        Assert.Equal(IPv4Address.Any, request.Message.ClientAddress);
        Assert.Equal("10.77.0.100", Requested(request).ToString());
        Assert.Equal(_lab.Servers[0].Id, request.Message.ServerId);
        Assert.Equal(DhcpDestination.Broadcast, request.Destination);
    }

    [Fact]
    [Trait("Fault", "C9")]
    public void Renewal_has_the_init_reboot_form()
    {
        var client = _lab.NewBoundClient();
        _lab.RunUntil(() => _lab.Sent.Count == 1, _lab.Now + TimeSpan.FromMinutes(6));
        AssertCommon(_lab.Sent[0], DhcpMessageType.Request, 53, 50, 55, 57, 60, 61, 12);
        Assert.Equal(IPv4Address.Any, _lab.Sent[0].Message.ClientAddress);
        Assert.Equal(client.Lease!.Address, Requested(_lab.Sent[0]));
        Assert.Equal(DhcpDestination.Broadcast, _lab.Sent[0].Destination);
    }

    [Fact]
    public void Verification_after_a_restart_has_the_init_reboot_form()
    {
        var client = _lab.NewClient();
        client.Resume(Leases.Of("10.77.0.100", _lab.Now - TimeSpan.FromMinutes(1)), _lab.Now);
        AssertCommon(Assert.Single(_lab.Sent), DhcpMessageType.Request, 53, 50, 55, 57, 60, 61, 12);
        Assert.Equal("10.77.0.100", Requested(_lab.Sent[0]).ToString());
        Assert.Equal(IPv4Address.Any, _lab.Sent[0].Message.ClientAddress);
    }

    [Fact]
    public void Standard_renewal_is_unicast_with_the_client_address_and_no_options_50_and_54()
    {
        var client = _lab.NewBoundClient(DhcpClientSettings.Default with { RenewForm = DhcpRenewForm.ClientAddress });
        _lab.Servers[0].IsSilent = true;
        _lab.RunUntil(() => client.State == DhcpClientState.Rebinding, _lab.Now + TimeSpan.FromMinutes(10));
        var renew = _lab.Sent[0];
        AssertCommon(renew, DhcpMessageType.Request, 53, 55, 57, 60, 61, 12);
        Assert.Equal(client.Lease!.Address, renew.Message.ClientAddress);
        Assert.Equal(DhcpDestination.Unicast(client.Lease.Address, _lab.Servers[0].Id, _lab.Servers[0].Mac), renew.Destination);
        var rebind = _lab.Sent[^1];
        AssertCommon(rebind, DhcpMessageType.Request, 53, 55, 57, 60, 61, 12);
        Assert.Equal(client.Lease.Address, rebind.Message.ClientAddress);
        Assert.Equal(DhcpDestination.Broadcast, rebind.Destination);
        Assert.NotEqual(renew.Message.TransactionId, rebind.Message.TransactionId);
    }

    [Fact]
    public void Release_carries_client_address_server_client_id_and_reason_only()
    {
        var client = _lab.NewBoundClient();
        var address = client.Lease!.Address;
        client.Release(_lab.Now, "service deleted");
        _lab.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(2, _lab.Sent.Count);
        foreach (var sent in _lab.Sent)
        {
            Assert.Equal([53, 54, 56, 61], sent.Message.Options.Codes.Select(code => (int)code).Order());
            Assert.Equal(DhcpMessageType.Release, sent.Message.Type);
            Assert.Equal(address, sent.Message.ClientAddress);
            Assert.Equal(0, sent.Message.Seconds);
            Assert.False(sent.Message.Broadcast);
            Assert.Equal("service deleted", sent.Message.Options.GetText(DhcpOptionCode.Message));
        }
    }

    [Fact]
    public void Identity_is_the_same_to_the_byte_in_every_message_and_absent_parts_stay_absent()
    {
        var mac = MacAddress.Parse("02:4c:42:00:00:09");
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewClient(new DhcpClientIdentity(mac, default, null, null));
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromMinutes(20));
        client.Release(lab.Now, "");
        lab.Run(TimeSpan.FromSeconds(5));
        Assert.All(lab.Sent, sent => Assert.Equal(mac, sent.Message.HardwareAddress));
        Assert.All(lab.Sent, sent => Assert.DoesNotContain(sent.Message.Options.Codes, code => (int)code is 12 or 56 or 60 or 61));
    }

    [Fact]
    public void Everything_sent_is_padded_to_300_bytes_and_within_548()
    {
        var longest = new DhcpClientIdentity(MacAddress.Parse("02:4c:42:00:00:09"), new byte[128], new string('h', 63), new string('v', 64));
        var client = _lab.NewClient(longest, DhcpClientSettings.Default with { RequestedLeaseSeconds = 600 });
        client.Acquire(_lab.Now, null);
        _lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(DhcpClientState.Bound, client.State);
        Assert.All(_lab.Sent, sent => Assert.InRange(sent.Message.EncodedLength, 300, DhcpMessage.MaximumSentLength));
    }

    [Fact]
    public void Identities_that_cannot_be_sent_are_refused()
    {
        var mac = MacAddress.Parse("02:4c:42:00:00:09");
        foreach (var identity in (DhcpClientIdentity[])[
            new(MacAddress.Parse("03:4c:42:00:00:09"), default, null, null),
            new(MacAddress.Zero, default, null, null),
            new(mac, new byte[1], null, null),
            new(mac, new byte[129], null, null),
            new(mac, default, new string('h', 64), null),
            new(mac, default, null, new string('v', 65))])
        {
            Assert.Throws<ArgumentException>(() => new DhcpLab().NewClient(identity));
        }
    }

    private static IPv4Address Requested(SentMessage sent) =>
        sent.Message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var address) ? address : IPv4Address.Any;

    private static void AssertCommon(SentMessage sent, DhcpMessageType type, params int[] codes)
    {
        var message = sent.Message;
        Assert.Equal(type, message.Type);
        Assert.False(message.IsReply);
        Assert.Equal(0, message.Hops);
        Assert.True(message.Broadcast);
        Assert.True(message.RelayAddress.IsAny && message.YourAddress.IsAny);
        Assert.Equal(sent.Client.Identity.ChAddr, message.HardwareAddress);
        Assert.Equal(codes.Order(), message.Options.Codes.Select(code => (int)code).Order());
        Assert.True(message.Options.TryGet(DhcpOptionCode.ParameterRequestList, out var list));
        Assert.Equal(RequestList, list.ToArray());
        Assert.True(message.Options.TryGet(DhcpOptionCode.MaximumMessageSize, out var size));
        Assert.Equal([5, 192], size.ToArray());
        Assert.True(message.Options.TryGet(DhcpOptionCode.ClientId, out var clientId));
        Assert.Equal(sent.Client.Identity.ClientId.ToArray(), clientId.ToArray());
        Assert.Equal(sent.Client.Identity.Hostname, message.Options.GetText(DhcpOptionCode.HostName));
    }
}
