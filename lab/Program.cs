using System.Globalization;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Lab.Demo;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Lab.Networks;
using DynamicLb.Networking.Addresses;

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) => { e.Cancel = true; stop.Cancel(); };
using var terminated = System.Runtime.InteropServices.PosixSignalRegistration.Create(
    System.Runtime.InteropServices.PosixSignal.SIGTERM, context => { context.Cancel = true; stop.Cancel(); });

switch (args)
{
    case ["relay", var path, var host, var port]:
        using (var listener = Relay.ListenUnix(path))
            await Relay.RunAsync(listener, token => Relay.ConnectTcpAsync(host, int.Parse(port, CultureInfo.InvariantCulture), token), stop.Token);
        return 0;

    // The other way round: what connects here, inside a namespace, reaches the Unix socket.
    case ["relay-out", var address, var port, var path]:
        using (var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            listener.Bind(new IPEndPoint(IPAddress.Parse(address), int.Parse(port, CultureInfo.InvariantCulture)));
            listener.Listen();
            await Relay.RunAsync(listener, token => Relay.ConnectUnixAsync(path, token), stop.Token);
        }

        return 0;

    case ["dial", var server, var port]:
        await Dialer.RunAsync(new IPEndPoint(IPAddress.Parse(server), int.Parse(port, CultureInfo.InvariantCulture)), stop.Token);
        return 0;

    case ["forge-acks", var own, var granted]:
        await ForgedAcks.RunAsync(IPv4Address.Parse(own), IPv4Address.Parse(granted), stop.Token);
        return 0;

    case ["vlan-cable", var access, var trunk, var vlan]:
        await VlanCable.RunAsync(access, trunk, ushort.Parse(vlan, CultureInfo.InvariantCulture), stop.Token);
        return 0;

    case ["dhcp6-clients", var link, .. var task]:
        await Dhcp6Clients.RunAsync(link, task, stop.Token);
        return 0;

    // Stands for a program of the host that has a port.
    case ["hold-udp", var held]:
        using (var holder = new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp))
        {
            holder.Bind(new IPEndPoint(IPAddress.IPv6Any, int.Parse(held, CultureInfo.InvariantCulture)));
            Console.WriteLine("ready");
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        return 0;

    case ["web", var listenPort, var node]:
        await WebBackend.RunAsync(listenPort, node, stop.Token);
        return 0;

    default:
        return await DemoCommand.RunAsync(args, stop.Token);
}
