namespace DynamicLb.AddressService.Configuration;

/// <summary>The program cannot run as it is set up; the message says why and what helps.</summary>
internal sealed class UnusableException(string message, Exception? inner = null) : Exception(message, inner);
