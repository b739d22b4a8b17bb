using System.Text.Json;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary><c>dynlb doctor dhcp</c> on networks that do not allow everything.</summary>
public sealed class SelfTestTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case35_on_a_port_that_is_locked_to_one_MAC_all_but_the_full_client_work_and_the_doctor_says_why()
    {
        await using var lab = await AddressLab.StartAsync("isc", null, LockAsync, "--relay-servers", "10.20.0.1");
        var lease = await lab.Service.AcquireAsync("demo/web", Cancelled);
        var modes = await DoctorAsync(lab);
        Assert.Equal(SelfTestOutcome.Works, modes[SelfTestModes.Nic].Outcome);
        Assert.Equal(SelfTestOutcome.Works, modes[SelfTestModes.ClientId].Outcome);
        Assert.Equal(SelfTestOutcome.Works, modes[SelfTestModes.Relay].Outcome);
        Assert.Equal(SelfTestOutcome.NoReply, modes[SelfTestModes.ChAddr].Outcome);
        Assert.Contains("port security", modes[SelfTestModes.ChAddr].Cause, StringComparison.Ordinal);

        // Each took a lease of its own and gave it back; the service's is as it was.
        Assert.Equal(3, modes.Values.Select(mode => mode.Ip).Where(ip => ip is not null && ip != lease.Ip).Distinct(StringComparer.Ordinal).Count());
        await Wait.UntilAsync(
            async () => (await lab.Server.LeasesAsync(Cancelled)).Where(l => l.Active).Select(l => l.Ip).ToArray() is [var only] && only == lease.Ip,
            TimeSpan.FromSeconds(60), "the server to have the service's lease alone", Cancelled);
    }

    [Theory]
    [InlineData("kea", SelfTestOutcome.NoReply)]
    [InlineData("isc", SelfTestOutcome.Works)]
    public async Task Case36_where_unknown_unicast_is_not_flooded_only_Kea_s_answers_to_a_full_client_are_lost(string kind, string chAddr)
    {
        await using var lab = await AddressLab.StartAsync(kind, null, StopFloodingAsync);
        var modes = await DoctorAsync(lab);
        Assert.Equal(SelfTestOutcome.Works, modes[SelfTestModes.Nic].Outcome);
        Assert.Equal(SelfTestOutcome.Works, modes[SelfTestModes.ClientId].Outcome);
        Assert.Equal(chAddr, modes[SelfTestModes.ChAddr].Outcome);
        Assert.Equal(SelfTestOutcome.NotTried, modes[SelfTestModes.Relay].Outcome);
    }

    [Fact]
    public async Task Case24_the_doctor_finds_a_server_that_ignores_client_identifiers_and_a_relay_in_force_is_tried_through_its_own_socket()
    {
        await using var lab = await AddressLab.StartAsync("udhcpd", null, "--transport", "relay", "--relay-servers", "10.20.0.1");
        var modes = await DoctorAsync(lab);
        Assert.Equal(SelfTestOutcome.Works, modes[SelfTestModes.Relay].Outcome);
        Assert.Equal(SelfTestOutcome.IgnoresClientIds, modes[SelfTestModes.ClientId].Outcome);
        Assert.Contains("ignores client identifiers", modes[SelfTestModes.ClientId].Cause, StringComparison.Ordinal);
    }

    private static async Task<Dictionary<string, SelfTestMode>> DoctorAsync(AddressLab lab)
    {
        string output = await lab.Network["node1"].Namespace.RunAsync(
            "dotnet", [Programs.PathOf("Cli"), "doctor", "dhcp", "--token-file", lab.Service.TokenFile, "--seconds", "8", "--output", "json"], Cancelled);
        return JsonSerializer.Deserialize(output, AddressServiceJsonContext.Default.SelfTestAnswer)!.Modes!.ToDictionary(mode => mode.Mode, StringComparer.Ordinal);
    }

    /// <summary>What port security does: only the known MAC gets through.</summary>
    private static async Task LockAsync(AddressLab lab)
    {
        await KnowOwnMacAsync(lab);
        await lab.Network.Switch.RunAsync("bridge", ["link", "set", "dev", "p-node1", "locked", "on", "learning", "off"], Cancelled);
    }

    private static async Task StopFloodingAsync(AddressLab lab)
    {
        await KnowOwnMacAsync(lab);
        await lab.Network.Switch.RunAsync("bridge", ["link", "set", "dev", "p-node1", "flood", "off", "learning", "off"], Cancelled);
    }

    private static async Task KnowOwnMacAsync(AddressLab lab) => await lab.Network.Switch.RunAsync(
        "bridge", ["fdb", "replace", await lab.Network["node1"].MacAsync(Cancelled), "dev", "p-node1", "master", "static"], Cancelled);
}
