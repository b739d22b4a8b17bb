using System.CommandLine;
using System.Net;
using System.Text.Json;
using DynamicLb.AddressService.SelfTest;
using DynamicLb.Cli;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.AddressService;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace DynamicLb.Tests.Unit.SelfTest;

/// <summary>The self-test through the REST API, and <c>dynlb doctor dhcp</c> before it.</summary>
public sealed class SelfTestApiTests
{
    private readonly FakeLink _link = new();
    private readonly FakeTime _time = new();

    [Fact]
    public async Task Every_mode_is_tried_no_lease_is_touched_and_the_last_result_can_be_read_again()
    {
        await using var host = await StartAsync();
        Assert.Equal(HttpStatusCode.NotFound, (await host.SendAsync(HttpMethod.Get, "/v1/selftest")).Code);
        await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");

        var (code, body) = await PassAsync(host.PostAsync("/v1/selftest", """{"seconds":1}"""), answered: 2);
        Assert.Equal(HttpStatusCode.OK, code);
        var answer = body.Deserialize(AddressServiceJsonContext.Default.SelfTestAnswer)!;
        Assert.Equal(
            [(SelfTestModes.Nic, SelfTestOutcome.Works), (SelfTestModes.ChAddr, SelfTestOutcome.NoReply), (SelfTestModes.ClientId, SelfTestOutcome.Works), (SelfTestModes.Relay, SelfTestOutcome.NotTried)],
            answer.Modes!.Select(mode => (mode.Mode, mode.Outcome)));
        Assert.Contains("port security", answer.Modes![1].Cause, StringComparison.Ordinal);
        Assert.Equal(["10.77.0.100"], host.Server.Leases.Values.Select(address => address.ToString()));
        Assert.NotEqual("10.77.0.100", answer.Modes[0].Ip);
        Assert.Equal(answer.Started, (await host.SendAsync(HttpMethod.Get, "/v1/selftest")).Body.GetProperty("started").GetDateTimeOffset());
    }

    [Fact]
    public async Task Where_there_is_to_be_one_MAC_no_second_one_is_sent_from_unless_that_is_asked_for()
    {
        _link.HasOneMac = true;
        await using var host = await StartAsync();
        var (_, body) = await PassAsync(host.PostAsync("/v1/selftest", """{"seconds":1}"""), answered: 2);
        var chAddr = body.Deserialize(AddressServiceJsonContext.Default.SelfTestAnswer)!.Modes!.Single(mode => mode.Mode == SelfTestModes.ChAddr);
        Assert.Equal(SelfTestOutcome.NotTried, chAddr.Outcome);
        Assert.Contains("name the mode to try it", chAddr.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain(SelfTestModes.ChAddr, _link.Modes);
        (_, body) = await PassAsync(host.PostAsync("/v1/selftest", """{"seconds":1,"modes":["chaddr"]}"""), answered: 2);
        Assert.Equal(SelfTestOutcome.NoReply, body.Deserialize(AddressServiceJsonContext.Default.SelfTestAnswer)!.Modes![0].Outcome);
        Assert.Contains(SelfTestModes.ChAddr, _link.Modes);
    }

    [Fact]
    public async Task Only_admins_may_run_it_one_at_a_time_and_nonsense_is_refused()
    {
        await using var host = await StartAsync("reader read,lease * the-reader-s-token");
        using (var refused = await host.CallAsync("the-reader-s-token", HttpMethod.Post, "/v1/selftest", "{}"))
            Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        foreach (var (request, fault) in new[] { ("""{"modes":["wifi"]}""", "modes: 'wifi'"), ("""{"seconds":31}""", "seconds"), ("""{"interface":"lan9"}""", "lan0") })
        {
            var (code, body) = await host.PostAsync("/v1/selftest", request);
            Assert.Equal(HttpStatusCode.BadRequest, code);
            Assert.Contains(fault, body.GetProperty("detail").GetString(), StringComparison.Ordinal);
        }
        var first = host.PostAsync("/v1/selftest", """{"seconds":1,"modes":["chaddr"]}""");
        await _link.Opened.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System);
        Assert.Equal(HttpStatusCode.Conflict, (await host.PostAsync("/v1/selftest", "{}")).Code);
        Assert.Equal(HttpStatusCode.OK, (await PassAsync(first, answered: 0)).Code);
    }

