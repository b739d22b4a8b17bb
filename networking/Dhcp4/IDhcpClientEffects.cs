using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>States of a client, after RFC 2131 §4.4 figure 5.</summary>
public enum DhcpClientState
{
    /// <summary>Nothing to do: not started, or released.</summary>
    Idle = 0,

    /// <summary>Waits before it looks for servers (again).</summary>
    Init,

    /// <summary>DISCOVER sent, awaits OFFERs.</summary>
    Selecting,

    /// <summary>REQUEST for an offered address sent, awaits the ACK.</summary>
    Requesting,

    /// <summary>An address was granted for the first time: finds out whether another host uses it (RFC 5227).</summary>
    Probing,

    /// <summary>Verifies a lease from before a restart.</summary>
    Rebooting,

    /// <summary>Holds a lease that needs nothing.</summary>
    Bound,

    /// <summary>T1 passed: asks the lease's server to extend it.</summary>
    Renewing,

    /// <summary>T2 passed: asks any server to extend it.</summary>
    Rebinding,

    /// <summary>Gives the lease back.</summary>
    Releasing,
}

/// <summary>Why a lease was lost.</summary>
public enum DhcpLossReason
{
    /// <summary>Nobody extended it in time.</summary>
    Expired = 0,

    /// <summary>Its server refused it.</summary>
    Refused,
}

/// <summary>Where a message goes.</summary>
/// <param name="IsBroadcast">From 0.0.0.0 to 255.255.255.255; otherwise the other values hold.</param>
/// <param name="Source">IP source: the leased address.</param>
/// <param name="Server">IP destination.</param>
/// <param name="NextHop">Ethernet destination: where the last ACK came from.</param>
public readonly record struct DhcpDestination(bool IsBroadcast, IPv4Address Source, IPv4Address Server, MacAddress NextHop)
{
    /// <summary>To every server on the link.</summary>
    public static DhcpDestination Broadcast { get; } = new(true, IPv4Address.Any, IPv4Address.Broadcast, MacAddress.Broadcast);

    /// <summary>To one server, from the leased address.</summary>
    public static DhcpDestination Unicast(IPv4Address source, IPv4Address server, MacAddress nextHop) => new(false, source, server, nextHop);
}

/// <summary>A message received, with what the packet around it said.</summary>
/// <param name="Message">The message.</param>
/// <param name="SourceMac">Ethernet source of the frame.</param>
/// <param name="SourceAddress">IP source of the packet.</param>
/// <param name="SourcePort">UDP source port; 67 as a rule.</param>
public readonly record struct DhcpReply(DhcpMessage Message, MacAddress SourceMac, IPv4Address SourceAddress, int SourcePort = 67);

/// <summary>
/// What a <see cref="DhcpClient"/> does to the world. Called synchronously from within the client's methods, after its own state is settled;
/// implementations must not call back into the client, except to read it.
/// </summary>
public interface IDhcpClientEffects
{
    /// <summary>Send a message. It is handed over for good: whoever sends it may <see cref="DhcpMessage.Recycle"/> it.</summary>
    void Send(DhcpClient client, DhcpMessage message, in DhcpDestination destination);

    /// <summary>
    /// May this address be used? Asked for every address that an OFFER or ACK brings, after the client's own checks (reserved ranges, the server's
    /// or router's own address, the subnet's first and last).
    /// The owner refuses what another of its leases holds or is about to, what lies outside the configured ranges, this host's own addresses.
    /// </summary>
    /// <returns>Null to accept it, or the cause in a few words, for the status and the 504's detail.</returns>
    string? RefuseAddress(DhcpClient client, IPv4Address address, in DhcpReply reply);

    /// <summary>
    /// Send one ARP probe for an address (RFC 5227), and for a second or two report whoever has it, or probes it, too, by <see cref="DhcpClient.Conflict"/>.
    /// Never called without <see cref="DhcpClientSettings.Probe"/>.
    /// </summary>
    void Probe(DhcpClient client, IPv4Address address)
    {
    }

    /// <summary>Another host uses the granted address: it was declined. The owner remembers not to take it for a while, for any of its clients.</summary>
    /// <param name="client">The client.</param>
    /// <param name="lease">What was granted.</param>
    /// <param name="host">Who uses it.</param>
    void Declined(DhcpClient client, DhcpLease lease, MacAddress host)
    {
    }

    /// <summary>The state changed.</summary>
    void StateChanged(DhcpClient client, DhcpClientState from, DhcpClientState to);

    /// <summary>A lease where there was none before. Persist it before anybody hears of the address.</summary>
    void Bound(DhcpClient client, DhcpLease lease);

    /// <summary>The lease was extended, or confirmed after a restart.</summary>
    void Renewed(DhcpClient client, DhcpLease lease);

    /// <summary>The same address was granted again after the lease was suspect or lost.</summary>
    void Recovered(DhcpClient client, DhcpLease lease);

    /// <summary>Another address was granted in place of the one last held.</summary>
    void Changed(DhcpClient client, IPv4Address from, DhcpLease lease);

    /// <summary>The lease's server refused it; unless the same address comes again within the grace period, <see cref="Lost"/> follows.</summary>
    void Suspect(DhcpClient client, DhcpLease lease);

    /// <summary>The address is no longer ours: withdraw it at once. The client goes on to get a new lease, the same address by preference.</summary>
    void Lost(DhcpClient client, DhcpLease lease, DhcpLossReason reason);

    /// <summary>The lease was given back (null: there was none); the client is idle.</summary>
    void Released(DhcpClient client, DhcpLease? lease);

    /// <summary>A NAK that counts was received.</summary>
    void NakReceived(DhcpClient client, IPv4Address server, string? text);

    /// <summary>A reply for this client was not used.</summary>
    /// <param name="client">The client.</param>
    /// <param name="reason">The counter's label.</param>
    /// <param name="detail">The cause in words, for <see cref="DhcpDropReason.AddressRefused"/>; otherwise null.</param>
    /// <param name="reply">The reply.</param>
    void ReplyDropped(DhcpClient client, DhcpDropReason reason, string? detail, in DhcpReply reply);
}
