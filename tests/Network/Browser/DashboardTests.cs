using DynamicLb.Lab.Dhcp;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Browser;

/// <summary>The dashboard in a real browser, before a real address service and a real DHCP server.</summary>
public sealed class DashboardTests
{
    /// <summary>Texts whose contrast to what is behind them is below WCAG 2.2's 4.5 (1.4.3).</summary>
    private const string PoorContrast = """
        (() => {
          const parse = color => { const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
          const light = ({ r, g, b }) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
          const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a > .99) return c; } return { r: 255, g: 255, b: 255 }; };
          const poor = [];
          const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) {
            const e = walker.currentNode.parentElement;
            if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest('.hidden, noscript, :disabled, dialog:not([open]), .skip')) continue;
            const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
            const ratio = (a + .05) / (b + .05);
            if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${e.tagName} ${walker.currentNode.data.trim()}`);
          }
          return poor.join('; ');
        })()
        """;

    /// <summary>What reaches beyond the window's right edge.</summary>
    private const string Overflowing = """
        [...document.body.querySelectorAll('*')]
          .filter(e => e.checkVisibility() && !e.closest('.hidden, .skip, thead, dialog') && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
          .map(e => e.outerHTML.slice(0, 80)).join()
        """;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Fault", "C25")]
    public async Task Leases_are_shown_as_they_come_and_go_and_the_page_survives_a_restart_of_the_service()
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq");
        await lab.Service.AcquireAsync("demo/first", Cancelled);
        await using var chromium = await Chromium.StartAsync(lab.Network, lab.Network["router"], Cancelled);
        var page = await chromium.OpenAsync(lab.Service.Url, 1440, 900);

        await page.WaitAsync("document.querySelector('#sign-in').open", "the question for a token");
        await page.TypeAsync("a-wrong-token");
        await page.PressAsync("Enter");
        await page.WaitForTextAsync("#sign-in-fault", "not accepted");
        await SignInAsync(page, lab);
        await page.WaitForTextAsync("#lease-rows", "demo/first");

        var second = await lab.Service.AcquireAsync("demo/second", Cancelled);
        await page.WaitForTextAsync("#lease-rows", second.Ip);
        await page.WaitForTextAsync("#events", $"{second.Ip} from {second.Server}");
        await page.WaitForTextAsync("#server-rows", second.Server!);
        await page.WaitAsync("document.querySelector('#tile-held').textContent.trim() === '2'", "two leases to be counted");
        string left = await page.TextAsync("#lease-rows .left span");
        await page.WaitAsync($"document.querySelector('#lease-rows .left span').textContent !== {Page.Quote(left)}", "the time to run");

        await page.EvaluateAsync("document.querySelector('#filter').value = 'second'; document.querySelector('#filter').dispatchEvent(new Event('input'))");
        await page.WaitAsync("document.querySelectorAll('#lease-rows tr').length === 1", "the filter");
        await page.EvaluateAsync("document.querySelector('#filter').value = ''; document.querySelector('#filter').dispatchEvent(new Event('input'))");

        await lab.Service.ReleaseAsync(second.Ip, Cancelled);
        await page.WaitAsync("document.querySelectorAll('#lease-rows tr').length === 1", "the lease to go");
        await page.WaitForTextAsync("#events", "released");
        // A wrong token is logged by the browser as a failed call; nothing else is.
        Assert.True(chromium.Complaints.All(complaint => complaint.Contains("401", StringComparison.Ordinal)), string.Join('\n', chromium.Complaints));

        await lab.Network["node1"].Namespace.IpAsync("link set eth0 down", Cancelled);
        await page.WaitForTextAsync("#troubles", "eth0 is down");
        await lab.Network["node1"].Namespace.IpAsync("link set eth0 up", Cancelled);
        await page.WaitAsync("!document.querySelector('#troubles li')", "the trouble to be over");