    [Fact]
    public async Task The_doctor_tells_it_in_words_or_as_JSON_and_its_exit_code_says_whether_what_is_configured_works()
    {
        await using var host = await StartAsync();
        var (code, text) = await PassAsync(DoctorAsync(host, "--modes", "nic,chaddr", "--seconds", "1"), answered: 1);
        Assert.True(code == 0, text);
        Assert.Contains("+ nic        works", text, StringComparison.Ordinal);
        Assert.Contains("- chaddr     no reply", text, StringComparison.Ordinal);
        Assert.Contains("Likely cause: the port lets only", text, StringComparison.Ordinal);
        Assert.Contains("Nothing needs to change", text, StringComparison.Ordinal);
        Assert.Contains("    transport: nic", text, StringComparison.Ordinal);

        _link.Configured = SelfTestModes.ChAddr;
        (code, text) = await PassAsync(DoctorAsync(host, "--modes", "chaddr", "--seconds", "1", "--output", "json"), answered: 1);
        Assert.Equal(1, code);
        Assert.Equal(SelfTestOutcome.NoReply, JsonSerializer.Deserialize(text, AddressServiceJsonContext.Default.SelfTestAnswer)!.Modes![0].Outcome);

        Assert.Equal(2, (await DoctorAsync(host, "--interface", "lan9")).Code);
    }

    private async Task<ApiHost> StartAsync(string? tokens = null)
    {
        var host = await ApiHost.StartAsync(time: _time, build: builder => builder.Services.Replace(ServiceDescriptor.Singleton<ISelfTestLinks>(_link)), tokens: tokens);
        _link.Server = host.Server;
        return host;
    }

    /// <summary>Lets time pass when those who get answers have had them: what is left to wait for is those that do not come.</summary>
    /// <param name="test">What runs.</param>
    /// <param name="answered">How many tries since the start get answers, this test's included.</param>
    private async Task<T> PassAsync<T>(Task<T> test, int answered)
    {
        while (!test.IsCompleted)
        {
            if (_link.Answered == answered)
                _time.Advance(TimeSpan.FromSeconds(0.5));
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, TestContext.Current.CancellationToken);
        }
        return await test;
    }

    private static async Task<(int Code, string Output)> DoctorAsync(ApiHost host, params string[] arguments)
    {
        await using var output = new StringWriter();
        await using var error = new StringWriter();
        int code = await CommandTable.Create().Parse(["doctor", "dhcp", "--url", $"{host.Http.BaseAddress}", "--token-file", host.TokenPath, .. arguments])
            .InvokeAsync(new InvocationConfiguration { Output = output, Error = error }, TestContext.Current.CancellationToken);
        return (code, output.ToString() + error);
    }

    /// <summary>A port that lets only the interface's own MAC through.</summary>
    private sealed class FakeLink : ISelfTestLinks, ISelfTestLink
    {
        private int _answered;
        private readonly FakeDhcpServer _byClientId = new() { HonoursClientIds = true, First = IPv4Address.Parse("10.77.0.150") };

        public FakeDhcpServer Server { get; set; } = null!;

        /// <summary>Tries that got all their answers.</summary>
        public int Answered => Volatile.Read(ref _answered);

        public TaskCompletionSource Opened { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public IReadOnlyList<string> Names => [Name];

        public string Name => "lan0";

        public MacAddress Mac => MacAddress.Parse("02:00:00:00:00:07");

        public string Configured { get; set; } = SelfTestModes.Nic;

        public bool HasOneMac { get; set; }

        public bool HasRelay => false;

        public DhcpClientSettings Settings => DhcpClientSettings.Default;

        public string? VendorClass => null;

        public ISelfTestLink? Find(string? name) => name is null or "lan0" ? this : null;

        public IReadOnlySet<IPv4Address> OwnAddresses() => new HashSet<IPv4Address>();

        public string? Refuse(IPv4Address address) => null;

        public System.Collections.Concurrent.ConcurrentBag<string> Modes { get; } = [];

        public IDhcpTransport Open(string mode)
        {
            Modes.Add(mode);
            Opened.TrySetResult();
            return mode switch
            {
                SelfTestModes.ChAddr => new InMemoryDhcpTransport(Server) { Loses = static _ => true },
                SelfTestModes.ClientId => new Counted(new InMemoryDhcpTransport(_byClientId), this),
                _ => new Counted(new InMemoryDhcpTransport(Server), this),
            };
        }

        private sealed class Counted(IDhcpTransport inner, FakeLink link) : IDhcpTransport
        {
            private bool _isOver;

            public ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken)
            {
                // It has all answers when it gives back for the first time; for the second it waits.
                if (message.Type == DhcpMessageType.Release && !_isOver)
                {
                    _isOver = true;
                    Interlocked.Increment(ref link._answered);
                }
                return inner.SendAsync(message, destination, cancellationToken);
            }

            public void Join(MacAddress hardwareAddress) => inner.Join(hardwareAddress);

            public void Leave(MacAddress hardwareAddress) => inner.Leave(hardwareAddress);

            public Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken) => inner.RunAsync(receiver, cancellationToken);

            public ValueTask DisposeAsync() => inner.DisposeAsync();
        }
    }
}
