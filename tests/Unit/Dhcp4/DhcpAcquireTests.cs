using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>From nothing to a lease: retransmission, refusal, loss.</summary>
public sealed class DhcpAcquireTests
{
    [Fact]
    public void Acquire_discovers_requests_and_binds()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal([DhcpMessageType.Discover, DhcpMessageType.Request], lab.Sent.Select(sent => sent.Message.Type));
        Assert.Equal(["Idle>Selecting", "Selecting>Requesting", "Requesting>Bound", "bound 10.77.0.100"], lab.Timeline.Select(entry => entry.Event));
        var lease = client.Lease!;
        Assert.Equal(lab.Sent[1].At, lease.ObtainedAt);
        Assert.Equal(lease.ObtainedAt + TimeSpan.FromSeconds(600), lease.ExpiresAt);
        Assert.Equal((24, "10.77.0.1", "02:00:00:00:00:fe"), (lease.PrefixLength, lease.Router.ToString(), lease.ServerMac.ToString()));
        Assert.True(lease.Verified);
        Assert.Equal("10.77.0.0/24", lease.Network.ToString());
    }

    [Fact]
    public void Discover_is_repeated_after_4_8_16_32_64_64_seconds_give_or_take_one()
    {
        var lab = new DhcpLab(new FakeDhcpServer { IsSilent = true });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromMinutes(6));
        double[] expected = [4, 8, 16, 32, 64, 64, 64, 64];
        Assert.Equal(expected.Length, lab.Sent.Count - 1);
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange((lab.Sent[i + 1].At - lab.Sent[i].At).TotalSeconds, expected[i] - 1, expected[i] + 1);
        Assert.Single(lab.Sent.Select(sent => sent.Message.TransactionId).Distinct());
        Assert.All(lab.Sent, sent => Assert.Equal((int)(sent.At - lab.Sent[0].At).TotalSeconds, sent.Message.Seconds));
        Assert.Equal("no OFFER from any server (9 DISCOVERs)", client.Attempt!.Describe());
        Assert.Equal(9, client.Attempt.UnansweredDiscovers);
    }

    [Fact]
    public void Retransmission_scales_with_its_first_pause()
    {
        var lab = new DhcpLab(new FakeDhcpServer { IsSilent = true });
        lab.NewClient(DhcpClientSettings.Default with { RetransmitAfter = TimeSpan.FromMilliseconds(100) }).Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromSeconds(10));
        double[] expected = [0.1, 0.2, 0.4, 0.8, 1.6, 1.6];
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange((lab.Sent[i + 1].At - lab.Sent[i].At).TotalSeconds, expected[i] - 0.025, expected[i] + 0.025);
    }

    [Fact]
    public void An_unanswered_request_is_sent_four_times_and_then_the_client_starts_over()
    {
        var lab = new DhcpLab(new FakeDhcpServer { Script = (request, _) => request.Type == DhcpMessageType.Request ? [] : null });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.RunUntil(() => lab.SentCount(DhcpMessageType.Discover) == 2, lab.Now + TimeSpan.FromMinutes(5));
        Assert.Equal(4, lab.SentCount(DhcpMessageType.Request));
        Assert.InRange((lab.Sent[^1].At - lab.Sent[0].At).TotalSeconds, 56, 64);
        Assert.NotEqual(lab.Sent[0].Message.TransactionId, lab.Sent[^1].Message.TransactionId);
        Assert.Equal(lab.Sent[0].Message.TransactionId, lab.Sent[^2].Message.TransactionId);
        Assert.Equal("10.77.0.1 offered 10.77.0.100, but did not confirm it (4 REQUESTs)", client.Attempt!.Describe());
    }

    [Fact]
    public void Naks_while_requesting_start_over_at_once_and_then_after_1_2_4_seconds()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        lab.Servers[0].Script = (request, _) =>
            request.Type == DhcpMessageType.Request ? [lab.Servers[0].Reply(request, DhcpMessageType.Nak, default)] : null;
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromMinutes(10));
        var discovers = lab.Sent.Where(sent => sent.Message.Type == DhcpMessageType.Discover).Select(sent => sent.At).ToList();
        double[] expected = [0, 1, 2, 4, 8, 16, 32, 60, 60];
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange((discovers[i + 1] - discovers[i]).TotalSeconds, expected[i], expected[i] + 0.1);
        Assert.Contains("then refused it", client.Attempt!.Describe());

        lab.Servers[0].Script = null;
        lab.Run(TimeSpan.FromMinutes(2));
        Assert.Equal(DhcpClientState.Bound, client.State);
    }

    [Fact]
    public void Case42_a_hundred_clients_acquire_through_loss_duplication_and_reordering()
    {
        var lab = new DhcpLab(new FakeDhcpServer()) { Loss = 0.3, Duplication = 0.1, Reordering = 0.1 };
        var clients = Enumerable.Range(1, 100).Select(number => lab.NewClient(number: number)).ToList();
        foreach (var client in clients)
            client.Acquire(lab.Now, null);
        Assert.True(lab.RunUntil(() => clients.TrueForAll(client => client.Lease is not null), lab.Now + TimeSpan.FromMinutes(20)));
        Assert.Equal(100, clients.Select(client => client.Lease!.Address).Distinct().Count());
        foreach (var client in clients)
        {
            var lease = client.Lease!;
            var first = lab.Sent.Last(sent => sent.Client == client && sent.Message.Type == DhcpMessageType.Request && sent.At == lease.ObtainedAt);
            Assert.Equal(first.At + TimeSpan.FromSeconds(600), lease.ExpiresAt);
            Assert.Equal(client.Identity.ChAddr, lab.Servers[0].Leases.Single(held => held.Value == lease.Address).Key);
        }
    }

    [Fact]
    public void Case42_a_lossy_network_loses_no_lease_in_a_day()
    {
        var lab = new DhcpLab(new FakeDhcpServer()) { Loss = 0.05, Duplication = 0.1, Reordering = 0.1 };
        var clients = Enumerable.Range(1, 10).Select(number => lab.NewClient(number: number)).ToList();
        foreach (var client in clients)
            client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromHours(24));
        Assert.All(clients, client => Assert.NotNull(client.Lease));
        Assert.DoesNotContain(lab.Events, entry => entry.StartsWith("lost", StringComparison.Ordinal));
    }

    [Fact]
    public void A_lease_counts_from_the_first_transmission_that_may_have_been_granted()
    {
        int requests = 0;
        var lab = new DhcpLab(new FakeDhcpServer { Script = (request, _) => request.Type == DhcpMessageType.Request && ++requests < 3 ? [] : null });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromMinutes(1));
        var first = lab.Sent.First(sent => sent.Message.Type == DhcpMessageType.Request);
        Assert.Equal(3, lab.SentCount(DhcpMessageType.Request));
        Assert.Equal(first.At, client.Lease!.ObtainedAt);
    }

    [Fact]
    public void A_lease_that_is_over_before_its_ack_comes_is_asked_for_again()
    {
        int requests = 0;
        var lab = new DhcpLab(new FakeDhcpServer { LeaseSeconds = 10, Script = (request, _) => request.Type == DhcpMessageType.Request && ++requests < 3 ? [] : null });
        var client = lab.NewClient();
        client.Acquire(lab.Now, null);
        lab.RunUntil(() => client.State == DhcpClientState.Bound, lab.Now + TimeSpan.FromMinutes(1));
        Assert.Equal(2, lab.SentCount(DhcpMessageType.Discover));
        Assert.True(client.Lease!.ExpiresAt > lab.Now + TimeSpan.FromSeconds(9));
    }

    [Fact]
    public void An_exhausted_server_is_silent_and_the_next_free_address_is_taken_within_64_seconds()
    {
        var lab = new DhcpLab(new FakeDhcpServer { First = IPv4Address.Parse("10.77.0.100"), Last = IPv4Address.Parse("10.77.0.100") });
        var holder = lab.NewBoundClient();
        var waiting = lab.NewClient(number: 2);
        waiting.Acquire(lab.Now, null);
        lab.Run(TimeSpan.FromMinutes(5));
        Assert.StartsWith("no OFFER from any server (", waiting.Attempt!.Describe());
        holder.Release(lab.Now, "service deleted");
        Assert.True(lab.RunUntil(() => waiting.State == DhcpClientState.Bound, lab.Now + TimeSpan.FromSeconds(68)));
    }

    [Fact]
    public void Transaction_ids_are_unique_among_the_outstanding()
    {
        var lab = new DhcpLab();
        for (int number = 1; number <= 1000; number++)
            lab.NewClient(number: number).Acquire(lab.Now, null);
        Assert.Equal(1000, lab.Ids.Count);
        Assert.Equal(1000, lab.Sent.Select(sent => sent.Message.TransactionId).Distinct().Count());
    }

    [Fact]
    public void Acquire_and_Resume_need_an_idle_client()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        Assert.Throws<InvalidOperationException>(() => client.Acquire(lab.Now, null));
        Assert.Throws<InvalidOperationException>(() => client.Resume(client.Lease!, lab.Now));
        client.Abandon();
        Assert.Equal((DhcpClientState.Idle, null, null), (client.State, client.Lease, client.NextDeadline));
        client.Acquire(lab.Now, null);
    }
}
