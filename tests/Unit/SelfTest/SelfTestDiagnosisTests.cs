using DynamicLb.AddressService.SelfTest;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Tests.Unit.SelfTest;

public sealed class SelfTestDiagnosisTests
{
    // In the order of SelfTestModes.All: nic, chaddr, client-id, relay.
    private const string Yes = SelfTestOutcome.Works;
    private const string No = SelfTestOutcome.NoReply;
    private const string Same = SelfTestOutcome.IgnoresClientIds;
    private const string Not = SelfTestOutcome.NotTried;

    [Theory]
    [InlineData(SelfTestModes.ChAddr, "port security", Yes, No, Yes, Not)]
    [InlineData(SelfTestModes.ChAddr, "forged transmits", Yes, No, Same, Not)]
    [InlineData(SelfTestModes.Nic, "MAC verification", No, Yes, Yes, Not)]
    [InlineData(SelfTestModes.Nic, "MAC verification", No, No, Yes, Not)]
    [InlineData(SelfTestModes.ChAddr, "port security", No, No, Yes, Not)]
    [InlineData(SelfTestModes.ClientId, "ignores client identifiers", Yes, Yes, Same, Not)]
    [InlineData(SelfTestModes.Relay, "snooping", Yes, Yes, Yes, No)]
    [InlineData(SelfTestModes.Nic, "no server on this link", No, No, No, Yes)]
    [InlineData(SelfTestModes.Nic, "no DHCP server is heard", No, No, No, No)]
    [InlineData(SelfTestModes.Relay, "no DHCP server is heard", No, No, No, No)]
    [InlineData(SelfTestModes.Nic, "quicker", SelfTestOutcome.NotConfirmed, Yes, Yes, Not)]
    [InlineData(SelfTestModes.Nic, "cidrs", SelfTestOutcome.Refused, Yes, Yes, Not)]
    public void A_failure_is_explained_by_what_the_other_modes_did(string mode, string cause, params string[] outcomes) =>
        Assert.Contains(cause, SelfTestDiagnosis.Cause(mode, Reports(outcomes)), StringComparison.Ordinal);

    [Theory]
    [InlineData(SelfTestModes.Nic, "nic", "mac", Yes, Yes, Yes, Yes)]
    [InlineData(SelfTestModes.ChAddr, "chaddr", "mac", Yes, Yes, Yes, Yes)]
    [InlineData(SelfTestModes.ChAddr, "nic", "mac", Yes, No, Yes, Yes)]
    [InlineData(SelfTestModes.Nic, "relay", "mac", No, Yes, Yes, Yes)]
    [InlineData(SelfTestModes.Nic, "chaddr", "mac", No, Yes, Yes, Not)]
    [InlineData(SelfTestModes.Nic, "nic", "client-id", No, No, Yes, Not)]
    [InlineData(SelfTestModes.ClientId, "nic", "mac", Yes, Yes, Same, Not)]
    public void What_is_configured_stays_if_it_works_else_the_mode_that_asks_least_of_the_network_is_advised(
        string configured, string transport, string identity, params string[] outcomes)
    {
        var advice = SelfTestDiagnosis.Advise(configured, Reports(outcomes), out var settings);
        Assert.Equal((transport, identity), (settings["transport"], settings["identity"]));
        Assert.StartsWith(outcomes[Index(configured)] == Yes ? "Nothing needs to change" : "Set ", advice[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Where_nothing_works_no_setting_is_advised_but_the_relay_is_mentioned()
    {
        var advice = SelfTestDiagnosis.Advise(SelfTestModes.Nic, Reports(No, No, No, Not), out var settings);
        Assert.Empty(settings);
        Assert.Contains(advice, sentence => sentence.Contains("relay-servers", StringComparison.Ordinal));
    }

    [Fact]
    public void What_works_or_was_not_tried_has_no_cause()
    {
        var reports = Reports(Yes, Yes, Yes, Not);
        Assert.Null(SelfTestDiagnosis.Cause(SelfTestModes.Nic, reports));
        Assert.Null(SelfTestDiagnosis.Cause(SelfTestModes.Relay, reports));
    }

    private static int Index(string mode) => SelfTestModes.All.ToList().IndexOf(mode);

    private static Dictionary<string, SelfTestReport> Reports(params string[] outcomes) =>
        SelfTestModes.All.Zip(outcomes).ToDictionary(pair => pair.First, pair => new SelfTestReport(pair.Second, ""), StringComparer.Ordinal);
}
