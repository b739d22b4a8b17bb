// The table of leases.
import { byId, clock, dateAndTime, el, reconcile, setLevel, setText, span } from './dom.js';
import { levels } from './model.js';

const page = 100;

export class LeaseTable {
  constructor(model, call) {
    Object.assign(this, { model, call, shown: page, open: new Map(), states: '' });
    const changed = () => {
      this.shown = page;
      this.render();
    };
    for (const id of ['filter', 'filter-state', 'order'])
      byId(id).addEventListener('input', changed);
    byId('more').addEventListener('click', () => {
      this.shown += page;
      this.render();
    });
  }

  render() {
    const { model } = this;
    const all = [...model.leases.values()];
    this.renderStates(all);
    const text = byId('filter').value.trim().toLowerCase();
    const state = byId('filter-state').value;
    const fits = all.filter(l => (!state || model.stateOf(l) === state)
      && (!text || l.service.includes(text) || l.ip.startsWith(text) || (l.mac || l.duid || '').includes(text)));
    const byService = (a, b) => a.service < b.service ? -1 : a.service > b.service ? 1 : 0;
    fits.sort(byId('order').value === 'left' ? (a, b) => (a.endsAt ?? Infinity) - (b.endsAt ?? Infinity) || byService(a, b) : byService);
    const shown = fits.slice(0, this.shown);
    const rows = shown.flatMap(l => this.open.has(l.id) ? [{ lease: l }, { lease: l, detail: true }] : [{ lease: l }]);
    reconcile(byId('lease-rows'), rows, r => (r.detail ? 'detail ' : '') + r.lease.id, r => r.detail ? this.open.get(r.lease.id) : this.make(r.lease),
      (row, r) => r.detail || this.update(row, r.lease));
    byId('more').hidden = fits.length <= this.shown;
    setText(byId('leases-note'), all.length === 0 ? 'No service has asked for an address yet.'
      : fits.length === 0 ? 'No lease fits.' : fits.length > shown.length ? `${shown.length} of ${fits.length} shown` : '');
  }

  renderStates(all) {
    const states = [...new Set(all.map(l => this.model.stateOf(l)))].sort();
    const select = byId('filter-state');
    if (select.value && !states.includes(select.value))
      states.push(select.value);
    if (states.join() === this.states)
      return;
    this.states = states.join();
    const chosen = select.value;
    select.replaceChildren(el('option', { value: '' }, 'all'), ...states.map(s => el('option', { value: s }, s)));
    select.value = chosen;
  }

  make(lease) {
    const open = el('button', { type: 'button', class: 'open', 'aria-expanded': 'false', 'aria-controls': `history-${lease.id}` }, lease.service);
    open.addEventListener('click', () => this.toggle(lease.id, open));
    const left = el('span');
    const cell = (label, ...content) => el('td', { role: 'cell', 'data-label': label }, ...content);
    return el('tr', { role: 'row' },
      el('th', { role: 'rowheader', scope: 'row' }, open),
      cell('Address', el('span', { class: 'mono' })),
      cell('State', el('span', { class: 'state' })),
      cell('Time left', el('div', { class: 'left' }, left, el('progress', { max: '1', 'aria-label': `Part of the lease of ${lease.service} that is left` }))),
      cell('Server', el('span', { class: 'mono' })),
      cell('MAC or DUID', el('span', { class: 'mono' })));
  }

  update(row, lease) {
    const state = this.model.stateOf(lease);
    const [, address, stateCell, left, server, mac] = row.children;
    setText(address.firstElementChild, lease.ip || '–');
    address.firstElementChild.classList.toggle('long', lease.ip.length > 20);
    const badge = stateCell.firstElementChild;
    setText(badge, state);
    setLevel(badge, levels[state] ?? 'idle');
    badge.title = lease.lastError ?? '';
    setText(server.firstElementChild, lease.server ?? '–');
    server.firstElementChild.classList.toggle('long', (lease.server ?? '').length > 20);
    const identity = lease.mac || lease.duid || '–';
    setText(mac.firstElementChild, identity);
    mac.firstElementChild.classList.toggle('long', identity.length > 20);
    const [text, bar] = left.firstElementChild.children;
    const remains = lease.endsAt ? lease.endsAt - this.model.now() : 0;
    setText(text, !lease.ip || state === 'releasing' ? '–' : lease.endsAt ? span(remains) : 'no end');
    bar.hidden = !lease.ip || !lease.endsAt || state === 'releasing';
    if (!bar.hidden) {
      bar.value = Math.max(0, Math.min(1, remains / (lease.leaseSeconds * 1000)));
      setLevel(bar, state === 'bound' || state === 'renewing' ? '' : 'warn');
    }
  }

  async toggle(id, button) {
    if (this.open.delete(id)) {
      button.setAttribute('aria-expanded', 'false');
      this.render();
      return;
    }
    const cell = el('td', { role: 'cell', colspan: '6' }, el('p', { class: 'quiet' }, 'Loading the history'));
    this.open.set(id, el('tr', { role: 'row', class: 'detail', id: `history-${id}` }, cell));
    button.setAttribute('aria-expanded', 'true');
    this.render();
    const lease = this.model.leases.get(id);
    if (!lease?.ip) {
      cell.replaceChildren(el('p', {}, lease?.lastError ?? 'There is no address yet.'));
      return;
    }
    const { ok, body } = await this.call('GET', `v1/leases/${encodeURIComponent(lease.ip)}`);
    cell.replaceChildren(ok ? history(body) : el('p', { class: 'fault' }, body.detail));
  }
}

function history({ lease, history: h }) {
  const list = (title, items) => el('div', {}, el('h3', {}, title), el('ul', {}, ...(items.length ? items : ['none']).map(i => el('li', {}, i))));
  const line = e => `${clock(e.at)} ${e.type}${e.ip ? ` ${e.ip}` : ''}${e.server ? ` by ${e.server}` : ''}${e.detail ? `: ${e.detail}` : ''}`;
  return el('div', { class: 'history' },
    list('Lease', [
      `obtained ${lease.obtained ? dateAndTime(lease.obtained) : '–'}`, `valid until ${lease.validUntil ? dateAndTime(lease.validUntil) : 'no end'}`,
      `host name ${lease.hostname ?? '–'}`, lease.verified ? 'confirmed by a server since the start' : 'not confirmed since the start',
      ...(lease.lastError ? [`last fault: ${lease.lastError}`] : []),
    ]),
    list('Counted', [`${h.renewals} renewals`, `${h.naks} refusals`, `${h.losses} losses`, `${h.changes} changes of address`]),
    list('Events', h.events.map(line)),
    list('Last renewals', h.lastRenewals.map(e => `${clock(e.at)} by ${e.server}`)),
    list('Servers', h.servers.map(s => `${s.server}: ${s.acks} granted, ${s.naks} refused`)));
}
