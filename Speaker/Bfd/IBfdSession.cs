using DynamicLb.Contracts.Configuration;
using DynamicLb.Networking.Bfd;

namespace DynamicLb.Speaker.Bfd;

/// <summary>One who watches a router; disposing ends the watch. Thread-safe.</summary>
internal interface IBfdSession : IDisposable
{
    /// <summary>How the session stands.</summary>
    BfdStatus Status { get; }

    /// <summary>The profile changed, or another one is named; the session stays up.</summary>
    void Configure(BfdProfile profile);
}
