using DynamicLb.AddressService.Metrics;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Watches the interface that is leased on: says when it goes and comes, and has everything verified when it is back.</summary>
internal sealed partial class LinkWatch : BackgroundService
{
    private readonly DhcpLink _link;
    private readonly ILogger<LinkWatch> _logger;

    public LinkWatch(DhcpLink link, LeaseLoop loop, LeaseMetrics metrics, ILogger<LinkWatch> logger)
    {
        _link = link;
        _logger = logger;
        if (link.Channel is not { } channel)
            return;
        channel.Gone += cause =>
        {
            metrics.Link(link.Info.Name, false);
            Log.Gone(logger, link.Info.Name, cause);
        };
        channel.Returned += () =>
        {
            metrics.Link(link.Info.Name, true);
            Log.Returned(logger, link.Info.Name, link.Info.Index);
            loop.LinkReturned();
        };
        metrics.Link(link.Info.Name, true);
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken)
    {
        Log.Watching(_logger, _link.Info.Name, _link.Info.Mac);
        return _link.Monitor.RunAsync(stoppingToken);
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "Leasing on {Interface}, hardware address {Mac}")]
        public static partial void Watching(ILogger logger, string @interface, Networking.Addresses.MacAddress mac);

        [LoggerMessage(Level = LogLevel.Error, Message = "{Interface} cannot carry DHCP now: {Cause}. Leases stand until they end.")]
        public static partial void Gone(ILogger logger, string @interface, string cause);

        [LoggerMessage(Level = LogLevel.Information, Message = "{Interface} (index {Index}) is back: all leases are verified")]
        public static partial void Returned(ILogger logger, string @interface, int index);
    }
}
