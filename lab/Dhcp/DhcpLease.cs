namespace DynamicLb.Lab.Dhcp;

/// <summary>An entry of a DHCP server's own table.</summary>
/// <param name="Ip">The address.</param>
/// <param name="Mac">Hardware address, in lower case with colons.</param>
/// <param name="HostName">As the server stored it; empty when it knows none.</param>
/// <param name="Active">Whether the server holds the address for the client.</param>
/// <param name="Expiry">When the lease ends.</param>
public sealed record DhcpLease(string Ip, string Mac, string HostName, bool Active, DateTimeOffset Expiry);
