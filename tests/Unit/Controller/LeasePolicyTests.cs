using System.Globalization;
using System.Net;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>What becomes of an address when its lease is lost, changes or ends: every policy in every situation. It is 12 o'clock; ends are written as hours.</summary>
public sealed class LeasePolicyTests
{
    private static readonly DateTimeOffset s_noon = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);

    public static TheoryData<string, string, string, string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string, string, string, string>();
            foreach (string policy in new[] { "Adopt", "Hold", "Fail" })
            {
                // view, held until, failed -> step, address until
                cases.Add(policy, "leased .5 13", "-", "-", "Assigned .5 13");
                cases.Add(policy, "pending", "-", "-", "Pending - -");
                cases.Add(policy, "failed", "-", "-", "Pending - -");
                cases.Add(policy, "leased .5 11", "-", "-", "Pending - -");
                cases.Add(policy, "leased .5 14", ".5 13", "-", "None .5 14");
                cases.Add(policy, "leased .5 never", ".5 13", "-", "None .5 never");
                cases.Add(policy, "pending", ".5 13", "-", "None .5 13");
                cases.Add(policy, "pending", ".5 11", "-", "None .5 11");
                cases.Add(policy, "failed", ".5 13", "-", "Unconfirmed .5 13");
                cases.Add(policy, "failed", ".5 never", "-", "Unconfirmed .5 never");
            }
            cases.Add("Adopt", "leased .6 14", ".5 13", "-", "Changed .6 14");
            cases.Add("Adopt", "lost", ".5 13", "-", "Lost - -");
            cases.Add("Adopt", "lost", ".5 11", "-", "Expired - -");
            cases.Add("Adopt", "failed", ".5 11", "-", "Expired - -");
            cases.Add("Adopt", "leased .5 11", ".5 11", "-", "Expired - -");

            cases.Add("Hold", "leased .6 14", ".5 13", "-", "Held .5 13");
            cases.Add("Hold", "leased .6 14", ".5 12", "-", "Changed .6 14");
            cases.Add("Hold", "leased .6 14", ".5 never", "-", "Changed .6 14");
            cases.Add("Hold", "lost", ".5 13", "-", "Held .5 13");
            cases.Add("Hold", "lost", ".5 12", "-", "Expired - -");
            cases.Add("Hold", "lost", ".5 never", "-", "Lost - -");
            cases.Add("Hold", "failed", ".5 11", "-", "Expired - -");

            cases.Add("Fail", "leased .6 14", ".5 13", "-", "Failed - - failed .5");
            cases.Add("Fail", "lost", ".5 13", "-", "Failed - - failed .5");
            cases.Add("Fail", "failed", ".5 11", "-", "Failed - - failed .5");
            cases.Add("Fail", "leased .6 14", "-", ".5", "None - - failed .5");
            cases.Add("Fail", "pending", "-", ".5", "None - - failed .5");
            cases.Add("Fail", "leased .5 14", "-", ".5", "Recovered .5 14");
            cases.Add("Adopt", "leased .6 14", "-", ".5", "Recovered .6 14");
            cases.Add("Adopt", "pending", "-", ".5", "Pending - -");
            // What the Service itself asks for is somebody's decision.
            cases.Add("Fail named .6", "leased .6 14", ".5 13", "-", "Changed .6 14");
            cases.Add("Fail named .6", "leased .6 14", "-", ".5", "Recovered .6 14");
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_policy_decides(string policy, string view, string held, string failed, string expected)
    {
        string[] policyWords = policy.Split(' ');
        string[] viewWords = view.Split(' ');
        string[] heldWords = held.Split(' ');
        var seen = viewWords[0] switch
        {
            "leased" => LeaseView.Leased(Address(viewWords[1])!, Hour(viewWords[2])),
            "failed" => LeaseView.Failed("no answer"),
            "lost" => LeaseView.Lost("NAK"),
            _ => LeaseView.Pending,
        };
        var before = new TenureBefore(Address(heldWords[0]), heldWords.Length > 1 ? Hour(heldWords[1]) : null, Address(failed), policyWords.Length > 2 ? Address(policyWords[2]) : null);

        var tenure = LeasePolicy.Judge(Enum.Parse<LeaseChangePolicy>(policyWords[0]), seen, before, s_noon);

        string until = tenure.Address is null ? "-" : tenure.ValidUntil is { } end ? end.Hour.ToString(CultureInfo.InvariantCulture) : "never";
        Assert.Equal(expected, $"{tenure.Step} {Short(tenure.Address)} {until}{(tenure.Failed is null ? "" : $" failed {Short(tenure.Failed)}")}");
    }

    private static IPAddress? Address(string text) => text == "-" ? null : IPAddress.Parse($"10.20.0{text}");

    private static DateTimeOffset? Hour(string text) => text == "never" ? null : s_noon.AddHours(int.Parse(text, CultureInfo.InvariantCulture) - 12);

    private static string Short(IPAddress? address) => address is null ? "-" : address.ToString()["10.20.0".Length..];
}
