using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text.RegularExpressions;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Lab.Networks;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Status;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>What a speaker with many addresses makes of ARP: how many requests it answers, what each leaves to the garbage collector, and how long it takes beside the kernel.</summary>
internal static class NeighborBenchmark
{
    private const int Addresses = 10_000;

    // Requests under way at once: less than a socket's buffer holds.
    private const int Window = 32;

    private static readonly IPv4Address First = IPv4Address.Parse("10.64.0.0");

    private static readonly BpfProgram Replies = new(
        ArpPacket.EtherType, BpfInstruction.LoadHalf(20), BpfInstruction.JumpIfEqual((uint)ArpOperation.Reply, 0, 1), BpfInstruction.Return(256), BpfInstruction.Return(0));

    public static Benchmark Benchmark { get; } = new("neighbors", "ARP requests answered by one speaker with 10,000 addresses", NeedsRoot: true, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        await using var network = await LabNetwork.CreateAsync(cancellationToken);
        var node = await network.AddHostAsync("node", 11, cancellationToken);
        var client = await network.AddHostAsync("client", 3, cancellationToken);
        var table = new AnnouncementTable(TimeProvider.System);
        table.Replace(Enumerable.Range(0, Addresses).ToDictionary(static i => (HostAddress)new IPv4Address(First.Value + (uint)i), static _ => (DateTimeOffset?)null));
        using var meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var options = new SpeakerOptions(
            new KubernetesProgramSettings("none", null, null, "", "http://127.0.0.1:0", LogLevel.None), "node", new Regex("^$", RegexOptions.ExplicitCapture, Regex.InfiniteMatchTimeout), false,
            TimeSpan.FromSeconds(3), null, TimeSpan.FromMilliseconds(100));
        var metrics = new SpeakerMetrics(
            meters.GetRequiredService<IMeterFactory>(), options, new ConfigFileWatcher("none", TimeProvider.System, NullLogger<ConfigFileWatcher>.Instance));
        var context = new ResponderContext(table, new PauseGuard(TimeProvider.System, TimeSpan.FromHours(1)), metrics, TimeProvider.System);
        await using var responder = new Responder(ArpProtocol.Instance, Open(node, ArpPacket.ResponderFilter), context, NullLogger.Instance);
        responder.Start();
        await using var asker = new Asker(Open(client, Replies));

        await asker.AskAsync(report.IsShort ? 2000 : 50_000, Window, cancellationToken);
        long bytes = GC.GetTotalAllocatedBytes(precise: true);
        int count = report.IsShort ? 100_000 : 500_000;
        var watch = Stopwatch.StartNew();
        await asker.AskAsync(count, Window, cancellationToken);
        watch.Stop();
        bytes = GC.GetTotalAllocatedBytes(precise: true) - bytes;
        report.Tell("requests answered, the asker on the same processors", $"{Report.Number(count / watch.Elapsed.TotalSeconds, "0")} a second");
        report.Require("allocated for a request, answer and asker included", $"{Report.Number((double)bytes / count)} bytes", "less than 8: the smallest object has 24", bytes < 8L * count);

        int rounds = report.IsShort ? 500 : 10_000;
        var (ours, kernel) = (new List<double>(rounds), new List<double>(rounds));
        var kernels = IPv4Address.Parse("10.20.0.11");
        for (int i = 0; i < rounds; i++)
        {
            kernel.Add(await asker.MeasureAsync(kernels, cancellationToken));
            ours.Add(await asker.MeasureAsync(new IPv4Address(First.Value + (uint)(i % Addresses)), cancellationToken));
        }
        report.Tell("answer of the kernel, median and 99 of 100", $"{At(kernel, 0.5)} and {At(kernel, 0.99)} µs");
        report.Time(
            "answer of the speaker, median and 99 of 100", $"{At(ours, 0.5)} and {At(ours, 0.99)} µs", "1 ms beyond the kernel's median",
            ours.Order().ElementAt(rounds / 2) < kernel.Order().ElementAt(rounds / 2) + 1000);
    }

    private static PacketLinkChannel Open(LabHost host, BpfProgram filter) =>
        host.Namespace.Inside(() => PacketLinkChannel.Open(NetworkInterfaces.TryRead("eth0")!.Link, filter));

    private static string At(List<double> values, double share) => Report.Number(values.Order().ElementAt((int)((values.Count - 1) * share)), "0");

    /// <summary>Asks for addresses as neighbours do, and leaves nothing to the garbage collector either.</summary>
    private sealed class Asker(PacketLinkChannel channel) : IAsyncDisposable
    {
        private readonly byte[] _request = new byte[ArpPacket.FrameLength];
        private readonly byte[] _reply = new byte[256];
        private readonly IPv4Address _own = IPv4Address.Parse("10.20.0.3");

        public async Task AskAsync(int count, int window, CancellationToken cancellationToken)
        {
            int sent = 0, heard = 0;
            while (heard < count)
            {
                while (sent < count && sent - heard < window)
                    await SendAsync(new IPv4Address(First.Value + (uint)(sent++ % Addresses)), cancellationToken);
                await channel.ReceiveAsync(_reply, cancellationToken);
                heard++;
            }
        }

        /// <summary>Microseconds from the request to its answer.</summary>
        public async Task<double> MeasureAsync(IPv4Address address, CancellationToken cancellationToken)
        {
            long start = Stopwatch.GetTimestamp();
            await SendAsync(address, cancellationToken);
            do
                await channel.ReceiveAsync(_reply, cancellationToken);
            while (!ArpPacket.TryParse(_reply, out _, out var packet) || packet.SenderAddress != address);
            return Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        public ValueTask DisposeAsync() => channel.DisposeAsync();

        private ValueTask SendAsync(IPv4Address address, CancellationToken cancellationToken)
        {
            new ArpPacket(ArpOperation.Request, channel.Link.Mac, _own, MacAddress.Zero, address).Write(_request, channel.Link.Mac, MacAddress.Broadcast);
            return channel.SendAsync(_request, cancellationToken);
        }
    }
}
