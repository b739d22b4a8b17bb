using System.Net.Sockets;
using System.Threading.Channels;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Replicas;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.SelfTest;

/// <summary>What a self-test needs of one interface.</summary>
internal interface ISelfTestLink
{
    /// <summary>Its configured name.</summary>
    string Name { get; }

    /// <summary>Its own hardware address.</summary>
    MacAddress Mac { get; }

    /// <summary>The mode in force, of <see cref="SelfTestModes"/>.</summary>
    string Configured { get; }

    /// <summary>Whether its settings let frames come from one MAC alone.</summary>
    bool HasOneMac { get; }

    /// <summary>Whether there are servers to relay to.</summary>
    bool HasRelay { get; }

    /// <summary>How clients on it behave.</summary>
    DhcpClientSettings Settings { get; }

    /// <summary>Option 60; null for none.</summary>
    string? VendorClass { get; }

    /// <summary>A transport for a test, to be disposed after it.</summary>
    /// <exception cref="SocketException">It cannot be opened.</exception>
    /// <exception cref="UnusableException">There is no address to relay from.</exception>
    IDhcpTransport Open(string mode);

    /// <summary>The addresses of this host itself.</summary>
    IReadOnlySet<IPv4Address> OwnAddresses();

    /// <summary>Why an address must not be leased on it, or null.</summary>
    string? Refuse(IPv4Address address);
}

/// <summary>The interfaces that can be tested.</summary>
internal interface ISelfTestLinks
{
    /// <summary>Their names.</summary>
    IReadOnlyList<string> Names { get; }

    /// <param name="name">A configured name; null for the first.</param>
    ISelfTestLink? Find(string? name);
}

/// <summary>
/// Tries each way to lease on an interface with a throw-away identity: takes a lease, gives it back, says what that means. Existing leases are not
/// touched: what one of them holds is neither requested nor released. One test at a time. Thread-safe.
/// </summary>
internal sealed class SelfTestRunner(LeaseLoop loop, Leadership leadership, DhcpRandom random, TimeProvider time)
{
    private int _running;
    private volatile SelfTestAnswer? _last;

    /// <summary>The last result since the start, or null.</summary>
    public SelfTestAnswer? Last => _last;

    /// <summary>Runs a test.</summary>
    /// <param name="link">Where.</param>
    /// <param name="asked">The modes that were named; null for all that harm nothing: not the one with a second MAC where there is to be one.</param>
    /// <param name="timeout">How long each answer is waited for.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Null while another one runs.</returns>
    public async Task<SelfTestAnswer?> RunAsync(ISelfTestLink link, IReadOnlyList<string>? asked, TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (Interlocked.CompareExchange(ref _running, 1, 0) != 0)
            return null;
        var modes = asked ?? SelfTestModes.All;
        try
        {
            var started = time.GetUtcNow();
            long began = time.GetTimestamp();
            var identities = await loop.InvokeAsync(static keeper => keeper.ThrowAwayIdentities(), cancellationToken);
            var ours = new Dictionary<IPv4Address, bool>(await loop.InvokeAsync(static keeper => keeper.HeldAddresses(), cancellationToken));
            foreach (var own in link.OwnAddresses())
                ours[own] = true;
            var reports = await Task.WhenAll(modes.Select(mode => TryAsync(link, mode, asked is not null, identities, ours, timeout, cancellationToken)));
            var byMode = modes.Zip(reports).ToDictionary(pair => pair.First, pair => pair.Second, StringComparer.Ordinal);
            var advice = SelfTestDiagnosis.Advise(link.Configured, byMode, out var settings);
            return _last = new SelfTestAnswer(
                AnswerStatus.Success, link.Name, started, Math.Round(time.GetElapsedTime(began).TotalSeconds, 3), link.Configured,
                [.. modes.Select(mode => Describe(mode, byMode))], advice, settings);
        }
        finally
        {
            Volatile.Write(ref _running, 0);
        }
    }

