namespace DynamicLb.Tests.Cluster;

/// <summary>Tests that measure: they run after all others, one at a time.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
