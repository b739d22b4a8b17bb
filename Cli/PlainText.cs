using System.Globalization;
using System.Text;

namespace DynamicLb.Cli;

/// <summary>What others wrote, for a terminal: nothing in it is taken for a command, or for a line of ours.</summary>
internal static class PlainText
{
    /// <summary>The longest piece that is shown.</summary>
    public const int Longest = 200;

    /// <summary>A piece of one line, cut at <see cref="Longest"/>.</summary>
    public static string Of(string text) => Lines(text.Length > Longest ? $"{text[..Longest]}…" : text).Replace('\n', '\uFFFD');

    /// <summary>Lines that stay lines.</summary>
    public static string Lines(string text)
    {
        var plain = new StringBuilder(text.Length);
        foreach (char c in text)
            plain.Append(c == '\n' || !IsCommand(c) ? c : '\uFFFD');
        return plain.ToString();
    }

    // Those that reverse the direction of text are of the class Format.
    private static bool IsCommand(char c) =>
        CharUnicodeInfo.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator;
}
