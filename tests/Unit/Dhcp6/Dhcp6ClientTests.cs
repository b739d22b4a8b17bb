using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;
using static DynamicLb.Tests.Unit.Dhcp6.Dhcp6Lab;

namespace DynamicLb.Tests.Unit.Dhcp6;

public sealed class Dhcp6ClientTests
{
    [Fact]
    public void Case51_four_messages_get_a_lease_that_counts_from_the_request()
    {
        var lab = new Dhcp6Lab(name: "web-demo") { Answer = Usual };
        lab.Client.Acquire(lab.Now, null);
        lab.Run(4);
        Assert.Equal([Dhcp6MessageType.Solicit, Dhcp6MessageType.Request], lab.Sent.Select(sent => sent.Message.Type));
        Assert.Equal(["bound fd77::1:0"], lab.Events);
        Assert.NotEqual(lab.Sent[0].Message.TransactionId, lab.Last.TransactionId);
        Assert.Equal(Server, lab.Last.ServerId);
        Assert.Equal("0108" + Convert.ToHexString("web-demo"u8), Convert.ToHexString(lab.Last.Fqdn.Span));
        Assert.Equal((ushort)0, lab.Last.ElapsedTime);
        var lease = lab.Client.Lease!;
        var at = lab.Sent[1].At;
        Assert.Equal((at + TimeSpan.FromSeconds(150), at + TimeSpan.FromSeconds(240), at + TimeSpan.FromSeconds(600)), (lease.T1, lease.T2, lease.ExpiresAt));
    }

    [Fact]
    public void Case51_rapid_commit_counts_in_a_reply_but_not_in_an_advertise()
    {
        var lab = new Dhcp6Lab(NoDelay with { RapidCommit = true });
        lab.Client.Acquire(lab.Now, null);
        Assert.True(lab.Last.RapidCommit);
        var advertise = Reply(lab.Last, Dhcp6MessageType.Advertise, Granted());
        advertise.RapidCommit = true;
        Assert.Equal(Dhcp6DropReason.None, lab.Receive(advertise));
        Assert.Equal(Dhcp6ClientState.Soliciting, lab.Client.State);
        var reply = Reply(lab.Last, Dhcp6MessageType.Reply, Granted());
        Assert.Equal(Dhcp6DropReason.WrongState, lab.Receive(reply));
        reply.RapidCommit = true;
        Assert.Equal(Dhcp6DropReason.None, lab.Receive(reply));
        Assert.Equal(["bound fd77::1:0"], lab.Events);
    }

    [Fact]
    public void The_highest_preference_is_chosen_and_255_ends_the_collecting()
    {
        var lab = new Dhcp6Lab(NoDelay);
        lab.Client.Acquire(lab.Now, null);
        lab.Receive(Reply(lab.Last, Dhcp6MessageType.Advertise, Granted()));
        var better = Reply(lab.Last, Dhcp6MessageType.Advertise, Granted(Second));
        better.ServerId = OtherServer;
        better.Preference = 5;
        lab.Receive(better);
        Assert.Equal(Dhcp6ClientState.Soliciting, lab.Client.State);
        lab.Run(1.2);
        Assert.Equal((Dhcp6MessageType.Request, OtherServer), (lab.Last.Type, lab.Last.ServerId));

        lab = new Dhcp6Lab(NoDelay);
        lab.Client.Acquire(lab.Now, null);
        better.TransactionId = lab.Last.TransactionId;
        better.Preference = 255;
        lab.Receive(better);
        Assert.Equal(Dhcp6MessageType.Request, lab.Last.Type);
    }

    [Fact]
    public void Solicits_follow_the_standard_rhythm_and_obey_sol_max_rt()
    {
        var lab = new Dhcp6Lab(NoDelay);
        lab.Answer = question =>
        {
            var none = Reply(question, Dhcp6MessageType.Advertise, Failed(Dhcp6StatusCode.NoAddrsAvail));
            none.SolMaxRt = 60;
            return none;
        };
        lab.Client.Acquire(lab.Now, null);
        lab.Run(600);
        var pauses = lab.Sent.Zip(lab.Sent.Skip(1), (one, next) => (next.At - one.At).TotalSeconds).ToArray();
        Assert.InRange(pauses[0], 1, 1.1);
        for (int i = 1; i < pauses.Length; i++)
            Assert.InRange(pauses[i], Math.Min(1.9 * pauses[i - 1], 53.9), Math.Min(2.1 * pauses[i - 1], 66.1));
        Assert.InRange(pauses[^1], 53.9, 66.1);
        Assert.Single(lab.Sent.Select(sent => sent.Message.TransactionId).Distinct());
        Assert.True(lab.Client.Attempt!.IsExhausted);
        Assert.Contains("NoAddrsAvail", lab.Client.Attempt.Describe(), StringComparison.Ordinal);
    }

