/**
 * A small Bayeux client for the browser.
 *
 *     import { BayeuxClient } from './bayeux.js';
 *
 *     const client = new BayeuxClient({ url: '/cometd', onstate: (state, detail) => … });
 *     client.subscribe('/news', (data, message) => …);
 *     client.connect({ token: '…' });              // the argument is the `ext` of the handshake
 *     const reply = await client.publish('/news', { text: 'hello' });
 *     client.disconnect();
 *
 * States given to `onstate(state, detail)`:
 *
 * | state          | meaning                                    | detail                                       |
 * |----------------|--------------------------------------------|----------------------------------------------|
 * | `connecting`   | `connect()` was called, no session so far  | `failures`: requests failed in a row         |
 * | `connected`    | the server answered a connect              | `shared`: another tab holds the connect, so  |
 * |                |                                            | this one polls at the advised interval       |
 * | `reconnecting` | requests fail, or the session was lost     | `failures`                                   |
 * | `disconnected` | over, until `connect()` is called again    | `reason`: `client`, `server`, `denied` or    |
 * |                |                                            | `unsupported`; `error`: a `BayeuxError`      |
 *
 * What is kept through an outage:
 *
 * - Subscriptions are made again after every handshake, also after `disconnect()` and `connect()`.
 * - A message published while there is no connection waits, and is sent in order once there is one.
 * - A message whose request failed on the way is *not* repeated, because the server may have processed it:
 *   its promise rejects, and the application decides. Only `402` (session unknown) proves that the server did
 *   nothing, so such a message goes back to the head of the queue.
 *
 * How messages travel:
 *
 * `new BayeuxClient({ transports })` names the ways there are, best first: WebSocket, else long-polling. The
 * first one that makes a session is taken, and kept when it breaks later on: the session goes on over a new
 * socket. So where upgrades are blocked, the handshake goes out a second time, by long-polling, and everything
 * else follows it there. While nothing works, nothing is decided: a server that is down says nothing about
 * WebSocket. The question is open again with the next `connect()`, and after some failures in a row, because
 * the device may be in another network by now.
 *
 * A transport is made for one `connect()`, from the URL, and has four members; `WebSocketTransport` and
 * `LongPolling` below are such:
 *
 * - `type`: the connection type to announce;
 * - `send(messages, { timeout, signal, last })`: a promise of the incoming messages that answer these (events
 *   may be among them); rejects when the answer did not come. `last` says that the page may be about to go:
 *   the messages must be on their way when `send` returns, and nobody waits for the answer;
 * - `receive`: a function, set by the client, to be called with messages that answer nothing (pushed events);
 * - `close()`: what is on its way may still be answered, then the connection ends.
 */

/** Time for the network and the server on top of what the server holds a request on purpose. */
const NETWORK_DELAY = 10_000;
/** The page came from the same server just now: a socket that takes longer than this to open is blocked. */
const OPENING_TIME = 5_000;
/** So many failures in a row put the choice of the transport in question. */
const PATIENCE = 4;
const BACKOFF_STEP = 1_000;
const BACKOFF_LIMIT = 30_000;
/** Keeps a batch well below what servers accept, however much was queued during an outage. */
const BATCH_CHARACTERS = 16_384;
/** In force where the server's advice says nothing: advice replaces the previous one as a whole. */
const DEFAULT_ADVICE = { interval: 0, timeout: 60_000 };

/** A refusal by the server. `code`, `reason` and `text` are the three fields of `403:reason:text`. */
export class BayeuxError extends Error {
  constructor(message, reply = null) {
    super(message);
    this.name = 'BayeuxError';
    const [, code, reason, text] = /^(\d{3}):([^:]*):(.*)$/s.exec(message) ?? [null, '0', '', message];
    Object.assign(this, { code: Number(code), reason, text, reply });
  }
}

const refusal = (reply) => new BayeuxError(String(reply.error ?? 'refused without a reason'), reply);

