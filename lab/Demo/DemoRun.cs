using DynamicLb.Contracts;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Lab.Demo;

/// <summary>The main job, step by step.</summary>
internal sealed class DemoRun(LabNetwork network, DemoOptions options, StepLog steps) : IDemo
{
    private static readonly string[] _nodes = ["node1", "node2"];
    private DhcpServer _dhcp = null!;
    private DemoCluster _cluster = null!;
    private AddressServiceProcess _addresses = null!;
    private DemoPrograms _programs = null!;
    private string _ip = "";
    private string _mac = "";

    /// <summary>All steps; throws at the first that is not observed.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await steps.RunAsync("lan", () => StartLanAsync(cancellationToken));
        await steps.RunAsync("kubernetes", () => StartKubernetesAsync(cancellationToken));
        await steps.RunAsync("programs", () => StartProgramsAsync(cancellationToken));
        await steps.RunAsync("address", () => ApplyServiceAsync(cancellationToken));
        await steps.RunAsync("lease", () => CompareLeasesAsync(cancellationToken));
        await steps.RunAsync("traffic", () => FetchAsync(cancellationToken));
        await steps.RunAsync("crash", () => KillAddressServiceAsync(cancellationToken));
        await steps.RunAsync("takeover", () => StopSpeakerAsync(cancellationToken));
        await steps.RunAsync("release", () => DeleteServiceAsync(cancellationToken));
    }

    /// <summary>Puts the Service back and waits for Ctrl-C.</summary>
    public async Task PlayAsync(CancellationToken cancellationToken)
    {
        foreach (var name in _nodes.Where(n => _programs.Speaker(n).HasExited))
            _programs.StartSpeaker(name);
        await _cluster.CreateWebAsync([network["node2"]], cancellationToken);
        await WaitForAddressAsync(cancellationToken);
        foreach (var node in _nodes)
            await ForwardAsync(node, cancellationToken);
        Console.WriteLine($"""

            Everything is up again, with demo/web at {_ip}. Play with it:
              export KUBECONFIG={_cluster.HostKubeconfig}
              kubectl get services -A -o wide
              the API's page:       {_cluster.HostUrl}
              fetch as the client:  ip netns exec {network["client"].Namespace.Name} curl http://{_ip}/
              watch the LAN:        ip netns exec {network["client"].Namespace.Name} tcpdump -ni eth0
              address service:      ip netns exec {network["node1"].Namespace.Name} curl -H "X-Auth-Token: {_addresses.Token}" {_addresses.Url}v1/status
              logs:                 {network.Folder}/*.log
            Ctrl-C removes all of it.
            """);
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        _addresses?.Dispose();
        if (_cluster is not null)
            await _cluster.DisposeAsync();
    }

    private async Task<string> StartLanAsync(CancellationToken cancellationToken)
    {
        await network.AddHostAsync("router", 1, cancellationToken);
        await network.AddHostAsync("kube", 10, cancellationToken);
        await network.AddHostAsync("node1", 11, cancellationToken);
        await network.AddHostAsync("node2", 12, cancellationToken);
        await network.AddHostAsync("client", 50, cancellationToken);
        _dhcp = DhcpServer.Create(options.Dhcp, network, network["router"]);
        await _dhcp.StartAsync(cancellationToken);
        return $"A LAN 10.20.0.0/24 in namespaces {network.Prefix}-*: {_dhcp.Software} leases .100 to .199; two nodes, one client";
    }

    private async Task<string> StartKubernetesAsync(CancellationToken cancellationToken)
    {
        _cluster = await DemoCluster.StartAsync(network, network["kube"], options.Kube, cancellationToken);
        return await _cluster.PopulateAsync(_nodes.Select(name => network[name]), cancellationToken);
    }

    private async Task<string> StartProgramsAsync(CancellationToken cancellationToken)
    {
        // The address service runs on a node's network, as in the manifest.
        var starting = AddressServiceProcess.StartAsync(network, network["node1"], cancellationToken);
        network.Start(network["node2"], "web", "dotnet", Programs.PathOf("Lab"), "web", "8080", "node2");
        _addresses = await starting;

        _programs = new DemoPrograms(network, _cluster, options.UsesResources);
        if (options.UsesResources)
        {
            await _cluster.DefineResourcesAsync(cancellationToken);
            await _cluster.CreateConfigurationAsync(_addresses.Url, _addresses.Token, cancellationToken);
        }
        else
        {
            await File.WriteAllTextAsync(_programs.ConfigurationFile, $"""
                address-services:
                - name: dhcp
                  url: {_addresses.Url.ToString().TrimEnd('/')}
                  protocol: layer2
                  token-file: {_addresses.TokenFile}

                """, cancellationToken);
        }

        await _programs.StartAsync(_nodes, cancellationToken);
        return "Ready: the address service on node1, the controller, a speaker on each node";
    }

    private async Task<string> ApplyServiceAsync(CancellationToken cancellationToken)
    {
        await _cluster.CreateWebAsync([network["node2"]], cancellationToken);
        await WaitForAddressAsync(cancellationToken);
        foreach (var node in _nodes)
            await ForwardAsync(node, cancellationToken);
        return $"Service demo/web, type LoadBalancer, has the address {_ip}";
    }

    private async Task WaitForAddressAsync(CancellationToken cancellationToken)
    {
        (var service, _ip) = await _cluster.WaitForWebAddressAsync(cancellationToken);
        if (service["metadata"]?["annotations"]?[Annotations.AllocatedFromPool]?.GetValue<string>() != "dhcp")
            throw new InvalidOperationException("the Service does not say that its address is from the address service dhcp");
    }

    private Task ForwardAsync(string node, CancellationToken cancellationToken) => _programs.ForwardAsync(node, _ip, "node2", cancellationToken);

    private async Task<string> CompareLeasesAsync(CancellationToken cancellationToken)
    {
        var theirs = await Wait.ForAsync(() => _dhcp.LeaseOfAsync(_ip, cancellationToken), TimeSpan.FromSeconds(30), $"{_ip} in the table of {_dhcp.Software}", cancellationToken);
        var ours = (await _addresses.StatusAsync(cancellationToken)).Allocations.Single(l => l.Service == "demo/web");
        _mac = ours.Mac.ToLowerInvariant();
        if (ours.Ip != theirs.Ip || _mac != theirs.Mac || theirs.HostName != "web-demo")
            throw new InvalidOperationException($"the server's entry {theirs} is not ours: {ours}");
        return $"""
            The same lease on both sides:
                        {_dhcp.Software,-16}  {theirs.Ip}  {theirs.Mac}  {theirs.HostName}  until {theirs.Expiry:HH:mm:ss}
                        address service   {ours.Ip}  {_mac}  {ours.Hostname}  until {ours.ValidUntil:HH:mm:ss}  ({ours.Service})
            """;
    }

    private async Task<string> FetchAsync(CancellationToken cancellationToken)
    {
        var node = await WaitForAnnouncerAsync(null, cancellationToken);
        var page = await PageAsync(cancellationToken);
        return $"The client resolves {_ip} to {await network[node].MacAsync(cancellationToken)} ({node}) and fetches \"{page}\"";
    }

    private async Task<string> WaitForAnnouncerAsync(string? notThis, CancellationToken cancellationToken)
    {
        var macs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in _nodes)
            macs.Add(await network[name].MacAsync(cancellationToken), name);
        return await Wait.ForAsync(async () =>
        {
            var mac = await network["client"].ResolveAsync(_ip, cancellationToken);
            return mac is null || macs[mac] == notThis ? null : macs[mac];
        }, TimeSpan.FromSeconds(30), notThis is null ? $"an ARP answer for {_ip}" : $"another node than {notThis} to answer for {_ip}", cancellationToken);
    }

    private async Task<string> PageAsync(CancellationToken cancellationToken) =>
        (await Wait.ForAsync(() => network["client"].FetchAsync($"http://{_ip}/", 2, cancellationToken), TimeSpan.FromSeconds(30), $"the page at http://{_ip}/", cancellationToken)).Trim();

    private async Task<string> KillAddressServiceAsync(CancellationToken cancellationToken)
    {
        var old = _addresses.Process!.Id;
        await _addresses.KillAsync();
        // A busy machine holds up the one who asks, and the one who answers.
        if ((await network["client"].ResolveAsync(_ip, cancellationToken) ?? await network["client"].ResolveAsync(_ip, cancellationToken)) is null)
            throw new InvalidOperationException($"{_ip} went silent with the address service");
        await _addresses.StartAgainAsync(cancellationToken);

        // The restarted service asks the server whether the lease still stands before it says so.
        var lease = await Wait.ForAsync(
            async () => (await _addresses.StatusAsync(cancellationToken)).Allocations.FirstOrDefault(l => l.Service == "demo/web" && l.Verified),
            TimeSpan.FromMinutes(1), "the lease to be confirmed after the restart", cancellationToken);
        var theirs = await _dhcp.LeaseOfAsync(_ip, cancellationToken);
        if (lease.Ip != _ip || !string.Equals(lease.Mac, _mac, StringComparison.OrdinalIgnoreCase) || theirs?.Mac != _mac)
            throw new InvalidOperationException($"the lease did not go on: {lease}, at the server {theirs}");
        await PageAsync(cancellationToken);
        return $"The address service (process {old}) was killed and started again: the same lease goes on, {_ip} for {_mac}";
    }

    private async Task<string> StopSpeakerAsync(CancellationToken cancellationToken)
    {
        var first = await WaitForAnnouncerAsync(null, cancellationToken);
        var (process, dialed) = await _programs.DialAsync(_ip, cancellationToken);
        await using var dialer = process;

        var since = TimeProvider.System.GetUtcNow();
        _programs.Speaker(first).Signal("TERM");
        await _programs.Speaker(first).WaitForExitAsync(cancellationToken);
        var second = await WaitForAnnouncerAsync(first, cancellationToken);
        var page = await PageAsync(cancellationToken);
        // A connection that waits for its answer is known to fail a second later.
        await Task.Delay(TimeSpan.FromSeconds(1.2), TimeProvider.System, cancellationToken);
        var gap = Dialer.LongestGap(dialed, since - TimeSpan.FromMilliseconds(100));
        return $"The speaker of {first} was stopped: {second} answers for {_ip} now, and the client fetches \"{page}\"; it connects every 10 ms, and the longest gap was {gap.TotalMilliseconds:0} ms";
    }

    private async Task<string> DeleteServiceAsync(CancellationToken cancellationToken)
    {
        await _cluster.DeleteWebAsync(cancellationToken);
        await Wait.UntilAsync(async () => await _dhcp.LeaseOfAsync(_ip, cancellationToken) is null, TimeSpan.FromMinutes(1), $"{_dhcp.Software} to free {_ip}", cancellationToken);
        await Wait.UntilAsync(async () => await network["client"].ResolveAsync(_ip, cancellationToken) is null, TimeSpan.FromSeconds(30), $"nobody to answer for {_ip}", cancellationToken);
        return $"demo/web was deleted: {_dhcp.Software} has the lease of {_ip} back, and nobody answers for it";
    }
}