        await lab.Service.KillAsync();
        await page.WaitForTextAsync("#connection", "Connection lost");
        await lab.Service.StartAgainAsync(Cancelled);
        await page.WaitForTextAsync("#connection", "Live");
        await page.WaitForTextAsync("#lease-rows", "demo/first");
        await lab.Service.AcquireAsync("demo/third", Cancelled);
        await page.WaitForTextAsync("#lease-rows", "demo/third");
    }

    [Fact]
    public async Task MACs_are_added_and_removed_and_a_history_is_opened_by_keyboard_alone()
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq", null, "--mac-source", "poolThenGenerate");
        await lab.Service.AcquireAsync("demo/web", Cancelled);
        await using var chromium = await Chromium.StartAsync(lab.Network, lab.Network["router"], Cancelled);
        var page = await chromium.OpenAsync(lab.Service.Url, 1440, 900);
        await SignInAsync(page, lab);
        await page.WaitForTextAsync("#lease-rows", "demo/web");

        await page.TabToAsync("#lease-rows button.open");
        await page.PressAsync("Space");
        await page.WaitForTextAsync("#lease-rows .history", "requested");
        Assert.Equal("true", (string?)await page.EvaluateAsync("document.activeElement.getAttribute('aria-expanded')"));
        await page.PressAsync("Enter");
        await page.WaitAsync("!document.querySelector('.history')", "the history to close");

        await page.TabToAsync("#mac-text");
        await page.TypeAsync("02:00:00:00:00:01, 0200.0000.0002 zz");
        await page.PressAsync("Tab");
        await page.PressAsync("Enter");
        await page.WaitForTextAsync("#mac-result", "zz: malformed");
        await page.WaitForTextAsync("#mac-list", "02:00:00:00:00:02");
        Assert.Equal("zz", (string?)await page.EvaluateAsync("document.querySelector('#mac-text').value"));

        await lab.Service.AcquireAsync("demo/pool", Cancelled);
        await page.WaitForTextAsync("#mac-list", "demo/pool");
        Assert.True((bool?)await page.EvaluateAsync("document.querySelector('#mac-list button').disabled"));
        await page.TabToAsync("#mac-list button");
        Assert.Equal("Remove 02:00:00:00:00:02", (string?)await page.EvaluateAsync("document.activeElement.getAttribute('aria-label')"));
        await page.PressAsync("Enter");
        await page.WaitForTextAsync("#mac-result", "02:00:00:00:00:02 was removed");
        await page.WaitAsync("document.activeElement.id === 'mac-text'", "the focus to go on");
    }

    [Fact]
    public async Task It_fits_narrow_and_wide_windows_light_and_dark_and_names_everything()
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq", new DhcpServerOptions { Lease = TimeSpan.FromMinutes(10) }, "--mac-source", "poolThenGenerate");
        using (var macs = new StringContent("""{"macs":["02:00:00:00:00:01","02:00:00:00:00:02","02:00:00:00:00:03"]}""", System.Text.Encoding.UTF8, "application/json"))
            (await lab.Service.Http.PostAsync("/v1/mac", macs, Cancelled)).EnsureSuccessStatusCode();
        await using var chromium = await Chromium.StartAsync(lab.Network, lab.Network["router"], Cancelled);
        var page = await chromium.OpenAsync(lab.Service.Url, 1440, 900);
        await SignInAsync(page, lab);
        string longest = $"{new string('n', 63)}/{new string('s', 63)}";
        foreach (string service in new[] { "demo/web", "demo/api", "team-a/ingress-controller", "team-b/mqtt", longest })
            await lab.Service.AcquireAsync(service, Cancelled);
        await lab.Service.ReleaseAsync((await lab.LeaseAsync("team-b/mqtt"))!.Ip, Cancelled);
        await page.WaitAsync("document.querySelectorAll('#lease-rows .state[data-level=good]').length === 4", "the leases");
        await page.EvaluateAsync("document.querySelector('#lease-rows button.open').click()");
        await page.WaitForTextAsync("#lease-rows .history", "bound");
        await page.WaitForTextAsync("#tile-rate", "/s");

        foreach (int width in new[] { 360, 768, 1440 })
        {
            await page.ResizeAsync(width, width < 600 ? 740 : 900);
            foreach (string scheme in new[] { "light", "dark" })
            {
                await page.PreferAsync(scheme);
                Assert.Equal("", (string?)await page.EvaluateAsync(PoorContrast));
                Assert.Equal("", (string?)await page.EvaluateAsync(Overflowing));
                Assert.True((bool?)await page.EvaluateAsync("document.documentElement.scrollWidth <= document.documentElement.clientWidth"));
                await page.ScreenshotAsync($"{width}-{scheme}");
            }
        }

        var accessible = await page.AccessibleAsync();
        string[] named = ["button", "textbox", "searchbox", "combobox", "checkbox", "table", "link", "list", "log", "meter", "progressbar", "progressIndicator", "region", "heading"];
        Assert.DoesNotContain(accessible, node => named.Contains(node.Role) && node.Name.Length == 0 && node.Role != "list");
        Assert.Contains(("table", "Leases"), accessible);
        Assert.Contains(("rowheader", "demo/web"), accessible);
        Assert.Contains(("button", "Remove 02:00:00:00:00:03"), accessible);
        Assert.Contains(accessible, node => node is ("searchbox", "Find") or ("textbox", "Find"));
        Assert.DoesNotContain(chromium.Complaints, complaint => !complaint.Contains("401", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Its_parts_take_a_stream_cut_anywhere_and_ten_thousand_leases()
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq");
        await using var chromium = await Chromium.StartAsync(lab.Network, lab.Network["router"], Cancelled);
        var page = await chromium.OpenAsync(lab.Service.Url, 1440, 900);
        Assert.Equal("""[["reset",{"a":1},""],["bound",{"b":"ü: x"},"1-2"],["lost",{},null]]""", (string?)await page.EvaluateAsync("""
            (async () => {
              const { parser } = await import('/dashboard/stream.js');
              const text = ': comment\n\nretry: 2000\n\nevent: reset\nid: \ndata: {"a":1}\n\nevent: bound\nid: 1-2\ndata: {"b":"ü: x"}\n\n:\n\nevent: lost\ndata: {}\n\n';
              const results = new Set();
              for (let cut = 0; cut <= text.length; cut++) {
                const events = [];
                const parse = parser((...event) => events.push(event));
                parse(text.slice(0, cut));
                parse(text.slice(cut));
                results.add(JSON.stringify(events));
              }
              return [...results].join(' or ');
            })()
            """));
        Assert.Equal("10000 held, 100 rows, 200 rows after more, renewing, then 9999 and 1", (string?)await page.EvaluateAsync("""
            (async () => {
              const { Model } = await import('/dashboard/model.js');
              const { LeaseTable } = await import('/dashboard/leases.js');
              const model = new Model();
              const at = seconds => new Date(Date.now() + 1000 * seconds).toISOString();
              model.apply('reset', {});
              for (let i = 0; i < 10000; i++)
                model.apply('snapshot', { id: `${i}`, service: `demo/s${i}`, ip: '10.0.0.1', mac: '02:00:00:00:00:01', state: 'bound', leaseSeconds: 600, t1: at(300), t2: at(500), validUntil: at(600) });
              model.apply('synced', {});
              const table = new LeaseTable(model, null);
              table.render();
              const rows = () => document.querySelectorAll('#lease-rows tr').length;
              let said = `${model.counts().leased} held, ${rows()} rows`;
              document.querySelector('#more').click();
              said += `, ${rows()} rows after more`;
              model.apply('renewed', { id: '1-1', type: 'renewed', leaseId: '5', service: 'demo/s5', ip: '10.0.0.1', mac: '', leaseSeconds: 600, t1: at(-1), t2: at(500), validUntil: at(600) });
              said += `, ${model.stateOf(model.leases.get('5'))}`;
              model.apply('lost', { id: '1-2', type: 'lost', leaseId: '5', service: 'demo/s5', ip: '10.0.0.1', mac: '' });
              const { leased, waiting } = model.counts();
              const address = 'fd12:3456:789a:bcde:ffff:1111:2222:3333';
              globalThis.showLong = () => document.querySelector('#sign-in').close() ?? table.render();
              model.apply('bound', { id: '1-3', type: 'bound', leaseId: 'six', service: 'a/six', ip: address, server: address, mac: '02:00:00:00:00:01', leaseSeconds: 600, validUntil: at(600) });
              table.render();
              return `${said}, then ${leased} and ${waiting}`;
            })()
            """));
        foreach (int width in new[] { 360, 768, 900, 1350, 1440 })
        {
            await page.ResizeAsync(width, 800);
            // The page's own table, which knows no lease, is drawn again now and then.
            Assert.Equal("2", (string?)await page.EvaluateAsync("showLong(); String(document.querySelectorAll('.long').length)"));
            await page.ScreenshotAsync($"{width}-long-addresses");
            Assert.Equal("", (string?)await page.EvaluateAsync($"showLong(); {Overflowing}"));
        }
    }

    private static async Task SignInAsync(Page page, AddressLab lab)
    {
        await page.WaitAsync("document.querySelector('#sign-in').open && document.activeElement.id === 'token'", "the question for a token");
        await page.EvaluateAsync("document.querySelector('#token').value = ''");
        await page.TypeAsync(lab.Service.Token);
        await page.PressAsync("Enter");
        await page.WaitForTextAsync("#connection", "Live");
    }
}