/** `/a/b/c` is heard by listeners of `/a/b/c`, `/a/b/*`, `/a/b/**`, `/a/**` and `/**`. */
function* patterns(channel) {
  yield channel;
  let parent = channel.slice(0, channel.lastIndexOf('/'));
  yield `${parent}/*`;
  for (;;) {
    yield `${parent}/**`;
    if (parent === '') return;
    parent = parent.slice(0, parent.lastIndexOf('/'));
  }
}

export class BayeuxClient {
  #makeTransport;
  #transport = null;
  #onstate;
  #state = 'disconnected';
  #ext;
  #clientId = null;
  #advice = { ...DEFAULT_ADVICE };
  #lastId = 0;
  #failures = 0;
  /** Counts the loops of connects. An answer that belongs to an earlier loop no longer changes the state. */
  #life = 0;
  /** Whether the present session has answered a connect; a session that never did is worth a pause. */
  #proven = false;
  #open = false;
  #sending = false;
  #queue = [];
  #listeners = new Map();
  #subscriptions = new Map();
  #next = null;
  #held = new AbortController();

  constructor({ url = '/cometd', transports = [WebSocketTransport, LongPolling], onstate = () => {} } = {}) {
    this.#onstate = onstate;
    this.#makeTransport = () => new Negotiated(transports.map((Transport) => new Transport(url)));
  }

  get state() {
    return this.#state;
  }

  /** The connection type in use; before the first answer, the one that is hoped for. */
  get transport() {
    return this.#transport?.type ?? null;
  }

  /** Starts a session; `ext` goes with this handshake and with those that replace a lost session. */
  connect(ext) {
    this.disconnect();
    this.#ext = ext;
    this.#failures = 0;
    const transport = this.#makeTransport();
    transport.receive = (messages) => transport === this.#transport && this.#receive(messages);
    this.#transport = transport;
    this.#setState('connecting', { failures: 0 });
    this.#handshake();
  }

