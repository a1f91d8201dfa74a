// HTTP/1.1 by hand: what is sent is what the test says, byte for byte.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { SOON, within } from './waiting.mjs';

/** One TCP connection to the server. */
export class Wire {
  #buffer = '';
  #news;
  #wake;
  ended = false;

  static async open(server) {
    const wire = new Wire(connect(server.port, '127.0.0.1'));
    await within(SOON, once(wire.socket, 'connect'), 'connected');
    server.last(() => wire.cut());
    return wire;
  }

  constructor(socket) {
    this.socket = socket.setNoDelay(true).setEncoding('latin1');
    this.#renew();
    socket.on('data', (text) => this.#change(() => (this.#buffer += text)));
    // A connection that the server resets has ended, too.
    socket.on('error', () => {});
    for (const end of ['end', 'close']) socket.on(end, () => this.#change(() => (this.ended = true)));
  }

  #renew() {
    this.#news = new Promise((resolve) => (this.#wake = resolve));
  }

  #change(act) {
    act();
    this.#wake();
    this.#renew();
  }

  send(text) {
    this.socket.write(text);
    return this;
  }

  /** The next response: `undefined` if the connection ends without one. */
  async response(ms = SOON) {
    const read = async () => {
      for (;;) {
        const found = this.#parse();
        if (found || this.ended) return found;
        await this.#news;
      }
    };
    return within(ms, read(), 'a response');
  }

  #parse() {
    const end = this.#buffer.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const [first, ...lines] = this.#buffer.slice(0, end).split('\r\n');
    const status = Number(first.match(/^HTTP\/1\.1 (\d{3}) /)?.[1] ?? assert.fail(first));
    const headers = {};
    for (const line of lines) {
      const [, name, value] = line.match(/^([^:]+): ?(.*)$/);
      headers[name.toLowerCase()] = value;
    }
    const interim = status < 200 || status === 204;
    assert.ok(interim || 'content-length' in headers, 'responses are complete, so their length is known');
    const from = end + 4;
    const to = from + (interim ? 0 : Number(headers['content-length']));
    if (this.#buffer.length < to) return undefined;
    const body = Buffer.from(this.#buffer.slice(from, to), 'latin1').toString();
    this.#buffer = this.#buffer.slice(to);
    return { status, headers, body };
  }

  /** Whether nothing has come that was not taken. */
  get silent() {
    return this.#buffer === '' && !this.ended;
  }

  async cut() {
    if (this.socket.closed) return;
    const closed = once(this.socket, 'close');
    this.socket.destroy();
    await closed;
  }
}

/** The text of a request with a body. */
export function post(body, { path = '/cometd', type = 'application/json', chunked = false, ...headers } = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const length = Buffer.byteLength(text);
  const all = {
    Host: 'test',
    ...(type && { 'Content-Type': type }),
    ...(chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': length }),
    ...headers,
  };
  return head('POST', path, all) + (chunked ? `${length.toString(16)}\r\n${text}\r\n0\r\n\r\n` : text);
}

export function head(method, path, headers = { Host: 'test' }) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** One request on a connection of its own. */
export async function ask(server, text, ms) {
  const wire = await Wire.open(server);
  const response = await wire.send(text).response(ms);
  await wire.cut();
  return response;
}

/** A session that is driven message by message. */
export class Peer {
  #ids = 0;

  static async handshake(server, cookie) {
    const peer = new Peer();
    const message = { id: 'h', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] };
    const response = await ask(server, post([message], cookie ? { Cookie: cookie } : {}));
    const [reply] = JSON.parse(response.body);
    assert.deepEqual([response.status, reply.successful], [200, true]);
    Object.assign(peer, { server, id: reply.clientId, cookie: cookie ?? response.headers['set-cookie'].split(';')[0], response });
    // A session's first connect is never held.
    await peer.send(peer.connect());
    return peer;
  }

  message(channel, rest) {
    return { id: String(++this.#ids), channel, clientId: this.id, ...rest };
  }

  connect(advice) {
    return this.message('/meta/connect', { connectionType: 'long-polling', advice });
  }

  publish(channel, data) {
    return this.message(channel, { data });
  }

  subscribe(subscription) {
    return this.message('/meta/subscribe', { subscription });
  }

  request(...messages) {
    return post(messages, { Cookie: this.cookie });
  }

  /** Sends the messages in one request, and gives all messages of the response. */
  async send(...messages) {
    const { status, body } = await ask(this.server, this.request(...messages));
    assert.equal(status, 200, body);
    return JSON.parse(body);
  }

  /** Has a connect held on a connection of its own. */
  async hold(advice) {
    const wire = await Wire.open(this.server);
    wire.send(this.request(this.connect(advice)));
    return wire;
  }
}
