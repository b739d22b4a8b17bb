using System.Globalization;
using System.Text;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Cli.Doctor;

/// <summary>The result of a self-test for people.</summary>
internal static class DoctorReport
{
    private const int Width = 100;

    public static string Write(SelfTestAnswer answer)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"Interface {answer.Interface}, configured: {Name(answer.Configured!)}\n\n");
        foreach (var mode in answer.Modes!)
        {
            string time = mode is { Outcome: SelfTestOutcome.Works, Milliseconds: { } took } ? string.Create(CultureInfo.InvariantCulture, $" in {took:0.#} ms") : "";
            text.Append(CultureInfo.InvariantCulture, $"  {Sign(mode.Outcome)} {mode.Mode,-10} {mode.Outcome}{time}\n");
            Wrap(text, mode.Detail, 15);
            if (mode.Cause is not null)
                Wrap(text, "Likely cause: " + mode.Cause + ".", 15);
        }
        text.Append('\n');
        foreach (string sentence in answer.Advice!)
            Wrap(text, sentence, 0);
        if (answer.Settings is { Count: > 0 } settings)
        {
            text.Append('\n');
            foreach (var (name, value) in settings)
                text.Append(CultureInfo.InvariantCulture, $"    {name}: {value}\n");
        }
        return text.ToString().TrimEnd();
    }

    private static string Sign(string outcome) => outcome switch
    {
        SelfTestOutcome.Works => "+",
        SelfTestOutcome.NotTried => " ",
        _ => "-",
    };

    private static string Name(string mode) => mode switch
    {
        SelfTestModes.Nic => "transport nic (a MAC per service, in frames of the interface's own MAC)",
        SelfTestModes.ChAddr => "transport chaddr (a MAC per service, in frames of that MAC)",
        SelfTestModes.ClientId => "identity client-id (the interface's MAC, a client identifier per service)",
        SelfTestModes.Relay => "transport relay (UDP from this host's own address)",
        _ => mode,
    };

    private static void Wrap(StringBuilder text, string sentence, int indent)
    {
        int column = 0;
        foreach (string word in sentence.Split(' '))
        {
            if (column > 0 && column + 1 + word.Length > Width)
            {
                text.Append('\n');
                column = 0;
            }
            if (column == 0)
                text.Append(' ', indent);
            else
                text.Append(' ');
            text.Append(word);
            column = Math.Max(column, indent) + 1 + word.Length;
        }
        text.Append('\n');
    }
}