  /** Ends the session. May be called while the page is being left. */
  disconnect() {
    if (this.#state === 'disconnected') return;
    this.#farewell(this.#clientId);
    this.#end('client');
  }

  /** Cuts a pause between two attempts short, say because the device is online again. */
  wake() {
    if (this.#next && this.#state !== 'connected') this.#next.run();
  }

  /** Hears a channel without subscribing to it: that is how service channels work. Returns a remover. */
  listen(channel, listener) {
    if (!this.#listeners.has(channel)) this.#listeners.set(channel, new Set());
    this.#listeners.get(channel).add(listener);
    return () => this.#listeners.get(channel)?.delete(listener);
  }

  /** Resolves with the server's reply. `listener(data, message)` may well be called before that. */
  subscribe(channel, listener) {
    this.listen(channel, listener);
    const entry = this.#entry({ channel: '/meta/subscribe', subscription: channel });
    this.#subscriptions.set(channel, entry);
    // Without a session there is nothing to send: the next handshake subscribes to all of them.
    if (this.#clientId) this.#enqueue(entry);
    return entry.promise;
  }

  /** Removes all listeners of the channel, too. */
  unsubscribe(channel) {
    this.#listeners.delete(channel);
    this.#subscriptions.delete(channel);
    if (!this.#clientId) return Promise.resolve();
    const entry = this.#entry({ channel: '/meta/unsubscribe', subscription: channel });
    this.#enqueue(entry);
    return entry.promise;
  }

  /** Resolves with the successful reply; rejects with a `BayeuxError` or with the failure of the request. */
  publish(channel, data) {
    if (this.#state === 'disconnected') return Promise.reject(new BayeuxError('disconnected'));
    const entry = this.#entry({ channel, data });
    this.#enqueue(entry);
    return entry.promise;
  }

  // The session: a handshake, what waits in the queue, then connects for ever.

  async #handshake() {
    const life = this.#life;
    const transport = this.#transport;
    this.#clientId = null;
    this.#proven = false;
    this.#advice = { ...DEFAULT_ADVICE };
    const request = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: transport.types };
    if (this.#ext) request.ext = this.#ext;
    const reply = await this.#ask(request, NETWORK_DELAY);
    if (life !== this.#life) {
      // Cancelled meanwhile: a session that nobody wants shall not linger on the server.
      if (reply?.successful) this.#farewell(reply.clientId, transport);
      return;
    }
    if (!reply) return this.#fail();
    const { reconnect } = this.#advice;
    if (!reply.successful) return reconnect === 'none' ? this.#end('denied', refusal(reply)) : this.#fail();
    if (reconnect === 'none') return this.#end('server');
    const types = reply.supportedConnectionTypes;
    if (Array.isArray(types) && !types.includes(transport.type)) return this.#end('unsupported');

    this.#clientId = reply.clientId;
    this.#resubscribe();
    this.#open = true;
    await this.#flush();
    if (life === this.#life) this.#connect(true);
  }

  /** `probe` asks for an answer at once, to learn whether the session still exists. */
  async #connect(probe) {
    const life = this.#life;
    this.#held = new AbortController();
    const request = { channel: '/meta/connect', clientId: this.#clientId, connectionType: this.#transport.type };
    if (probe) request.advice = { timeout: 0 };
    // An advice in the request makes the server repeat its own, which is how a tab that had to poll learns
    // that it no longer has to.
    else if (this.#advice['multiple-clients']) request.advice = {};
    const hold = probe ? 0 : this.#advice.timeout;
    const reply = await this.#ask(request, hold + NETWORK_DELAY, this.#held.signal);
    if (life !== this.#life) return;

    const { reconnect, interval } = this.#advice;
    if (reply && reconnect === 'none') return this.#end('server', reply.successful ? null : refusal(reply));
    if (reply && reconnect === 'handshake') return this.#renew();
    if (!reply?.successful) return this.#fail();
    this.#failures = 0;
    this.#proven = true;
    this.#open = true;
    this.#setState('connected', { shared: this.#advice['multiple-clients'] === true });
    this.#flush();
    this.#later(interval, () => this.#connect(false));
  }

  /** A request got no answer: ask again after a pause, and send nothing else until that worked. */
  #fail() {
    this.#stop();
    this.#failures += 1;
    this.#setState(this.#state === 'connecting' ? 'connecting' : 'reconnecting', { failures: this.#failures });
    this.#later(this.#backoff(), () => (this.#clientId ? this.#connect(true) : this.#handshake()));
  }

  /** The server no longer knows the session. */
  #renew() {
    this.#stop();
    this.#clientId = null;
    // A session that is lost before its first connect will be lost again (cookies may be blocked): slow down.
    if (!this.#proven) this.#failures += 1;
    this.#setState(this.#state === 'connecting' ? 'connecting' : 'reconnecting', { failures: this.#failures });
    this.#later(Math.max(this.#advice.interval, this.#proven ? 0 : this.#backoff()), () => this.#handshake());
  }

  #end(reason, error = null) {
    this.#stop();
    this.#clientId = null;
    this.#transport.close();
    this.#setState('disconnected', { reason, error });
    for (const entry of this.#queue.splice(0)) entry.reject(error ?? new BayeuxError('disconnected'));
  }

  #stop() {
    this.#life += 1;
    this.#open = false;
    clearTimeout(this.#next?.timer);
    this.#next = null;
    this.#held.abort();
  }

  #farewell(clientId, transport = this.#transport) {
    if (!clientId) return;
    const message = { channel: '/meta/disconnect', clientId, id: this.#id() };
    transport.send([message], { timeout: NETWORK_DELAY, last: true }).catch(() => {});
  }

  #later(delay, action) {
    const next = {
      run: () => {
        clearTimeout(next.timer);
        this.#next = null;
        action();
      },
    };
    this.#next = next;
    // Without a timer where none is needed: browsers slow the timers of hidden pages down.
    if (delay > 0) next.timer = setTimeout(next.run, delay);
    else next.run();
  }

  /** Grows with each failure; the jitter keeps the clients of a restarted server from coming all at once. */
  #backoff() {
    return Math.min(this.#failures * BACKOFF_STEP, BACKOFF_LIMIT) * (0.75 + Math.random() / 2);
  }

  #setState(state, detail) {
    this.#state = state;
    this.#onstate(state, detail);
  }

  // The queue of everything but handshakes and connects: one request at a time, so that the order is kept.

  #entry(message) {
    const entry = { message };
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    return entry;
  }

  #enqueue(entry) {
    this.#queue.push(entry);
    // Not at once: what is sent in one go by the application shall travel in one request.
    queueMicrotask(() => this.#flush());
  }

  #resubscribe() {
    this.#queue = this.#queue.filter((entry) => {
      if (entry.message.channel === '/meta/unsubscribe') entry.resolve();
      return !entry.message.channel.startsWith('/meta/');
    });
    this.#queue.unshift(...this.#subscriptions.values());
  }

  async #flush() {
    if (!this.#open || this.#sending || this.#queue.length === 0) return;
    this.#sending = true;
    const life = this.#life;
    const clientId = this.#clientId;
    const entries = this.#takeBatch();
    const messages = entries.map(({ message }) => ({ ...message, id: this.#id(), clientId }));
    let failure = null;
    let replies = new Map();
    try {
      replies = await this.#exchange(messages, NETWORK_DELAY);
    } catch (error) {
      failure = error;
    }
    this.#sending = false;

    let again = [];
    let unknown = false;
    entries.forEach((entry, index) => {
      const reply = replies.get(messages[index].id);
      if (reply?.successful) return entry.resolve(reply);
      const error = reply ? refusal(reply) : (failure ?? new BayeuxError('no reply'));
      const meta = entry.message.channel.startsWith('/meta/');
      unknown ||= error.code === 402;
      // Repeated is what the server did not touch, or what does no harm when it is done twice.
      if (error.code === 402 || (meta && !reply)) again.push(entry);
      else this.#refuse(entry, error);
    });
    if (this.#state === 'disconnected') {
      for (const entry of again) entry.reject(new BayeuxError('disconnected'));
      return;
    }
    // Another session that has begun meanwhile has made its subscriptions itself.
    if (clientId !== this.#clientId) again = again.filter((entry) => !entry.message.channel.startsWith('/meta/'));
    this.#queue.unshift(...again);
    if (life !== this.#life) this.#flush();
    else if (unknown) this.#renew();
    else if (failure || again.length > 0) this.#fail();
    else this.#flush();
  }

  #takeBatch() {
    let characters = 0;
    let count = 0;
    while (count < this.#queue.length) {
      characters += JSON.stringify(this.#queue[count].message).length;
      if (count > 0 && characters > BATCH_CHARACTERS) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  #refuse(entry, error) {
    const { channel, subscription } = entry.message;
    // Only if it is still this subscription: the channel may have been left and entered again.
    if (channel === '/meta/subscribe' && this.#subscriptions.get(subscription) === entry) {
      this.#subscriptions.delete(subscription);
      this.#listeners.delete(subscription);
    }
    entry.reject(error);
  }

  // Messages out and in.

  #id() {
    this.#lastId += 1;
    return String(this.#lastId);
  }

  /** One message and its reply, or null if there was none. */
  async #ask(request, timeout, signal) {
    const id = this.#id();
    try {
      return (await this.#exchange([{ ...request, id }], timeout, signal)).get(id) ?? null;
    } catch {
      return null;
    }
  }

  async #exchange(messages, timeout, signal) {
    const life = this.#life;
    const ids = new Set(messages.map((message) => message.id));
    const incoming = await this.#transport.send(messages, { timeout, signal });
    return this.#receive(incoming, ids, life);
  }

  #receive(incoming, ids = new Set(), life = this.#life) {
    const replies = new Map();
    for (const message of incoming) {
      const meta = String(message.channel).startsWith('/meta/');
      // Ids come back as strings, even from servers that got a number.
      const awaited = !('data' in message) && ids.has(String(message.id));
      // Over a socket comes the answer to a request that was given up, too: its advice is outdated.
      if ('successful' in message && !awaited) continue;
      if (message.advice && life === this.#life) this.#advice = { ...DEFAULT_ADVICE, ...message.advice };
      if (awaited) replies.set(String(message.id), message);
      else if (message.channel === '/meta/disconnect' && life === this.#life) this.#end('server');
      else if (!meta && 'data' in message) this.#dispatch(message);
    }
    return replies;
  }

  #dispatch(message) {
    for (const pattern of patterns(message.channel)) {
      for (const listener of [...(this.#listeners.get(pattern) ?? [])]) {
        try {
          listener(message.data, message);
        } catch (error) {
          // One faulty listener must not cost the others their messages, nor the client its loop.
          console.error(error);
        }
      }
    }
  }
}

/** Takes the first transport that works. */
class Negotiated {
  receive = () => {};
  #transports;
  #present;
  #settled = false;
  #failures = 0;
  #closed = false;

  constructor(transports) {
    this.#transports = transports;
    [this.#present] = transports;
    for (const transport of transports) transport.receive = (messages) => this.receive(messages);
  }

  get type() {
    return this.#present.type;
  }

  get types() {
    return this.#transports.map(({ type }) => type);
  }

  async send(messages, options) {
    // Only handshakes and connects do no harm when the server gets them twice. Unless one of these was
    // answered there is nothing else to send, but a farewell, which goes where the session was last.
    const harmless = /^\/meta\/(handshake|connect)$/.test(messages[0].channel);
    if (!this.#settled && harmless) return this.#negotiate(messages, options);
    try {
      const incoming = await this.#present.send(messages, options);
      this.#failures = 0;
      return incoming;
    } catch (error) {
      if (!options.signal?.aborted) this.#failures += 1;
      if (this.#failures >= PATIENCE) this.#settled = false;
      throw error;
    }
  }

  async #negotiate(messages, options) {
    let failure;
    for (const transport of this.#transports) {
      const { type } = transport;
      const fitting = messages.map((it) => ('connectionType' in it ? { ...it, connectionType: type } : it));
      try {
        const incoming = await transport.send(fitting, options);
        this.#present = transport;
        // A session that was made over a socket is unknown over HTTP, and so is any to a server that has just
        // come back. Then a handshake follows, which may try the better ways again.
        this.#settled = incoming.some(({ successful }) => successful);
        this.#failures = 0;
        return incoming;
      } catch (error) {
        failure = error;
      }
      if (this.#closed || options.signal?.aborted) break;
    }
    throw failure;
  }

  close() {
    this.#closed = true;
    for (const transport of this.#transports) transport.close();
  }
}

/** One socket for all payloads; the server pushes events, and holds a connect as a mere sign of life. */
export class WebSocketTransport {
  type = 'websocket';
  receive = () => {};
  #url;
  #socket = null;
  #opening;
  /** What waits for the socket to open, or for answers; in the order of sending. */
  #requests = new Set();
  #closed = false;

  constructor(url) {
    this.#url = new URL(url.replace(/\/$/, ''), document.baseURI);
    this.#url.protocol = this.#url.protocol === 'https:' ? 'wss:' : 'ws:';
  }

  send(messages, { timeout, signal, last = false }) {
    return new Promise((resolve, reject) => {
      const unanswered = new Set(messages.map(({ id }) => id));
      const request = { text: JSON.stringify(messages), last, sent: false, unanswered, answers: [] };
      // Nothing says that a connection is dead, but the silence of a server that owes an answer.
      const timer = setTimeout(() => this.#drop(new Error('no answer in time')), timeout);
      const abort = () => request.end(new Error('given up'));
      request.end = (error = null) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#requests.delete(request);
        if (error) reject(error);
        else resolve(request.answers);
        this.#closeWhenDone();
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#requests.add(request);
      try {
        this.#socket ??= this.#open();
      } catch (error) {
        request.end(error);
        return;
      }
      if (this.#socket.readyState === WebSocket.OPEN) this.#write(request);
    });
  }

  close() {
    this.#closed = true;
    for (const request of [...this.#requests]) {
      if (!request.sent && !request.last) request.end(new Error('closed'));
    }
    this.#closeWhenDone();
  }

  /** Throws where there are no WebSockets at all. */
  #open() {
    const socket = new WebSocket(this.#url);
    this.#opening = setTimeout(() => this.#drop(new Error('not open in time')), OPENING_TIME);
    socket.onopen = () => {
      clearTimeout(this.#opening);
      for (const request of [...this.#requests]) this.#write(request);
    };
    socket.onmessage = ({ data }) => this.#read(data);
    // This is also how it ends when it could not be opened.
    socket.onclose = ({ code, reason }) => this.#drop(new Error(`closed with ${code} ${reason}`));
    return socket;
  }

  #write(request) {
    this.#socket.send(request.text);
    request.sent = true;
    if (request.last) request.end();
  }

  #read(text) {
    let messages;
    try {
      messages = JSON.parse(text);
    } catch { /* treated as what it is: no array */ }
    if (!Array.isArray(messages)) {
      this.#drop(new Error('not a Bayeux payload'));
      return;
    }
    for (const message of messages) {
      const id = 'data' in message ? null : String(message.id);
      const request = [...this.#requests].find(({ unanswered }) => unanswered.has(id));
      if (!request) {
        this.receive([message]);
        continue;
      }
      request.answers.push(message);
      request.unanswered.delete(id);
      if (request.unanswered.size === 0) request.end();
    }
  }

  #closeWhenDone() {
    if (this.#closed && this.#requests.size === 0) this.#drop(new Error('closed'));
  }

  /** Has done with this socket; the next message opens another one. */
  #drop(error) {
    clearTimeout(this.#opening);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      Object.assign(socket, { onopen: null, onmessage: null, onclose: null });
      // Closing comes after what was sent, even if the page is gone by then.
      socket.close();
    }
    for (const request of [...this.#requests]) request.end(error);
  }
}

/** One POST per payload; the server holds a connect until there is something to tell. */
export class LongPolling {
  type = 'long-polling';
  receive = () => {};
  #url;

  constructor(url) {
    this.#url = url.replace(/\/$/, '');
  }

  async send(messages, { timeout, signal, last = false }) {
    const [suffix = ''] = /\/(handshake|connect|disconnect)$/.exec(messages[0].channel) ?? [];
    const meta = messages[0].channel.startsWith('/meta/');
    const controller = new AbortController();
    const abort = () => controller.abort();
    const timer = setTimeout(abort, timeout);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const response = await fetch(this.#url + (meta ? suffix : ''), {
        method: 'POST',
        headers: { 'Content-Type': 'application/json;charset=UTF-8' },
        body: JSON.stringify(messages),
        credentials: 'same-origin', // the server recognises the browser by its cookie
        cache: 'no-store',
        keepalive: last, // lets the request outlive the page
        signal: controller.signal,
      });
      if (response.status !== 200) throw new Error(`HTTP status ${response.status}`);
      const incoming = await response.json();
      if (!Array.isArray(incoming)) throw new Error('not a Bayeux payload');
      return incoming;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** There is nothing to close: the browser looks after its connections itself. */
  close() {}
}
