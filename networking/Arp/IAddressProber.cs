using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Arp;

/// <summary>Asks whether other hosts have an address. Thread-safe.</summary>
public interface IAddressProber : IAsyncDisposable
{
    /// <summary>Addresses whose use by other hosts is told at any time; null where that cannot be heard.</summary>
    AddressWatch<IPv4Address>? Watch { get; }

    /// <summary>Asks once. Whoever has the address is reported for some seconds.</summary>
    ValueTask ProbeAsync(IPv4Address address, CancellationToken cancellationToken);

    /// <summary>Listens until cancelled. Faults of the wire or the link never end it.</summary>
    Task RunAsync(IArpReceiver receiver, CancellationToken cancellationToken);
}
