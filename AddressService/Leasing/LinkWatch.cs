using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Metrics;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Watches the interfaces that are leased on: says when one goes and comes, and has its leases verified when it is back.</summary>
internal sealed partial class LinkWatch : BackgroundService
{
    private readonly DhcpLinks _links;
    private readonly ILogger<LinkWatch> _logger;

    public LinkWatch(DhcpLinks links, LeaseLoop loop, LeaseMetrics metrics, ILogger<LinkWatch> logger)
    {
        _links = links;
        _logger = logger;
        for (int i = 0; i < links.Items.Count; i++)
        {
            if (links.Items[i].Channel is { } channel)
                Watch(links.Items[i].Name, channel, i, loop, metrics);
            if (links.Items[i] is { Prober: null, Channel: null, Options: { Transport: TransportMode.Relay, ProbeTiming: not null } })
                Log.CannotProbe(_logger, links.Items[i].Name);
        }
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => _links.Monitor.RunAsync(stoppingToken);

    private void Watch(string name, FollowingLinkChannel channel, int index, LeaseLoop loop, LeaseMetrics metrics)
    {
        channel.Gone += cause =>
        {
            metrics.Link(name, false);
            Log.Gone(_logger, name, cause);
        };
        channel.Returned += () =>
        {
            metrics.Link(name, true);
            Log.Returned(_logger, name, channel.Link.Index);
            loop.LinkReturned(index);
        };
        metrics.Link(name, channel.IsUp);
        if (channel.IsUp)
            Log.Watching(_logger, name, channel.Link.Name, channel.Link.Mac);
        else
            Log.Gone(_logger, name, $"there is no interface {channel.Link.Name}");
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "Leasing on {Interface}: device {Device}, hardware address {Mac}")]
        public static partial void Watching(ILogger logger, string @interface, string device, Networking.Addresses.MacAddress mac);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{Interface}: addresses are not looked for before their first use, for ICMP is not allowed: it takes the capability NET_RAW, or a group within net.ipv4.ping_group_range")]
        public static partial void CannotProbe(ILogger logger, string @interface);

        [LoggerMessage(Level = LogLevel.Error, Message = "{Interface} cannot carry DHCP now: {Cause}. Leases stand until they end.")]
        public static partial void Gone(ILogger logger, string @interface, string cause);

        [LoggerMessage(Level = LogLevel.Information, Message = "{Interface} (index {Index}) is back: all its leases are verified")]
        public static partial void Returned(ILogger logger, string @interface, int index);
    }
}
