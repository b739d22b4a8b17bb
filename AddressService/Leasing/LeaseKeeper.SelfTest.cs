using DynamicLb.AddressService.SelfTest;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.AddressService.Leasing;

/// <summary>What a self-test asks the keeper for, so that it touches no lease.</summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>
    /// Identities that no lease has. They follow from the secret as those of services do: the next test takes up what one that was cut off left with a
    /// server, and ports that remember MACs see no new ones.
    /// </summary>
    public ThrowAwayIdentities ThrowAwayIdentities()
    {
        var macs = new Dictionary<string, MacAddress>(StringComparer.Ordinal);
        foreach (string mode in SelfTestModes.All)
        {
            int attempt = 0;
            var mac = _generator.Derive($"self-test {mode}", attempt);
            while (_byMac.ContainsKey(mac) || _macs.Contains(mac) || macs.ContainsValue(mac))
                mac = _generator.Derive($"self-test {mode}", ++attempt);
            macs.Add(mode, mac);
        }
        return new ThrowAwayIdentities(
            macs, [_generator.DeriveClientId("self-test", null, 0), _generator.DeriveClientId("self-test", null, 1)]);
    }

    /// <summary>The addresses that our leases hold, are about to get, or give back; whether the lease shares the interface's MAC.</summary>
    public IReadOnlyDictionary<IPv4Address, bool> HeldAddresses()
    {
        var held = new Dictionary<IPv4Address, bool>();
        foreach (var (address, entry) in _byAddress)
        {
            if (address.IPv4 is { } four)
                held[four] = entry.Record.SharesMac;
        }
        foreach (var entry in _releasing)
        {
            if (entry.Record.State == LeaseRecordState.Releasing && IPv4Address.TryParse(entry.Record.Address, out var address))
                held[address] = entry.Record.SharesMac;
        }
        return held;
    }
}
