using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>States of a DHCPv6 client.</summary>
public enum Dhcp6ClientState
{
    /// <summary>Nothing to do: not started, or released.</summary>
    Idle = 0,

    /// <summary>Waits before it looks for servers (again).</summary>
    Init,

    /// <summary>Solicit sent, awaits Advertises.</summary>
    Soliciting,

    /// <summary>Request sent, awaits the Reply.</summary>
    Requesting,

    /// <summary>Looks whether somebody else uses the granted address.</summary>
    Detecting,

    /// <summary>Tells the server that somebody else uses it.</summary>
    Declining,

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
public enum Dhcp6LossReason
{
    /// <summary>Nobody extended it in time.</summary>
    Expired = 0,

    /// <summary>A server ended it.</summary>
    Refused,
}

/// <summary>
/// What a <see cref="Dhcp6Client"/> does to the world. Called synchronously from within the client's methods, after its own state is settled;
/// implementations must not call back into the client, except to read it.
/// </summary>
public interface IDhcp6ClientEffects
{
    /// <summary>Send a message to ff02::1:2, port 547. It is handed over for good: the client does not change it afterwards.</summary>
    void Send(Dhcp6Client client, Dhcp6Message message);

    /// <summary>May this address be used? Asked after the client's own checks.</summary>
    /// <returns>Null to accept it, or the cause in a few words.</returns>
    string? RefuseAddress(Dhcp6Client client, IPv6Address address);

    /// <summary>Ask the link whether somebody uses the address (RFC 4862 §5.4). Report a conflict by <see cref="Dhcp6Client.ReportConflict"/>.</summary>
    void DetectDuplicate(Dhcp6Client client, IPv6Address address);

    /// <summary>Somebody else uses the granted address; it is declined.</summary>
    void Conflict(Dhcp6Client client, IPv6Address address);

    /// <summary>The state changed.</summary>
    void StateChanged(Dhcp6Client client, Dhcp6ClientState from, Dhcp6ClientState to);

    /// <summary>A lease where there was none before. Persist it before anybody hears of the address.</summary>
    void Bound(Dhcp6Client client, Dhcp6Lease lease);

    /// <summary>The lease was extended, or confirmed after a restart.</summary>
    void Renewed(Dhcp6Client client, Dhcp6Lease lease);

    /// <summary>The address that was lost was granted again.</summary>
    void Recovered(Dhcp6Client client, Dhcp6Lease lease);

    /// <summary>Another address was granted in place of the one last held.</summary>
    void Changed(Dhcp6Client client, IPv6Address from, Dhcp6Lease lease);

    /// <summary>The address is no longer ours: withdraw it at once. The client goes on to get a new lease, the same address by preference.</summary>
    void Lost(Dhcp6Client client, Dhcp6Lease lease, Dhcp6LossReason reason);

    /// <summary>The lease was given back (null: there was none); the client is idle.</summary>
    void Released(Dhcp6Client client, Dhcp6Lease? lease);

    /// <summary>A reply for this client was not used.</summary>
    /// <param name="client">The client.</param>
    /// <param name="reason">The counter's label.</param>
    /// <param name="detail">The cause in words, where there is one; otherwise null.</param>
    void ReplyDropped(Dhcp6Client client, Dhcp6DropReason reason, string? detail);
}