    [Fact]
    public void Case51_no_addresses_in_the_reply_to_a_request_is_tried_again_later_and_later()
    {
        var lab = new Dhcp6Lab(NoDelay with { TakeFirstAdvertise = true });
        lab.Answer = question => question.Type == Dhcp6MessageType.Solicit
            ? Usual(question) : Reply(question, Dhcp6MessageType.Reply, Failed(Dhcp6StatusCode.NoAddrsAvail));
        lab.Client.Acquire(lab.Now, null);
        lab.Run(300);
        Assert.InRange(lab.Count(Dhcp6MessageType.Request), 6, 14);
        Assert.True(lab.Client.Attempt!.IsExhausted);
        Assert.Empty(lab.Events);
    }

    [Fact]
    public void A_request_is_sent_ten_times_before_the_search_starts_over()
    {
        var lab = new Dhcp6Lab(NoDelay) { Answer = question => question.Type == Dhcp6MessageType.Solicit ? Usual(question) : null };
        lab.Client.Acquire(lab.Now, null);
        lab.Run(1.2);
        lab.Answer = _ => null;
        lab.Run(400);
        Assert.Equal(10, lab.Count(Dhcp6MessageType.Request));
        Assert.Equal(Dhcp6ClientState.Soliciting, lab.Client.State);
    }

