// The page: what is shown where, and what a click does.
import { byId, clock, el, reconcile, setLevel, setText, span } from './dom.js';
import { LeaseTable } from './leases.js';
import { Model, levels } from './model.js';
import { Stream } from './stream.js';

const tokenKey = 'dynamiclb-token';
const mostEvents = 50;
const mostMacs = 200;

const model = new Model();
const table = new LeaseTable(model, call);
const stream = new Stream('v1/leases/watch?overview=true', {
  headers: tokenHeaders,
  onEvent: happened,
  onState: connection,
  onUnauthorized: () => signIn(sessionStorage.getItem(tokenKey) ? 'This token is not accepted.' : ''),
});
let dirty = new Set(['leases', 'overview', 'events']);
let poolSeen = '';
let timer = 0;

function tokenHeaders() {
  const token = sessionStorage.getItem(tokenKey);
  return token ? { 'X-Auth-Token': token } : {};
}

/** Calls the API; never throws. */
async function call(method, path, body) {
  try {
    const headers = { ...tokenHeaders(), ...(body ? { 'Content-Type': 'application/json' } : {}) };
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' });
    if (response.status === 401)
      signIn('This token is not accepted.');
    return { ok: response.ok, body: await response.json() };
  } catch {
    return { ok: false, body: { detail: 'The address service cannot be reached.' } };
  }
}

function happened(type, data) {
  const part = model.apply(type, data);
  if (type === 'synced') {
    connection('live', 'Live');
    loadMacs();
  }
  if (part)
    dirty.add(part);
  if (part === 'leases')
    dirty.add('events');
  // Thousands of leases have dozens of events a second: not each is worth a look at all of them.
  if (dirty.size)
    timer ||= setTimeout(render, 200);
}

function connection(state, text) {
  const status = byId('connection');
  status.dataset.state = state;
  setText(status, text);
}

function render() {
  clearTimeout(timer);
  timer = 0;
  const due = dirty;
  dirty = new Set();
  if (due.has('leases'))
    table.render();
  if (due.has('events'))
    renderEvents();
  if (due.has('overview'))
    renderOverview();
  if (due.size)
    renderTiles();
}

function tile(id, text, level) {
  setText(byId(id), text);
  setLevel(byId(id), level);
}

function renderTiles() {
  const { leased, waiting, next } = model.counts();
  tile('tile-held', String(leased));
  tile('tile-waiting', String(waiting), waiting ? 'warn' : '');
  setText(byId('tile-waiting-note'), waiting ? 'services without one' : 'every service has one');
  const left = next ? next.endsAt - model.now() : 0;
  tile('tile-next', next ? span(left) : '–', next && left < 0.125 * next.leaseSeconds * 1000 ? 'warn' : '');
  setText(byId('tile-next-note'), next ? `${next.service}, unless renewed` : leased ? 'no lease ends' : '');
}

function renderOverview() {
  const o = model.overview;
  if (!o)
    return;
  setText(byId('about'), `Up for ${span(Date.parse(o.now) - Date.parse(o.started))}`);
  setText(byId('tile-held-note'), servedBy(o.servers.filter(s => s.leases).length));
  tile('tile-unrenewed', String(o.unrenewed), o.unrenewed ? 'warn' : '');
  reconcile(byId('troubles'), troubles(o), text => text, text => el('li', {}, text), () => {});
  const rate = model.rates.at(-1);
  tile('tile-rate', rate === undefined ? '–' : `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`);
  byId('tile-rate-chart').replaceChildren(chart(model.rates));
  const used = o.poolMacs - o.freeMacs;
  const matters = o.macSource === 'pool';
  tile('tile-pool', o.poolMacs ? `${o.freeMacs} free` : o.macSource === 'generate' ? 'not used' : 'empty', matters && o.freeMacs === 0 ? 'bad' : matters && used > 0.9 * o.poolMacs ? 'warn' : '');
  const meter = byId('tile-pool-meter');
  meter.value = o.poolMacs ? used / o.poolMacs : 0;
  meter.title = `${used} of ${o.poolMacs} in use`;
  setText(byId('macs-note'), (o.poolMacs ? `${used} of ${o.poolMacs} are in use. ` : 'The pool is empty. ')
    + (o.macSource === 'generate' ? 'New leases get generated MACs.' : o.macSource === 'pool' ? 'New leases get a MAC of the pool, or none.' : 'New leases get a MAC of the pool, then generated ones.'));
  if (poolSeen !== `${o.poolMacs} ${o.freeMacs}`) {
    poolSeen = `${o.poolMacs} ${o.freeMacs}`;
    loadMacs();
  }
  byId('servers-none').hidden = o.servers.length > 0;
  reconcile(byId('server-rows'), o.servers, s => s.server, s => el('tr', { role: 'row' },
    el('th', { role: 'rowheader', scope: 'row', class: 'mono' }, s.server), ...[0, 1, 2, 3].map(() => el('td', { role: 'cell', class: 'number' }))),
    (row, s) => [s.leases ?? 0, s.acks, s.naks, `${span(model.now() - Date.parse(s.lastSeen))} ago`].forEach((value, i) => setText(row.children[i + 1], String(value))));
}

