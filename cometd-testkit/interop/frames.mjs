// WebSocket (RFC 6455) by hand: what is sent is what the test says, bit for bit.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { SOON, within } from './waiting.mjs';
import { Peer, head } from './wire.mjs';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** The key of the RFC's example; nothing depends on keys being different. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** What proves that the server has read the key. */
export const accepted = (key) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

/** The text of a request for an upgrade; a header that is `undefined` is left out, a list is sent line by line. */
export function upgrade({ method = 'GET', path = '/cometd', ...headers } = {}) {
  const all = {
    Host: 'test',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': KEY,
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  return `${head(method, path, {}).slice(0, -2)}${lines.filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

/** One frame from a client: as the RFC has it, unless told otherwise. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = true, length } = {}) {
  const data = Buffer.from(payload);
  const size = BigInt(length ?? data.length);
  const first = Buffer.of((fin ? 0x80 : 0) | (rsv << 4) | opcode);
  const masked = mask ? 0x80 : 0;
  let second;
  if (size < 126n) {
    second = Buffer.of(masked | Number(size));
  } else if (size < 65_536n) {
    second = Buffer.of(masked | 126, 0, 0);
    second.writeUInt16BE(Number(size), 1);
  } else {
    second = Buffer.of(masked | 127, 0, 0, 0, 0, 0, 0, 0, 0);
    second.writeBigUInt64BE(size, 1);
  }
  if (!mask) return Buffer.concat([first, second, data]);
  const key = Buffer.of(0x37, 0xfa, 0x21, 0x3d);
  return Buffer.concat([first, second, key, data.map((byte, n) => byte ^ key[n % 4])]);
}

/** A text message of Bayeux messages. */
export const payload = (...messages) => frame(TEXT, JSON.stringify(messages));

/** A text message in frames of the given parts. */
export function fragments(parts) {
  return parts.map((part, n) => frame(n === 0 ? TEXT : CONTINUATION, part, { fin: n === parts.length - 1 }));
}

export function closing(code, reason = '') {
  const data = Buffer.alloc(2);
  data.writeUInt16BE(code);
  return frame(CLOSE, Buffer.concat([data, Buffer.from(reason)]));
}

/** One TCP connection to the server, that is or becomes a WebSocket. */
export class Frames {
  #chunks = [];
  #size = 0;
  #news;
  #wake;
  /** Whether the server has ended its side, in whichever way. */
  ended = false;
  /** What was wrong with the connection: a reset, say. */
  error;

  /** A connection that has sent nothing yet. */
  static async dial(server, options) {
    const socket = connect({ port: server.port, host: '127.0.0.1', ...options });
    await within(SOON, once(socket, 'connect'), 'connected');
    const frames = new Frames(socket);
    server.last(() => frames.cut());
    return frames;
  }

  /** A WebSocket. */
  static async open(server, headers) {
    const frames = await Frames.dial(server);
    const response = await frames.write(upgrade(headers)).response();
    assert.equal(response.status, 101);
    return frames;
  }

  constructor(socket) {
    this.socket = socket.setNoDelay(true);
    this.#renew();
    socket.on('data', (chunk) => this.#change(() => (this.#chunks.push(chunk), (this.#size += chunk.length))));
    socket.on('error', (error) => (this.error = error));
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

  async #read(parse, ms, what) {
    const read = async () => {
      for (;;) {
        const found = this.#size > 0 && parse(this.#buffer());
        if (found) return this.#take(found);
        if (this.ended) return undefined;
        await this.#news;
      }
    };
    return within(ms, read(), what);
  }

  #buffer() {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }

  #take({ size, found }) {
    this.#chunks = [this.#chunks[0].subarray(size)];
    this.#size -= size;
    return found;
  }

  write(...parts) {
    this.socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
    return this;
  }

  send(...messages) {
    return this.write(payload(...messages));
  }

  /** The next HTTP response: `undefined` if the connection ends without one. */
  response(ms = SOON) {
    return this.#read(parseResponse, ms, 'a response');
  }

  /** The next frame: `undefined` if the connection ends without one. */
  next(ms = SOON) {
    return this.#read(parseFrame, ms, 'a frame');
  }

  /** The messages of the next frame, which has to be text. */
  async messages(ms = SOON) {
    const { opcode, data } = (await this.next(ms)) ?? assert.fail('the connection has ended');
    assert.equal(opcode, TEXT, `frame with ${data.toString('latin1')}`);
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  }

  /** Insists that the next frame is a closing, and that it is followed by a clean end; gives the code. */
  async end(ms = SOON) {
    const { opcode, data } = (await this.next(ms)) ?? assert.fail(`the connection has ended without a closing: ${this.error}`);
    assert.equal(opcode, CLOSE, data.toString());
    assert.equal(await this.next(ms), undefined, 'nothing follows a closing');
    await this.closed(ms);
    assert.equal(this.error, undefined, 'no reset');
    assert.notEqual(data.length, 1);
    new TextDecoder('utf-8', { fatal: true }).decode(data.subarray(2));
    return data.length > 0 ? data.readUInt16BE() : undefined;
  }

  /** Waits until the connection is over on both sides. */
  async closed(ms = SOON) {
    if (!this.socket.closed) await within(ms, once(this.socket, 'close'), 'the connection is over').catch((error) => (this.error ??= error));
  }

  /** Whether nothing has come that was not taken. */
  get silent() {
    return this.#size === 0 && !this.ended;
  }

  /** Gives up the connection without a word: by FIN, as long as nothing is unread. */
  async cut() {
    if (this.socket.closed) return;
    const closed = once(this.socket, 'close');
    this.socket.destroy();
    await closed;
  }

  /** The same by RST. */
  async reset() {
    const closed = once(this.socket, 'close');
    this.socket.resetAndDestroy();
    await closed;
  }
}

function parseResponse(buffer) {
  const end = buffer.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [line, ...lines] = buffer.toString('latin1', 0, end).split('\r\n');
  const status = Number(line.match(/^HTTP\/1\.1 (\d{3}) /)?.[1] ?? assert.fail(line));
  const headers = {};
  for (const text of lines) {
    const [, name, value] = text.match(/^([^:]+): ?(.*)$/);
    assert.equal(name.toLowerCase() in headers, false, `${name} is there once`);
    headers[name.toLowerCase()] = value;
  }
  const from = end + 4;
  const size = from + (status < 200 ? 0 : Number(headers['content-length']));
  if (buffer.length < size) return undefined;
  return { size, found: { line, status, headers, body: buffer.toString('utf8', from, size) } };
}

function parseFrame(buffer) {
  if (buffer.length < 2) return undefined;
  const [first, second] = buffer;
  assert.equal(first & 0xf0, 0x80, 'no fragments, and no reserved bits');
  assert.equal(second & 0x80, 0, 'servers do not mask');
  let from = 2;
  let length = second;
  if (length >= 126) {
    from = length === 126 ? 4 : 10;
    if (buffer.length < from) return undefined;
    length = from === 4 ? buffer.readUInt16BE(2) : Number(buffer.readBigUInt64BE(2));
    assert.ok(length >= (from === 4 ? 126 : 65_536), 'the length has no more bytes than it needs');
  }
  const opcode = first & 0x0f;
  assert.ok(opcode < CLOSE || length < 126, 'control frames are short');
  const size = from + length;
  if (buffer.length < size) return undefined;
  return { size, found: { opcode, data: Buffer.from(buffer.subarray(from, size)) } };
}

/** A session on a WebSocket that is driven message by message. */
export class Guest extends Peer {
  /** The events that came so far, in order; each came in a frame of its own. */
  events = [];

  static async handshake(server, headers) {
    const frames = await Frames.open(server, headers);
    const guest = Object.assign(new Guest(), { server, frames });
    const [reply, ...others] = await guest.send({ id: 'h', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] });
    assert.deepEqual([reply.successful, others], [true, []]);
    guest.id = reply.clientId;
    // A session's first connect is never held.
    await guest.send(guest.connect());
    return guest;
  }

  connect(advice) {
    return this.message('/meta/connect', { connectionType: 'websocket', advice });
  }

  /** Sends the messages in one payload, and gives the replies to them. */
  async send(...messages) {
    this.frames.send(...messages);
    const replies = await this.replies();
    assert.deepEqual(replies.map(({ id }) => id), messages.map(({ id }) => id));
    return replies;
  }

  /** The next frame that brings replies. */
  async replies(ms) {
    for (;;) {
      const messages = await this.frames.messages(ms);
      if (!messages.some(isEvent)) return messages;
      assert.equal(messages.length, 1, 'an event comes in a frame of its own');
      this.events.push(...messages);
    }
  }

  /** Waits until that many events have come on a channel, with nothing but events before; gives their data. */
  async reach(channel, count) {
    while (this.data(channel).length < count) {
      const messages = await this.frames.messages();
      assert.ok(messages.length === 1 && isEvent(messages[0]), JSON.stringify(messages));
      this.events.push(...messages);
    }
    return this.data(channel);
  }

  data(channel) {
    return this.events.filter((event) => event.channel === channel).map(({ data }) => data);
  }

  /** Sends a connect that the server holds, and waits until it has arrived. */
  async hold(advice) {
    const connect = this.connect(advice);
    this.frames.send(connect);
    await this.settle();
    return connect;
  }

  /** A roundtrip: all that was to come before has come when it is over. */
  async settle() {
    await this.send(this.publish('/elsewhere', 0));
  }

  /** Goes on over another WebSocket; gives the one before. */
  async move() {
    const before = this.frames;
    this.frames = await Frames.open(this.server);
    return before;
  }
}

/** Only events have data, also those that answer remote calls. */
function isEvent(message) {
  return 'data' in message;
}
