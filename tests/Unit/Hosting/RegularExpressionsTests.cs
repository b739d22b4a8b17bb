using System.Reflection;
using System.Text.RegularExpressions;
using DynamicLb.Speaker;

namespace DynamicLb.Tests.Unit.Hosting;

/// <summary>A limit of time on a match is one of the wall clock: it is also over when the process, or the machine, stood still for so long.</summary>
public sealed class RegularExpressionsTests
{
    private const BindingFlags Everything = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    [Fact]
    public void No_expression_fails_because_the_process_stood_still_in_the_middle_of_it()
    {
        var ours = typeof(RegularExpressionsTests).Assembly;
        var expressions = ours.GetReferencedAssemblies().Where(static name => name.Name!.StartsWith("DynamicLb", StringComparison.Ordinal)).Select(Assembly.Load).Append(ours)
            .SelectMany(static assembly => assembly.GetTypes()).SelectMany(static type => type.GetMembers(Everything))
            .Select(static member => (Member: member, Expression: member.GetCustomAttribute<GeneratedRegexAttribute>())).Where(static found => found.Expression is not null).ToList();

        Assert.NotEmpty(expressions);
        Assert.All(expressions, static found => Assert.True(found.Expression!.MatchTimeoutMilliseconds == Timeout.Infinite, $"{found.Member.DeclaringType}.{found.Member.Name}"));
        Assert.Equal(Regex.InfiniteMatchTimeout, SpeakerCommand.Pattern(SpeakerCommand.DefaultExcluded).MatchTimeout);
    }
}
