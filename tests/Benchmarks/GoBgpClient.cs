using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>
/// Adds routes to GoBGP by its gRPC API (AddPathStream of apipb.GobgpApi), the way a program that uses it does: its command line takes one route at a time, and what it injects from a
/// file is not all there when it ends. The few messages are encoded here.
/// </summary>
internal sealed class GoBgpClient(LabHost host) : IDisposable
{
    private const int PathsInMessage = 500;
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false, ConnectCallback = host.Connector("127.0.0.1", 50051) })
    {
        BaseAddress = new Uri("http://127.0.0.1:50051"),
        Timeout = TimeSpan.FromMinutes(3),
    };

    /// <summary>Adds routes of one host each, or replaces them.</summary>
    public async Task AddAsync(IEnumerable<string> addresses, string nextHop, uint community, CancellationToken cancellationToken)
    {
        byte[][] attributes =
        [
            Any("OriginAttribute", []), Any("NextHopAttribute", Field(1, Encoding.ASCII.GetBytes(nextHop))), Any("CommunitiesAttribute", Field(1, Number(community))),
        ];
        byte[] family = Field(9, [.. Number(1, 1), .. Number(2, 1)]);
        var body = new MemoryStream();
        foreach (string[] batch in addresses.Chunk(PathsInMessage))
        {
            var message = new MemoryStream();
            foreach (string address in batch)
            {
                byte[] nlri = Any("IPAddressPrefix", [.. Number(1, 32), .. Field(2, Encoding.ASCII.GetBytes(address))]);
                message.Write(Field(3, [.. Field(1, nlri), .. attributes.SelectMany(static attribute => Field(2, attribute)), .. family]));
            }
            var header = new byte[5];
            BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(1), (int)message.Length);
            body.Write(header);
            message.WriteTo(body);
        }
        using var request = new HttpRequestMessage(HttpMethod.Post, "/apipb.GobgpApi/AddPathStream")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body.ToArray()) { Headers = { ContentType = new MediaTypeHeaderValue("application/grpc") } },
        };
        request.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        using var answer = await _http.SendAsync(request, cancellationToken);
        _ = await answer.Content.ReadAsByteArrayAsync(cancellationToken);
        string status = new[] { answer.TrailingHeaders, answer.Headers }.Select(static headers => headers.TryGetValues("grpc-status", out var values) ? values.First() : "").First(static value => value.Length > 0);
        if (status != "0")
            throw new InvalidOperationException($"GoBGP refuses the routes: status {status}");
    }

    public void Dispose() => _http.Dispose();

    private static byte[] Any(string type, byte[] value) => [.. Field(1, Encoding.ASCII.GetBytes($"type.googleapis.com/apipb.{type}")), .. Field(2, value)];

    /// <summary>A field of bytes, or of a message.</summary>
    private static byte[] Field(int number, byte[] value) => [(byte)((number << 3) | 2), .. Number((uint)value.Length), .. value];

    /// <summary>A field of a number.</summary>
    private static byte[] Number(int field, uint value) => [(byte)(field << 3), .. Number(value)];

    private static byte[] Number(uint value)
    {
        var bytes = new List<byte>(5);
        for (; value >= 0x80; value >>= 7)
            bytes.Add((byte)(value | 0x80));
        bytes.Add((byte)value);
        return [.. bytes];
    }
}
