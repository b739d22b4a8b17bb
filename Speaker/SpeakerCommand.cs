using System.CommandLine;
using System.Text.RegularExpressions;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Speaker.Bgp;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker;

/// <summary>The settings of a speaker. Immutable.</summary>
/// <param name="Common">What controller and speaker share.</param>
/// <param name="NodeName">The node we run on: <c>spec.nodeName</c> of our pod.</param>
/// <param name="ExcludedInterfaces">Interfaces on which nothing is announced.</param>
/// <param name="IgnoreExcludeLabel">Whether the label <c>node.kubernetes.io/exclude-from-external-load-balancers</c> is ignored.</param>
/// <param name="HeartbeatKeyFile">File with the key of the heartbeats; null for none, and then no heartbeats.</param>
/// <param name="HeartbeatInterval">Pause between heartbeats where few nodes are heard.</param>
/// <param name="LeaseDuration">How long the others wait for a sign of life of ours; renewed three times in it. Whole seconds.</param>
internal sealed record SpeakerOptions(
    KubernetesProgramSettings Common, string NodeName, Regex ExcludedInterfaces, bool IgnoreExcludeLabel, TimeSpan LeaseDuration,
    string? HeartbeatKeyFile, TimeSpan HeartbeatInterval)
{
    /// <summary>How often neighbours are told of an address that stays; zero for never.</summary>
    public TimeSpan GratuitousRefresh { get; init; }

    /// <summary>What is done when another machine has an address.</summary>
    public ConflictPolicy ConflictPolicy { get; init; }

    /// <summary>Whether who announces a Service goes on as long as it can, even when another would be elected anew.</summary>
    public bool StickyOwners { get; init; }

    /// <summary>How BGP is spoken.</summary>
    public BgpOptions Bgp { get; init; } = new();
}

/// <summary>The command line.</summary>
internal static class SpeakerCommand
{
    /// <summary>What belongs to containers and virtual machines, by name, as MetalLB ships it.</summary>
    public const string DefaultExcluded =
        "^(docker.*|cbr.*|dummy.*|virbr.*|lxcbr.*|veth.*|lo|cali.*|tunl.*|flannel.*|kube-ipvs.*|cni.*|nodelocaldns.*|lxc.*)$";

    private const string FrrK8s = "frr-k8s";

    /// <summary>Who speaks BGP. FRR beside us is not needed for anything any more, so "frr" is what "native" is.</summary>
    private static string BgpType => Environment.GetEnvironmentVariable("METALLB_BGP_TYPE") is { Length: > 0 } type ? type : "native";

