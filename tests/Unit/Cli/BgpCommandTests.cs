using DynamicLb.Cli;
using DynamicLb.Cli.Bgp;
using DynamicLb.Contracts.Explanations;

namespace DynamicLb.Tests.Unit.Cli;

public sealed class BgpCommandTests
{
    [Theory]
    [InlineData("bgp", "--speaker", "http://10.0.0.1:17473", "https://10.0.0.2:9120")]
    [InlineData("explain", "web", "--speaker", "http://10.0.0.1:17473", "http://10.0.0.2:17473")]
    [InlineData("bgp")]
    public void Speakers_are_named_by_URLs(params string[] arguments) => Assert.Empty(CommandTable.Create().Parse(arguments).Errors);

    [Theory]
    [InlineData("bgp", "--speaker", "node1")]
    [InlineData("explain", "web", "--speaker", "ftp://10.0.0.1")]
    public void What_is_no_URL_is_refused(params string[] arguments) => Assert.NotEmpty(CommandTable.Create().Parse(arguments).Errors);

    [Fact]
    public void A_report_tells_state_last_error_routes_and_BFD()
    {
        var text = BgpReport.Write(
            new BgpExplanation(
                "node1",
                [
                    new ExplainedPeer("a", "10.0.0.1:179", "default", "Established")
                    {
                        Since = DateTimeOffset.UnixEpoch, Local = "10.0.0.9:4000", Routes = ["10.1.0.1/32"], Told = 1, Bfd = [new ExplainedBfd("Up", "no fault", 300, 900, 50)],
                    },
                    new ExplainedPeer("b", "10.0.0.2:179", "red", "Active") { LastError = "hold timer expired", Pending = 1, NotCarried = 2 },
                ]),
            routes: true);

        Assert.Equal(
            """
            node1: 1 of 2 sessions established
              + a  10.0.0.1:179  Established since 1970-01-01 00:00:00Z from 10.0.0.9:4000
                  routes: 1 told
                  BFD: Up (no fault), a packet every 300 ms, down after 900 ms of silence, echo every 50 ms
                  10.1.0.1/32
              - b  10.0.0.2:179 in VRF red  Active
                  last error: hold timer expired
                  routes: 0 told, 1 to be told, 2 of a family that the session does not carry
            """,
            text);
        Assert.Equal("node2: no peers", BgpReport.Write(new BgpExplanation("node2", []), routes: false));
    }
}
