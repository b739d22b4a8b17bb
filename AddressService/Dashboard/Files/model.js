// What is known of the leases, kept up to date by the events.

const granted = new Set(['bound', 'renewed', 'changed', 'recovered']);
const held = new Set(['bound', 'renewing', 'rebinding', 'rebooting']);
const rateSamples = 60;

export const levels = {
  bound: 'good', renewing: 'busy', rebinding: 'warn', rebooting: 'busy', suspect: 'bad', retained: 'idle', lost: 'bad', expired: 'bad', released: 'idle', releasing: 'idle',
  init: 'busy', selecting: 'busy', requesting: 'busy', probing: 'busy', declined: 'bad', conflict: 'bad', renewed: 'good', recovered: 'good', changed: 'warn', requested: 'busy',
};

export class Model {
  leases = new Map();
  events = [];
  overview = null;
  rates = [];
  skew = 0;
  #arriving = null;

  /** The address service's clock. */
  now() {
    return Date.now() + this.skew;
  }

  /** Takes an event of the stream. Returns what has changed: leases, events, overview. */
  apply(type, data) {
    switch (type) {
      case 'reset':
        this.#arriving = new Map();
        return '';
      case 'snapshot':
        this.#arriving?.set(data.id, lease(data));
        return '';
      case 'synced':
        if (this.#arriving)
          this.leases = this.#arriving;
        this.#arriving = null;
        return 'leases';
      case 'overview':
        this.#measure(data);
        return 'overview';
      default:
        this.#happened(type, data);
        return 'leases';
    }
  }

  #happened(type, data) {
    this.events.unshift(data);
    this.events.length = Math.min(this.events.length, 200);
    const known = this.leases.get(data.leaseId);
    if (type === 'released') {
      this.leases.delete(data.leaseId);
    } else if (type === 'requested') {
      this.leases.set(data.leaseId, lease({ id: data.leaseId, service: data.service, mac: data.mac, duid: data.duid, ip: '', state: 'init' }));
    } else if (granted.has(type)) {
      this.leases.set(data.leaseId, lease({
        ...known, id: data.leaseId, service: data.service, mac: data.mac, duid: data.duid, ip: data.ip, server: data.server, leaseSeconds: data.leaseSeconds,
        t1: data.t1, t2: data.t2, validUntil: data.validUntil, state: 'bound', lastError: undefined,
      }));
    } else if (known && type === 'lost') {
      this.leases.set(known.id, { ...known, ip: '', state: 'selecting', endsAt: null, lastError: `lost ${data.ip}: ${data.detail}` });
    } else if (known && type === 'declined') {
      this.leases.set(known.id, { ...known, lastError: `declined ${data.ip}: ${data.detail}` });
    } else if (known && type === 'conflict') {
      this.leases.set(known.id, { ...known, lastError: `${data.ip} ${data.detail}` });
    } else if (known && (type === 'suspect' || type === 'releasing')) {
      this.leases.set(known.id, { ...known, state: type, lastError: type === 'suspect' ? data.detail : known.lastError });
    }
  }

  #measure(overview) {
    this.skew = Date.parse(overview.now) - Date.now();
    const total = Object.entries(overview.counters).reduce((sum, [name, value]) => name.startsWith('exchange.') ? sum + value : sum, 0);
    const at = Date.parse(overview.now);
    if (this.overview?.started === overview.started && at > this.measuredAt) {
      this.rates.push((total - this.total) * 1000 / (at - this.measuredAt));
      this.rates.splice(0, this.rates.length - rateSamples);
    } else {
      this.rates = [];
    }
    this.total = total;
    this.measuredAt = at;
    this.overview = overview;
  }

  /** The state as it is by the clock: no event tells that T1 or T2 has passed. */
  stateOf(l) {
    if (l.state !== 'bound' && l.state !== 'renewing' && l.state !== 'rebinding')
      return l.state;
    const now = this.now();
    return l.endsAt && now >= l.endsAt ? 'expired' : l.t2At && now >= l.t2At ? 'rebinding' : l.t1At && now >= l.t1At ? 'renewing' : 'bound';
  }

  counts() {
    let leased = 0;
    let waiting = 0;
    let next = null;
    for (const l of this.leases.values()) {
      const state = this.stateOf(l);
      if (held.has(state) && l.ip)
        leased++;
      else if (state !== 'releasing')
        waiting++;
      if (l.endsAt && held.has(state) && (!next || l.endsAt < next.endsAt))
        next = l;
    }
    return { leased, waiting, next };
  }
}

function lease(data) {
  const at = text => text ? Date.parse(text) : null;
  return { ...data, endsAt: at(data.validUntil), t1At: at(data.t1), t2At: at(data.t2) };
}
