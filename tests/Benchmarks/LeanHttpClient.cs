using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>
/// POST /v1/ip over plain sockets within a namespace: what the caller costs would otherwise be measured along, on the processors that it shares with
/// the address service.
/// </summary>
internal sealed class LeanHttpClient(LabHost host, AddressServiceProcess service)
{
    public async Task<Connection> ConnectAsync(CancellationToken cancellationToken)
    {
        var socket = host.Namespace.CreateTcpSocket();
        socket.NoDelay = true;
        await socket.ConnectAsync(new IPEndPoint(host.ManagementAddress, service.Url.Port), cancellationToken);
        return new Connection(socket, service.Token);
    }

    /// <summary>One connection, one call at a time.</summary>
    internal sealed class Connection(Socket socket, string token) : IDisposable
    {
        private readonly byte[] _buffer = new byte[16384];

        /// <summary>Leases an address for a service, or asks for the one that it has.</summary>
        public async Task<string> AcquireAsync(string name, CancellationToken cancellationToken)
        {
            string body = $$"""{"service":"{{name}}"}""";
            int length = Encoding.ASCII.GetBytes(
                $"POST /v1/ip HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {token}\r\nContent-Type: application/json\r\nContent-Length: {body.Length.ToString(CultureInfo.InvariantCulture)}\r\n\r\n{body}", _buffer);
            await socket.SendAsync(_buffer.AsMemory(0, length), cancellationToken);
            var answer = await ReceiveAsync(cancellationToken);
            return JsonSerializer.Deserialize(answer.Span, AddressServiceJsonContext.Default.AcquireAddressAnswer)!.Ip;
        }

        public void Dispose() => socket.Dispose();

        private async Task<ReadOnlyMemory<byte>> ReceiveAsync(CancellationToken cancellationToken)
        {
            int received = 0;
            while (true)
            {
                int read = await socket.ReceiveAsync(_buffer.AsMemory(received), cancellationToken);
                if (read == 0)
                    throw new IOException("The address service closed the connection.");
                received += read;
                if (Body(_buffer.AsSpan(0, received)) is { } body)
                    return Encoding.ASCII.GetString(_buffer.AsSpan(0, 12)) == "HTTP/1.1 200" ? _buffer.AsMemory(body) : throw new IOException(Encoding.UTF8.GetString(_buffer, 0, received));
            }
        }

        /// <summary>Where the body is, once it is there as a whole. The service answers with a length, or in one chunk.</summary>
        private static Range? Body(ReadOnlySpan<byte> received)
        {
            int end = received.IndexOf("\r\n\r\n"u8);
            if (end < 0)
                return null;
            int start = end + 4;
            var headers = received[..start];
            int at = headers.IndexOf("Content-Length: "u8);
            if (at >= 0)
            {
                return Utf8Parser.TryParse(headers[(at + 16)..], out int length, out _) && received.Length >= start + length ? start..(start + length) : null;
            }
            if (!received[start..].EndsWith("\r\n0\r\n\r\n"u8) || !Utf8Parser.TryParse(received[start..], out int chunk, out int digits, 'x'))
                return null;
            start += digits + 2;
            return start..(start + chunk);
        }
    }
}