    public static RootCommand Create(Func<SpeakerOptions, CancellationToken, Task> run)
    {
        var common = new KubernetesProgramArguments("http://127.0.0.1:17473");
        var node = new Option<string?>("--node-name") { Description = "The node we run on; without it METALLB_NODE_NAME, then DYNAMICLB_NODE_NAME." };
        var excluded = new Option<string>("--exclude-interfaces")
        {
            Description = "Regular expression of the interfaces on which nothing is announced.",
            DefaultValueFactory = static _ => DefaultExcluded,
        };
        var ignoreExclude = new Option<bool>("--ignore-exclude-lb") { Description = "Announce from nodes with the exclude label, too." };
        var leaseSeconds = new Option<int>("--lease-seconds")
        {
            Description = "How long the other speakers wait for a sign of life of this one before they take over, 1 to 300.",
            DefaultValueFactory = static _ => 3,
        };
        var key = new Option<string?>("--heartbeat-key-file")
        {
            Description = "File with the key by which speakers know each other's heartbeats on the segment; without it a node that dies is noticed by its Lease alone.",
        };
        var interval = new Option<int>("--heartbeat-ms")
        {
            Description = "Pause between heartbeats in milliseconds, 20 to 1000; after five without a sign a node is taken for dead.",
            DefaultValueFactory = static _ => 100,
        };
        var refresh = new Option<int>("--gratuitous-refresh-seconds")
        {
            Description = "How often neighbours and switches are told of an address that stays, 10 to 86400; 0 for only when it comes.",
            DefaultValueFactory = static _ => 120,
        };
        var conflicts = new Option<string>("--address-conflicts")
        {
            Description = "Whether a new address of a pool is looked for on the LAN before its first use, and what is done when another machine has it: refuse, defend or off.",
            DefaultValueFactory = static _ => "refuse",
        };
        conflicts.AcceptOnlyFromAmong("refuse", "defend", "off");
        var sticky = new Option<bool>("--sticky-owners")
        {
            Description = "Who announces a Service goes on as long as it can; else a node that returns takes back what it is elected for. The same for all speakers.",
        };
        refresh.Validators.Add(static result =>
        {
            if (result.GetValueOrDefault<int>() is not 0 and (< 10 or > 86400))
                result.AddError("--gratuitous-refresh-seconds: must be 0, or from 10 to 86400.");
        });
        interval.Validators.Add(static result =>
        {
            if (result.GetValueOrDefault<int>() is < 20 or > 1000)
                result.AddError("--heartbeat-ms: must be from 20 to 1000.");
        });
        var frrNamespace = new Option<string?>("--frrk8s-namespace")
        {
            Description = "Namespace of FRR-K8s, where METALLB_BGP_TYPE is frr-k8s; without it FRRK8S_NAMESPACE, then our own.",
        };
        var frrSecrets = new Option<bool>("--frrk8s-secret-passthrough")
        {
            Description = "Name the Secrets of passwords to FRR-K8s, which has them in its own namespace, without reading them.",
        };
        var bgpPort = new Option<int>("--bgp-listen") { Description = "Port on which connections of routers are taken, 1 to 65535; 0 for none: then we always connect." };
        bgpPort.Validators.Add(static result =>
        {
            if (result.GetValueOrDefault<int>() is < 0 or > ushort.MaxValue)
                result.AddError("--bgp-listen: must be from 0 to 65535.");
        });
        var bgpPassive = new Option<bool>("--bgp-passive") { Description = "Wait for routers to connect, with --bgp-listen." };
        var ttlSecurity = new Option<bool>("--bgp-ttl-security")
        {
            Description = "Take packets of routers of another AS, without ebgpMultiHop, only with TTL 255 (RFC 5082); the routers must send so.",
        };
        leaseSeconds.Validators.Add(static result =>
        {
            if (result.GetValueOrDefault<int>() is < 1 or > 300)
                result.AddError("--lease-seconds: must be from 1 to 300.");
        });
        excluded.Validators.Add(static result =>
        {
            try
            {
                _ = Pattern(result.GetValueOrDefault<string>()!);
            }
            catch (ArgumentException e)
            {
                result.AddError($"--exclude-interfaces: {e.Message}");
            }
        });

        var command = new RootCommand("DynamicLb speaker: announces the addresses of Services from this node.");
        common.AddTo(command);
        command.Options.Add(node);
        command.Options.Add(excluded);
        command.Options.Add(ignoreExclude);
        command.Options.Add(leaseSeconds);
        command.Options.Add(key);
        command.Options.Add(interval);
        command.Options.Add(refresh);
        command.Options.Add(conflicts);
        command.Options.Add(sticky);
        foreach (var option in (Option[])[frrNamespace, frrSecrets, bgpPort, bgpPassive, ttlSecurity])
            command.Options.Add(option);
        command.Validators.Add(result =>
        {
            if (NodeName(result.GetValue(node)) is null)
                result.AddError("--node-name: is required (or METALLB_NODE_NAME in the environment).");
            if (result.GetValue(bgpPassive) && result.GetValue(bgpPort) == 0)
                result.AddError("--bgp-passive: needs --bgp-listen, else there is nobody to begin.");
            if (BgpType is not ("native" or "frr" or FrrK8s))
                result.AddError($"METALLB_BGP_TYPE: {BgpType} is none of native, frr and {FrrK8s}.");
        });
        command.SetAction((result, cancellationToken) => run(
            new SpeakerOptions(
                common.Read(result), NodeName(result.GetValue(node))!, Pattern(result.GetValue(excluded)!), result.GetValue(ignoreExclude),
                TimeSpan.FromSeconds(result.GetValue(leaseSeconds)), result.GetValue(key), TimeSpan.FromMilliseconds(result.GetValue(interval)))
            {
                GratuitousRefresh = TimeSpan.FromSeconds(result.GetValue(refresh)),
                ConflictPolicy = Enum.Parse<ConflictPolicy>(result.GetValue(conflicts)!, ignoreCase: true),
                StickyOwners = result.GetValue(sticky),
                Bgp = new BgpOptions
                {
                    ListenPort = result.GetValue(bgpPort),
                    IsPassive = result.GetValue(bgpPassive),
                    TtlSecurity = result.GetValue(ttlSecurity),
                    UsesFrrK8s = BgpType == FrrK8s,
                    FrrNamespace = new[] { result.GetValue(frrNamespace), Environment.GetEnvironmentVariable("FRRK8S_NAMESPACE") }.FirstOrDefault(static name => !string.IsNullOrEmpty(name)),
                    PassesFrrSecrets = result.GetValue(frrSecrets),
                },
            },
            cancellationToken));
        return command;
    }

    private static string? NodeName(string? given) =>
        new[] { given, Environment.GetEnvironmentVariable("METALLB_NODE_NAME"), Environment.GetEnvironmentVariable("DYNAMICLB_NODE_NAME") }
            .FirstOrDefault(static name => !string.IsNullOrEmpty(name));

    /// <summary>
    /// Interfaces by their names. Without a limit of time: names have at most 15 characters, which no pattern is long busy with, and a limit would also be over when the process stood still.
    /// </summary>
    internal static Regex Pattern(string text) => new(text, RegexOptions.CultureInvariant);
}