    private async Task<SelfTestReport> TryAsync(
        ISelfTestLink link, string mode, bool isAsked, ThrowAwayIdentities identities, Dictionary<IPv4Address, bool> ours, TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (mode == SelfTestModes.Relay && !link.HasRelay)
            return new SelfTestReport(SelfTestOutcome.NotTried, "no servers to relay to are configured (relay-servers)");
        if (mode == SelfTestModes.ChAddr && link.HasOneMac && !isAsked)
            return new SelfTestReport(SelfTestOutcome.NotTried, "it sends from a second MAC, and the interface is set for one (identity: client-id, or mac-budget: 1): name the mode to try it");
        IDhcpTransport transport;
        try
        {
            transport = link.Open(mode);
        }
        catch (Exception e) when (e is SocketException or UnusableException)
        {
            return new SelfTestReport(SelfTestOutcome.CannotSend, e is SocketException ? $"no packet socket on {link.Name}: {e.Message}. It takes the capability NET_RAW" : e.Message);
        }
        await using (transport)
        {
            var mac = mode == SelfTestModes.ClientId ? link.Mac : identities.Macs[mode];
            bool byClientId = mode == SelfTestModes.ClientId;
            DhcpClientIdentity Identity(ReadOnlyMemory<byte> id) => new(mac, id, null, link.VendorClass);
            var probe = new SelfTestProbe(
                Identity(byClientId ? identities.ClientIds[0] : DhcpClientIdentity.HardwareClientId(mac)), byClientId ? Identity(identities.ClientIds[1]) : null,
                link.Settings with { IsRelayed = mode == SelfTestModes.Relay },
                ours, link.Refuse, random, timeout);
            transport.Join(mac);
            try
            {
                return await RunAsync(probe, transport, cancellationToken);
            }
            finally
            {
                transport.Leave(mac);
            }
        }
    }

    private async Task<SelfTestReport> RunAsync(SelfTestProbe probe, IDhcpTransport transport, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var inbox = new Inbox();
        // Before the first message is sent, or its answer would be lost.
        var receiving = transport.RunAsync(inbox, stop.Token);
        long start = time.GetTimestamp();
        try
        {
            probe.Begin(TimeSpan.Zero);
            while (true)
            {
                await SendAsync(probe, transport, cancellationToken);
                if (probe.Report is { } report)
                    return report;
                await WaitAsync(inbox, probe.NextDeadline - time.GetElapsedTime(start), cancellationToken);
                while (inbox.TryRead(out var reply))
                    probe.Receive(reply, time.GetElapsedTime(start));
                probe.Tick(time.GetElapsedTime(start));
            }
        }
        finally
        {
            await stop.CancelAsync();
            await receiving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async ValueTask SendAsync(SelfTestProbe probe, IDhcpTransport transport, CancellationToken cancellationToken)
    {
        while (probe.Outbox.TryDequeue(out var item))
        {
            if (!leadership.MaySend(item.Message))
                continue;
            // Where a server confounds clients, one of our services may have been given the address meanwhile: it is not ours to give back then.
            var address = item.Message.ClientAddress;
            if (item.Message.Type == DhcpMessageType.Release && await loop.InvokeAsync(keeper => keeper.HeldAddresses().ContainsKey(address), cancellationToken))
                continue;
            await transport.SendAsync(item.Message, item.Destination, cancellationToken);
        }
    }

    private async Task WaitAsync(Inbox inbox, TimeSpan? until, CancellationToken cancellationToken)
    {
        if (until <= TimeSpan.Zero)
            return;
        using var timeout = new CancellationTokenSource(until ?? Timeout.InfiniteTimeSpan, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await inbox.WaitAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time is up: the probe's own deadline comes next.
        }
    }

    private static SelfTestMode Describe(string mode, Dictionary<string, SelfTestReport> reports)
    {
        var report = reports[mode];
        return new SelfTestMode(
            mode, report.Outcome, report.Detail, SelfTestDiagnosis.Cause(mode, reports), report.Address?.ToString(), report.Server?.ToString(),
            report.Took is { } took ? Math.Round(took.TotalMilliseconds, 1) : null);
    }

    private sealed class Inbox : IDhcpReceiver
    {
        // More than one exchange can use; what exceeds it is lost, as on any network.
        private readonly Channel<DhcpReply> _replies = Channel.CreateBounded<DhcpReply>(new BoundedChannelOptions(256) { FullMode = BoundedChannelFullMode.DropWrite });

        public void Received(in DhcpReply reply) => _replies.Writer.TryWrite(reply);

        public void Dropped(DhcpDropReason reason)
        {
            // The service's own receive loop counts the same frame.
        }

        public bool TryRead(out DhcpReply reply) => _replies.Reader.TryRead(out reply);

        public async ValueTask WaitAsync(CancellationToken cancellationToken) => await _replies.Reader.WaitToReadAsync(cancellationToken);
    }
}

/// <summary>Identities that no lease has.</summary>
/// <param name="Macs">By mode.</param>
/// <param name="ClientIds">Two of them.</param>
internal sealed record ThrowAwayIdentities(IReadOnlyDictionary<string, MacAddress> Macs, IReadOnlyList<ReadOnlyMemory<byte>> ClientIds);
