namespace DynamicLb.Contracts.AddressServices;

/// <summary>Ways to lease, as <see cref="SelfTestMode.Mode"/> and <see cref="SelfTestRequest.Modes"/> name them.</summary>
public static class SelfTestModes
{
    /// <summary>Frames from the interface's own MAC, a MAC per service inside the message: <c>transport: nic</c>.</summary>
    public const string Nic = "nic";

    /// <summary>Frames from a MAC per service: <c>transport: chaddr</c>.</summary>
    public const string ChAddr = "chaddr";

    /// <summary>The interface's own MAC for all, a client identifier per service: <c>identity: client-id</c>.</summary>
    public const string ClientId = "client-id";

    /// <summary>As a relay agent, by UDP from this host's own address: <c>transport: relay</c>.</summary>
    public const string Relay = "relay";

    /// <summary>All of them, in the order in which they are told.</summary>
    public static IReadOnlyList<string> All { get; } = [Nic, ChAddr, ClientId, Relay];
}

/// <summary>How a way to lease did: values of <see cref="SelfTestMode.Outcome"/>.</summary>
public static class SelfTestOutcome
{
    /// <summary>A lease was granted and given back.</summary>
    public const string Works = "works";

    /// <summary>No server answered.</summary>
    public const string NoReply = "no reply";

    /// <summary>A server offered an address but did not confirm it.</summary>
    public const string NotConfirmed = "not confirmed";

    /// <summary>Addresses were offered that cannot be used.</summary>
    public const string Refused = "offers refused";

    /// <summary>Two client identifiers were offered one address.</summary>
    public const string IgnoresClientIds = "client identifiers ignored";

    /// <summary>The messages could not be sent from here.</summary>
    public const string CannotSend = "cannot send";

    /// <summary>Not tried.</summary>
    public const string NotTried = "not tried";
}

/// <summary>Body of <c>POST /v1/selftest</c>; all of it may be left out.</summary>
/// <param name="Interface">The interface, by its configured name; null for the first.</param>
/// <param name="Modes">Of <see cref="SelfTestModes"/>; null for all that the configuration allows to try.</param>
/// <param name="Seconds">How long each answer is waited for, 1 to 30; null for 8. Servers that look whether an address is free take three.</param>
public sealed record SelfTestRequest(string? Interface = null, IReadOnlyList<string>? Modes = null, int? Seconds = null);

/// <summary>Answer to <c>/v1/selftest</c>.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>: success when the test was carried out, whatever it found.</param>
/// <param name="Interface">The interface that was tried.</param>
/// <param name="Started">When it began, in UTC.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Configured">The mode in force, of <see cref="SelfTestModes"/>.</param>
/// <param name="Modes">What was tried, and how it did.</param>
/// <param name="Advice">What to do, in words, a sentence each; the most important first.</param>
/// <param name="Settings">The settings to choose, by name; empty when no mode works.</param>
/// <param name="Detail">The cause, unless successful.</param>
public sealed record SelfTestAnswer(
    string Status,
    string? Interface = null,
    DateTimeOffset? Started = null,
    double? Seconds = null,
    string? Configured = null,
    IReadOnlyList<SelfTestMode>? Modes = null,
    IReadOnlyList<string>? Advice = null,
    IReadOnlyDictionary<string, string>? Settings = null,
    string? Detail = null);

/// <summary>How one way to lease did.</summary>
/// <param name="Mode">One of <see cref="SelfTestModes"/>.</param>
/// <param name="Outcome">One of <see cref="SelfTestOutcome"/>.</param>
/// <param name="Detail">What happened, in words.</param>
/// <param name="Cause">The likely cause of a failure, in words; null without one.</param>
/// <param name="Ip">The address that was leased for a moment.</param>
/// <param name="Server">The server that gave it (option 54).</param>
/// <param name="Milliseconds">From the first message to the lease.</param>
public sealed record SelfTestMode(
    string Mode, string Outcome, string Detail, string? Cause = null, string? Ip = null, string? Server = null, double? Milliseconds = null);
