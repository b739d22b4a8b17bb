// The event stream of the address service over fetch, because EventSource cannot send a token.

const silence = 20000;
const shortest = 1000;
const longest = 15000;

/** Parses server-sent events (WHATWG HTML 9.2) as their text arrives. */
export function parser(onEvent) {
  let rest = '';
  let type = '';
  let data = '';
  let id = null;
  return text => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (data !== '')
          onEvent(type, JSON.parse(data), id);
        type = data = '';
        id = null;
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event')
        type = value;
      else if (field === 'data')
        data += value;
      else if (field === 'id')
        id = value;
    }
  };
}

/** Reads events for ever, and goes on where it was after a break. */
export class Stream {
  constructor(path, { headers, onEvent, onState, onUnauthorized }) {
    Object.assign(this, { path, headers, onEvent, onState, onUnauthorized, lastId: '', pause: shortest, running: false, abort: null, wake: null });
    const hurry = () => this.wake?.();
    addEventListener('online', hurry);
    document.addEventListener('visibilitychange', () => document.hidden || hurry());
  }

  start() {
    if (!this.running) {
      this.running = true;
      this.run();
    }
  }

  stop() {
    this.running = false;
    this.lastId = '';
    this.abort?.abort();
    this.wake?.();
  }

  async run() {
    while (this.running) {
      const wait = await this.connect();
      if (!this.running)
        return;
      await new Promise(resolve => {
        this.wake = resolve;
        setTimeout(resolve, Math.max(wait, this.pause));
      });
      this.wake = null;
      this.pause = Math.min(this.pause * 2, longest);
    }
  }

  /** Reads one connection to its end; returns how long the service wants us to wait. */
  async connect() {
    const abort = this.abort = new AbortController();
    let watchdog = setTimeout(() => abort.abort(), silence);
    try {
      const headers = { ...this.headers(), ...(this.lastId ? { 'Last-Event-ID': this.lastId } : {}) };
      const response = await fetch(this.path, { headers, signal: abort.signal, cache: 'no-store' });
      if (response.status === 401) {
        this.running = false;
        this.onUnauthorized();
        return 0;
      }
      if (!response.ok) {
        const detail = await response.json().then(body => body.detail, () => '');
        this.onState('refused', detail || `The address service answers ${response.status}`);
        return 1000 * (Number(response.headers.get('Retry-After')) || 0);
      }
      const parse = parser((type, data, id) => {
        if (id !== null)
          this.lastId = id;
        this.onEvent(type, data);
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done)
          break;
        this.pause = shortest;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), silence);
        parse(value);
      }
    } catch (e) {
      if (e instanceof SyntaxError)
        this.lastId = '';
    } finally {
      clearTimeout(watchdog);
    }
    if (this.running)
      this.onState('waiting', 'Connection lost, trying again');
    return 0;
  }
}