function troubles(o) {
  const down = Object.entries(o.linksUp).filter(([, isUp]) => !isUp).map(([name]) => `The interface ${name} is down: no DHCP message gets through.`);
  return o.orphans ? [...down, `${o.orphans === 1 ? 'One lease has' : `${o.orphans} leases have`} no owner: GET /v1/ip/orphans lists what may be given back.`] : down;
}

function servedBy(count) {
  return count === 0 ? 'from no server' : count === 1 ? 'from one server' : `from ${count} servers`;
}

function chart(rates) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 100 20');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', rates.length ? `Exchanges a second over the last minutes, at most ${Math.max(...rates).toFixed(1)}` : 'No rate measured yet');
  const top = Math.max(...rates, 0.1);
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  line.setAttribute('points', rates.map((r, i) => `${rates.length < 2 ? 0 : 100 * i / (rates.length - 1)},${19 - 18 * r / top}`).join(' '));
  svg.append(line);
  return svg;
}

function renderEvents() {
  const events = model.events.filter(e => byId('show-renewals').checked || e.type !== 'renewed').slice(0, mostEvents);
  byId('events-none').hidden = events.length > 0;
  reconcile(byId('events'), events, e => e.id, e => el('li', { class: 'new' },
    el('time', { datetime: e.at }, clock(e.at)), el('span', { class: 'state', 'data-level': levels[e.type] ?? 'idle' }, e.type), el('b', {}, e.service),
    el('span', { class: 'what quiet' }, describe(e))), () => {});
}

function describe(e) {
  switch (e.type) {
    case 'bound': return `${e.ip} from ${e.server ?? 'a server'} until ${e.validUntil ? clock(e.validUntil) : 'further notice'}`;
    case 'renewed': return `${e.ip} until ${e.validUntil ? clock(e.validUntil) : 'further notice'}`;
    case 'changed': return `${e.from} became ${e.ip}`;
    case 'recovered': return `${e.ip} again`;
    case 'requested': return 'asks for an address';
    default: return [e.ip, e.detail].filter(Boolean).join(': ');
  }
}

async function loadMacs() {
  const { ok, body } = await call('GET', 'v1/mac');
  const list = byId('mac-list');
  if (!ok)
    return;
  reconcile(list, body.macs.slice(0, mostMacs), m => m.mac, m => {
    const remove = el('button', { type: 'button', class: 'plain', 'aria-label': `Remove ${m.mac}` }, 'Remove');
    remove.addEventListener('click', () => removeMac(m.mac));
    return el('li', {}, el('span', {}, el('span', { class: 'mono' }, m.mac), el('span', { class: 'quiet' })), remove);
  }, (item, m) => {
    setText(item.firstElementChild.lastElementChild, m.service ? ` ${m.service}` : ' free');
    item.lastElementChild.disabled = Boolean(m.service);
  });
}

function macResult(text, level) {
  setText(byId('mac-result'), text);
  setLevel(byId('mac-result'), level);
}

async function addMacs(event) {
  event.preventDefault();
  const field = byId('mac-text');
  const macs = field.value.split(/[\s,;]+/).filter(Boolean);
  if (!macs.length) {
    macResult('Type at least one MAC.', 'bad');
    field.focus();
    return;
  }
  const { ok, body } = await call('POST', 'v1/mac', { macs });
  const rejected = body.rejected ?? [];
  if (ok) {
    macResult(macs.length === 1 ? `${macs[0]} was added.` : `${macs.length} MACs were added.`);
    field.value = '';
  } else {
    macResult(rejected.length ? rejected.map(r => `${r.mac}: ${r.reason}`).join('\n') : body.detail, 'bad');
    if (rejected.length)
      field.value = rejected.map(r => r.mac).join('\n');
  }
  await loadMacs();
}

async function removeMac(mac) {
  const { ok, body } = await call('DELETE', 'v1/mac', { macs: [mac] });
  macResult(ok ? `${mac} was removed.` : body.detail, ok ? '' : 'bad');
  await loadMacs();
  // The button that had the focus is gone.
  (byId('mac-list').querySelector('button:not(:disabled)') ?? byId('mac-text')).focus();
}

function signIn(fault) {
  stream.stop();
  connection('refused', 'A token is needed');
  setText(byId('sign-in-fault'), fault);
  byId('forget').hidden = true;
  if (!byId('sign-in').open)
    byId('sign-in').showModal();
  byId('token').select();
}

byId('sign-in').addEventListener('cancel', event => event.preventDefault());
byId('sign-in-form').addEventListener('submit', () => {
  sessionStorage.setItem(tokenKey, byId('token').value.trim());
  byId('token').value = '';
  byId('forget').hidden = false;
  connection('waiting', 'Connecting');
  stream.start();
});
byId('forget').addEventListener('click', () => {
  sessionStorage.removeItem(tokenKey);
  signIn('');
});
byId('mac-form').addEventListener('submit', addMacs);
byId('show-renewals').addEventListener('change', () => {
  dirty.add('events');
  render();
});
// Time passes without events.
setInterval(() => {
  dirty.add('leases');
  render();
}, 1000);

byId('forget').hidden = !sessionStorage.getItem(tokenKey);
stream.start();
