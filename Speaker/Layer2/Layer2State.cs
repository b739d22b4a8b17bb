using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What the receive loops share with their owner: immutable snapshots, swapped as a whole.</summary>
internal sealed class Layer2State
{
    private volatile AnnouncedAddresses _announced = AnnouncedAddresses.None;
    private volatile IReadOnlySet<MacAddress> _ownMacs = new HashSet<MacAddress>();

    /// <summary>Another machine says that an address of ours is its own. Called from receive loops; must be quick.</summary>
    public event Action<IPv4Address, MacAddress>? Claimed;

    /// <summary>What is announced now.</summary>
    public AnnouncedAddresses Announced
    {
        get => _announced;
        set => _announced = value;
    }

    /// <summary>Hardware addresses of all interfaces that answer.</summary>
    public IReadOnlySet<MacAddress> OwnMacs
    {
        get => _ownMacs;
        set => _ownMacs = value;
    }

    public void Claim(IPv4Address address, MacAddress by) => Claimed?.Invoke(address, by);
}
