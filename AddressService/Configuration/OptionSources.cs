using System.Text;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.AddressService.Configuration;

/// <summary>What the sources amount to: settings, or a text for the person who started the program.</summary>
/// <param name="Options">The settings; null when the program is not to run.</param>
/// <param name="Text">Help, or every fault on a line of its own.</param>
/// <param name="ExitCode">To exit with when there are no settings.</param>
internal sealed record OptionsResult(AddressServiceOptions? Options, string? Text, int ExitCode);

/// <summary>Gathers the settings: a YAML file (JSON is YAML), then the environment, then the command line; the later one wins.</summary>
internal static class OptionSources
{
    private const int FaultyUsage = 2;

    /// <param name="arguments">The command line.</param>
    /// <param name="variable">Reads an environment variable.</param>
    public static OptionsResult Read(IReadOnlyList<string> arguments, Func<string, string?> variable)
    {
        var faults = new List<string>();
        var flags = Flags(arguments, faults, out bool help, out string? file);
        if (help)
            return new OptionsResult(null, Help(), 0);

        var options = new AddressServiceOptions();
        file ??= variable("DYNAMICLB_CONFIG");
        if (file is not null)
            ApplyFile(options, file, faults);
        foreach (var setting in Settings.All)
        {
            if (variable(setting.Variable) is { Length: > 0 } value && setting.Apply(options, value) is { } fault)
                faults.Add($"{setting.Variable} {fault}");
        }
        foreach (var (setting, value) in flags)
        {
            if (setting.Apply(options, value) is { } fault)
                faults.Add($"--{setting.Name} {fault}");
        }
        Validate(options, faults);
        return faults.Count == 0
            ? new OptionsResult(options, null, 0)
            : new OptionsResult(null, string.Concat(faults.Select(fault => $"{fault}\n")), FaultyUsage);
    }

    private static void Validate(AddressServiceOptions options, List<string> faults)
    {
        if (options.TokenFiles.Count == 0 && !options.AllowAnonymous)
        {
            faults.Add("No token: give --token-file FILE (one token a line, for example: openssl rand -hex 32 > FILE), "
                + "or --allow-anonymous to let everybody who reaches the API lease and release addresses");
        }
        var without = new List<(Security.CredentialKind, string)>();
        if (options.Tls.ClientCaFile is null)
            without.Add((Security.CredentialKind.Certificate, "--tls-client-ca-file"));
        if (!options.TokenReview.IsEnabled)
            without.Add((Security.CredentialKind.ServiceAccount, "--token-review"));
        faults.AddRange(Security.AccessList.Faults(options.TokenFiles, [.. without]).Select(static fault => $"--token-file {fault}"));
        faults.AddRange(options.Tls.Faults(options.Listen));
        faults.AddRange(InterfaceList.Faults(options));
        faults.AddRange(options.Interfaces.SelectMany(InterfaceSettings.Faults).Distinct());
        if (options.ImportFrom is not null && options.Store != StoreKind.Kubernetes)
            faults.Add("--import-from is for --store kubernetes");
        if (options.MacKeyFile is { } key && Security.MacKeyFile.Fault(key) is { } keyFault)
            faults.Add($"--mac-key-file {keyFault}");
    }

    private static List<(Setting Setting, string Value)> Flags(IReadOnlyList<string> arguments, List<string> faults, out bool help, out string? file)
    {
        var flags = new List<(Setting, string)>();
        help = false;
        file = null;
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            if (argument is "--help" or "-h" or "-?")
            {
                help = true;
                continue;
            }
            int equals = argument.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? argument : argument[..equals];
            string? value = equals < 0 ? null : argument[(equals + 1)..];
            var setting = Settings.All.FirstOrDefault(s => name == $"--{s.Name}");
            if (setting is null && name != "--config")
            {
                faults.Add($"{name} is unknown; --help lists the flags");
                continue;
            }
            if (setting is { IsSwitch: true })
                value ??= "true";
            else if (value is null && i + 1 < arguments.Count)
                value = arguments[++i];
            if (value is null)
                faults.Add($"{name} needs a value");
            else if (setting is null)
                file = value;
            else
                flags.Add((setting, value));
        }
        return flags;
    }

    private static void ApplyFile(AddressServiceOptions options, string file, List<string> faults)
    {
        var yaml = new YamlStream();
        try
        {
            using var reader = File.OpenText(file);
            yaml.Load(reader);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or YamlException)
        {
            faults.Add($"--config {file} cannot be read: {e.Message}");
            return;
        }
        if (yaml.Documents.Count == 0)
            return;
        if (yaml.Documents[0].RootNode is not YamlMappingNode root)
        {
            faults.Add($"--config {file} is no mapping of settings");
            return;
        }
        foreach (var (keyNode, valueNode) in root.Children)
        {
            string key = (keyNode as YamlScalarNode)?.Value ?? "";
            var setting = Settings.All.FirstOrDefault(s => s.Name == key);
            string? value = valueNode is not YamlScalarNode && setting?.IsStructured == true ? Text(valueNode) : Scalar(valueNode);
            string where = $"{file}:{keyNode.Start.Line}: {key}";
            if (setting is null)
                faults.Add($"{where} is unknown");
            else if (value is null)
                faults.Add($"{where} is neither a value nor a list of values");
            else if (setting.Apply(options, value) is { } fault)
                faults.Add($"{where} {fault}");
        }
    }

    /// <summary>A value, or a list of them with commas between; null for anything else.</summary>
    public static string? Scalar(YamlNode node) => node switch
    {
        YamlScalarNode scalar => scalar.Value ?? "",
        YamlSequenceNode list when list.Children.All(static item => item is YamlScalarNode) =>
            string.Join(',', list.Children.Select(static item => ((YamlScalarNode)item).Value)),
        _ => null,
    };

    private static string Text(YamlNode node)
    {
        var text = new StringWriter();
        new YamlStream(new YamlDocument(node)).Save(text, assignAnchors: false);
        return text.ToString();
    }

    private static string Help()
    {
        var text = new StringBuilder("Leases addresses for Kubernetes Services from the network's DHCP servers.\n\nUsage: DynamicLb.AddressService [flags]\n\n");
        Line(text, "--config FILE", "YAML file with the same names as keys");
        foreach (var setting in Settings.All)
            Line(text, $"--{setting.Name} {setting.Value}".TrimEnd(), setting.Help);
        text.Append("\nEvery flag is also an environment variable, such as ").Append(Settings.All[0].Variable).Append(". The flag wins over the variable, that over the file.\n");
        return text.ToString();
    }

    private static void Line(StringBuilder text, string flag, string help) => text.Append("  ").Append(flag.PadRight(28)).Append(' ').Append(help).Append('\n');
}