    [Fact]
    public void Case51_answers_of_others_are_dropped()
    {
        var lab = new Dhcp6Lab(NoDelay with { AllowedServers = [IPv6Network.Parse("fe80::/64")] });
        lab.Client.Acquire(lab.Now, null);
        var good = Reply(lab.Last, Dhcp6MessageType.Advertise, Granted());
        good.ClientId = OtherServer;
        Assert.Equal(Dhcp6DropReason.OtherClientId, lab.Receive(good));
        good.ClientId = default;
        Assert.Equal(Dhcp6DropReason.OtherClientId, lab.Receive(good));
        good.ClientId = Duid;
        good.ServerId = default;
        Assert.Equal(Dhcp6DropReason.NoServerId, lab.Receive(good));
        good.ServerId = Server;
        Assert.Equal(Dhcp6DropReason.RogueServer, lab.Receive(good, IPv6Address.Parse("fe80:0:0:1::1")));
        good.TransactionId ^= 1;
        Assert.Equal(Dhcp6DropReason.UnknownTransaction, lab.Receive(good));
        good.TransactionId ^= 1;
        good.Type = Dhcp6MessageType.Reconfigure;
        Assert.Equal(Dhcp6DropReason.UnexpectedMessageType, lab.Receive(good));
        good.Type = Dhcp6MessageType.Advertise;
        good.Preference = 255;
        lab.Receive(good);
        var reply = Reply(lab.Last, Dhcp6MessageType.Reply, Granted());
        reply.ServerId = OtherServer;
        Assert.Equal(Dhcp6DropReason.OtherServer, lab.Receive(reply));
        Assert.Empty(lab.Events);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Case51_a_server_that_never_knew_the_lease_cannot_end_it_while_its_own_is_silent(bool answersRequests)
    {
        var lab = new Dhcp6Lab().Bind();
        // Its own server is down; another says that it has no binding, and refuses the address, or is silent.
        lab.Answer = question => question.Type switch
        {
            Dhcp6MessageType.Rebind => Foreign(question, Dhcp6Lab.Failed(Dhcp6StatusCode.NoBinding)),
            Dhcp6MessageType.Request when answersRequests => Foreign(question, Dhcp6Lab.Failed(Dhcp6StatusCode.NoAddrsAvail)),
            _ => null,
        };
        lab.Run(550);
        Assert.Equal(Dhcp6Lab.First, lab.Client.Lease!.Address);
        Assert.Equal(0, lab.Count(Dhcp6MessageType.Solicit));
        Assert.InRange(lab.Count(Dhcp6MessageType.Request), 1, 60);
        Assert.Empty(lab.Events);
        // It comes back in time.
        lab.Answer = Dhcp6Lab.Usual;
        lab.Run(45);
        Assert.Equal(["renewed fd77::1:0"], lab.Events);

        static Dhcp6Message Foreign(Dhcp6Message question, Dhcp6Association association)
        {
            var reply = Dhcp6Lab.Reply(question, Dhcp6MessageType.Reply, association);
            reply.ServerId = Dhcp6Lab.OtherServer;
            return reply;
        }
    }

    [Fact]
    public void Of_equal_offers_the_one_with_the_address_that_is_asked_for_is_taken()
    {
        var lab = new Dhcp6Lab();
        lab.Client.Acquire(lab.Now, Dhcp6Lab.First);
        lab.Run(1);
        var other = Dhcp6Lab.Reply(lab.Last, Dhcp6MessageType.Advertise, Dhcp6Lab.Granted(Dhcp6Lab.Second));
        other.ServerId = Dhcp6Lab.OtherServer;
        lab.Receive(other);
        lab.Receive(Dhcp6Lab.Reply(lab.Last, Dhcp6MessageType.Advertise, Dhcp6Lab.Granted()));
        lab.Receive(other);
        lab.Answer = Dhcp6Lab.Usual;
        lab.Run(2);
        Assert.Equal(["bound fd77::1:0"], lab.Events);
    }

    [Theory]
    [InlineData(300, 200, 300, 600)]
    [InlineData(0, 0, 601, 600)]
    [InlineData(0, 0, 3, 3)]
    public void Case51_contradicting_or_too_short_lifetimes_are_not_taken(uint t1, uint t2, uint preferred, uint valid)
    {
        var lab = new Dhcp6Lab(NoDelay);
        lab.Client.Acquire(lab.Now, null);
        Assert.Equal(Dhcp6DropReason.BadLifetimes, lab.Receive(Reply(lab.Last, Dhcp6MessageType.Advertise, Granted(null, t1, t2, preferred, valid))));
    }

    [Fact]
    [Trait("Fault", "A13")]
    public void Case51_renewal_asks_the_server_at_T1_and_extends()
    {
        var lab = new Dhcp6Lab().Bind();
        lab.Run(160);
        Assert.Equal((Dhcp6MessageType.Renew, Server), (lab.Last.Type, lab.Last.ServerId));
        Assert.Equal(["renewed fd77::1:0"], lab.Events);
        Assert.Equal(lab.Sent[0].At + TimeSpan.FromSeconds(600), lab.Client.Lease!.ExpiresAt);
    }

    [Fact]
    public void Case51_silence_leads_from_renew_to_rebind_to_loss_at_the_end_exactly()
    {
        var lab = new Dhcp6Lab().Bind();
        var lease = lab.Client.Lease!;
        lab.Answer = _ => null;
        lab.Run(236 - (lab.Now - lease.ObtainedAt).TotalSeconds);
        Assert.Equal(Dhcp6ClientState.Renewing, lab.Client.State);
        Assert.InRange(lab.Count(Dhcp6MessageType.Renew), 3, 5);
        lab.Run(599.9 - (lab.Now - lease.ObtainedAt).TotalSeconds);
        Assert.Equal(Dhcp6ClientState.Rebinding, lab.Client.State);
        Assert.True(lab.Last.ServerId.IsEmpty);
        Assert.Empty(lab.Events);
        lab.Run(0.2);
        Assert.Equal(["lost fd77::1:0 Expired"], lab.Events);
        Assert.Equal((Dhcp6MessageType.Solicit, First), (lab.Last.Type, lab.Last.Associations[0].Addresses[0].Address));
        lab.Answer = Usual;
        lab.Run(10);
        Assert.Equal("recovered fd77::1:0", lab.Events[^1]);
    }

    [Fact]
    public void Case51_no_binding_on_renew_is_answered_by_a_request_for_the_same_address()
    {
        var lab = new Dhcp6Lab().Bind();
        lab.Answer = question => question.Type == Dhcp6MessageType.Renew
            ? Reply(question, Dhcp6MessageType.Reply, Failed(Dhcp6StatusCode.NoBinding)) : Usual(question);
        lab.Run(160);
        Assert.Equal([Dhcp6MessageType.Renew, Dhcp6MessageType.Request], lab.Sent.Select(sent => sent.Message.Type));
        Assert.Equal(First, lab.Last.Associations[0].Addresses[0].Address);
        Assert.Equal(["renewed fd77::1:0"], lab.Events);
    }

    [Fact]
    public void A_foreign_server_cannot_end_a_lease_while_rebinding_and_its_no_binding_waits_for_others()
    {
        var lab = new Dhcp6Lab().Bind();
        lab.Answer = _ => null;
        lab.Run(245);
        Assert.Equal(Dhcp6ClientState.Rebinding, lab.Client.State);
        var ended = Reply(lab.Last, Dhcp6MessageType.Reply, Granted(preferred: 0, valid: 0));
        ended.ServerId = OtherServer;
        Assert.Equal(Dhcp6DropReason.ForeignDenial, lab.Receive(ended));
        var unknown = Reply(lab.Last, Dhcp6MessageType.Reply, Failed(Dhcp6StatusCode.NoBinding));
        unknown.ServerId = OtherServer;
        lab.Receive(unknown);
        Assert.Equal(Dhcp6ClientState.Rebinding, lab.Client.State);
        lab.Receive(Reply(lab.Last, Dhcp6MessageType.Reply, Granted()));
        Assert.Equal(["renewed fd77::1:0"], lab.Events);
    }

    [Fact]
    public void A_valid_lifetime_of_zero_ends_the_lease_or_moves_it_to_another_address()
    {
        var lab = new Dhcp6Lab().Bind();
        lab.Answer = question => question.Type == Dhcp6MessageType.Renew ? Reply(question, Dhcp6MessageType.Reply, Granted(preferred: 0, valid: 0)) : null;
        lab.Run(160);
        Assert.Equal(["lost fd77::1:0 Refused"], lab.Events);

        lab = new Dhcp6Lab().Bind();
        lab.Answer = question => Reply(question, Dhcp6MessageType.Reply, new Dhcp6Association(1, 0, 0, [new(First, 0, 0), new(Second, 300, 600)]));
        lab.Run(160);
        Assert.Equal(["changed fd77::1:0 fd77::1:1"], lab.Events);
    }

    [Fact]
    public void A_second_address_is_given_back_and_a_refused_one_too()
    {
        var lab = new Dhcp6Lab(NoDelay) { Refuse = address => address == First ? "outside" : null };
        lab.Answer = question => question.Type switch
        {
            Dhcp6MessageType.Solicit => Reply(question, Dhcp6MessageType.Advertise, Granted(Second)),
            Dhcp6MessageType.Request => Reply(question, Dhcp6MessageType.Reply, new Dhcp6Association(1, 0, 0, [new(First, 300, 600), new(Second, 300, 600)])),
            _ => null,
        };
        lab.Client.Acquire(lab.Now, null);
        lab.Run(2);
        Assert.Equal(["bound fd77::1:1"], lab.Events);
        Assert.Equal((Dhcp6MessageType.Release, First), (lab.Last.Type, lab.Last.Associations[0].Addresses[0].Address));
    }

    [Fact]
    public void Case51_a_duplicate_is_declined_and_never_taken_again()
    {
        var lab = new Dhcp6Lab(NoDelay with { DuplicateDetection = TimeSpan.FromSeconds(1) }) { Answer = Usual };
        lab.Client.Acquire(lab.Now, null);
        lab.Run(1.2);
        Assert.Equal(["detect fd77::1:0"], lab.Events);
        Assert.Null(lab.Client.Lease);
        lab.Answer = question => question.Type switch
        {
            Dhcp6MessageType.Solicit => Reply(question, Dhcp6MessageType.Advertise, Granted(Second)),
            Dhcp6MessageType.Request => Reply(question, Dhcp6MessageType.Reply, Granted(Second)),
            _ => Usual(question),
        };
        lab.Client.ReportConflict(First, lab.Now);
        Assert.Equal((Dhcp6MessageType.Decline, Server), (lab.Last.Type, lab.Last.ServerId));
        lab.Run(10);
        Assert.Equal(["detect fd77::1:0", "conflict fd77::1:0", "detect fd77::1:1", "bound fd77::1:1"], lab.Events);
    }

    [Fact]
    public void A_lease_without_end_is_confirmed_now_and_then_and_never_lost()
    {
        var lab = new Dhcp6Lab(NoDelay);
        lab.Answer = question => question.Type == Dhcp6MessageType.Solicit ? Usual(question)
            : Reply(question, Dhcp6MessageType.Reply, Granted(preferred: uint.MaxValue, valid: uint.MaxValue));
        lab.Client.Acquire(lab.Now, null);
        lab.Run(2);
        lab.Answer = _ => null;
        lab.Sent.Clear();
        lab.Run(3 * 86_400);
        Assert.Null(lab.Client.Lease!.ExpiresAt);
        Assert.InRange(lab.Count(Dhcp6MessageType.Renew), 8, 12);
    }

    [Fact]
    public void Unanswered_renewals_are_counted_until_one_is_granted()
    {
        var lab = new Dhcp6Lab().Bind();
        lab.Answer = _ => null;
        lab.Run(200);
        Assert.Equal(lab.Sent.Count, lab.Client.UnansweredRenewals);
        Assert.True(lab.Client.UnansweredRenewals >= 2);
        lab.Receive(Reply(lab.Last, Dhcp6MessageType.Reply, Granted()));
        Assert.Equal(0, lab.Client.UnansweredRenewals);
    }
}
