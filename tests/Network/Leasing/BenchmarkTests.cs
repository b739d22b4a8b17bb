using DynamicLb.Lab;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>The benchmarks in their short form: that they work, and that no lease is lost in them. Times are shown, and judged by bench.sh only.</summary>
public sealed class BenchmarkTests
{
    [Theory]
    [InlineData("allocations")]
    [InlineData("unpaced")]
    [InlineData("latency")]
    [InlineData("restart")]
    [InlineData("loss")]
    [InlineData("many")]
    [InlineData("neighbors")]
    public async Task Short_form_of_a_benchmark_meets_what_does_not_depend_on_the_machine(string name)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        string output = await ChildProcess.OutputOfAsync("dotnet", [Programs.PathOf("Benchmarks"), "--short", name], TestContext.Current.CancellationToken);
        Assert.Contains($"MEASURED {name}: ", output, StringComparison.Ordinal);
    }
}
