using System.Net.NetworkInformation;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.AddressService.Leasing;

/// <summary>The addresses of this host itself, as of some seconds ago. It belongs to the loop.</summary>
internal sealed class HostAddresses(TimeProvider time)
{
    private static readonly TimeSpan Age = TimeSpan.FromSeconds(10);
    private HashSet<IPv4Address> _addresses = [];
    private long? _readAt;

    public bool Contains(IPv4Address address)
    {
        if (_readAt is not { } at || time.GetElapsedTime(at) > Age)
        {
            _readAt = time.GetTimestamp();
            // When an interface vanished meanwhile, what was read last still holds.
            _addresses = Read() ?? _addresses;
        }
        return _addresses.Contains(address);
    }

    /// <summary>Reads them now; null when an interface vanished meanwhile. Thread-safe.</summary>
    public static HashSet<IPv4Address>? Read()
    {
        try
        {
            return [.. NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses)
                .Select(a => IPv4Address.TryFrom(a.Address, out var own) ? own : default)];
        }
        catch (NetworkInformationException)
        {
            return null;
        }
    }
}
