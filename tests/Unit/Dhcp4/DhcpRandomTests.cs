using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Dhcp4;

public sealed class DhcpRandomTests
{
    [Fact]
    public async Task Secure_numbers_are_given_to_one_asker_only_from_whatever_thread()
    {
        uint[][] numbers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => Enumerable.Range(0, 500).Select(_ => DhcpRandom.Secure.NextUInt32()).ToArray())));
        // Of two thousand, two alike come by chance once in two thousand runs; what is given twice would be alike by the dozen.
        Assert.InRange(numbers.SelectMany(of => of).Distinct().Count(), 1998, 2000);
    }
}
