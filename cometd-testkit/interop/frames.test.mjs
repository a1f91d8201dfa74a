// WebSocket frame by frame: the upgrade, what RFC 6455 allows and what it forbids, and clients that are broken,
// slow, hostile, or gone. After each of them the server is well, and nobody else has noticed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, describe, it } from 'node:test';
import { BINARY, CLOSE, CONTINUATION, Frames, Guest, KEY, PING, PONG, TEXT, accepted, closing, fragments, frame, payload, upgrade } from './frames.mjs';
import { Tab } from './tab.mjs';
import { Testbed, testbed } from './testbed.mjs';
import { within } from './waiting.mjs';
import { Peer, ask, post } from './wire.mjs';

const LIMIT = 4_096;
const ORIGIN = 'https://app.example';
const HANDSHAKE = { id: '1', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] };

/** One of each kind, and the code that the connection is closed with. */
const MISTAKES = [
  ['a reserved opcode', 1002, frame(3)],
  ['a reserved bit', 1002, frame(TEXT, '[]', { rsv: 4 })],
  ['a lack of masking', 1002, frame(TEXT, '[]', { mask: false })],
  ['a binary message', 1003, frame(BINARY, '[]')],
  ['invalid UTF-8', 1007, frame(TEXT, Buffer.of(0xff))],
  ['something that is not JSON', 1007, frame(TEXT, '{')],
  ['an empty payload', 1002, frame(TEXT, '[]')],
  ['a handshake among others', 1002, payload(HANDSHAKE, HANDSHAKE)],
  ['a message that is too large', 1009, frame(TEXT, '', { length: 1_000_000 })],
  ['an invalid closing', 1002, closing(999)],
];

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

let server;
/** Somebody who is connected all the time, and must not notice anything. */
let witness;
let checks = 0;

before(async () => {
  const options = ['--timeout', '20000', '--max-message-size', `${LIMIT}`, '--allow-origin', ORIGIN];
  server = await new Testbed(options).start();
  witness = new Tab(server, { transport: 'websocket' });
  await witness.open();
  await witness.subscribe('/checks/*');
});

afterEach(async () => {
  const guest = await Guest.handshake(server);
  const channel = `/checks/${checks++}`;
  await guest.send(guest.publish(channel, 'well'));
  assert.deepEqual(await witness.reach(channel, 1), ['well']);
  await guest.send(guest.publish('/service/echo', 'well'));
  assert.deepEqual(guest.data('/service/echo'), ['well']);
  assert.equal((await guest.send(guest.message('/meta/disconnect')))[0].successful, true);
  await guest.frames.cut();
  assert.deepEqual([witness.sockets.length, witness.on('/meta/handshake').length], [1, 1]);
});

after(() => server.end());

/** A text message that the server answers, and its answer. */
async function echo(frames) {
  const [reply] = await frames.send({ ...HANDSHAKE, id: 'echo' }).messages();
  assert.deepEqual([reply.id, reply.successful], ['echo', true]);
}

/** What the server does about frames that nothing was sent before: it closes with the code. */
async function refused(code, ...parts) {
  const frames = await Frames.open(server);
  frames.write(...parts);
  assert.equal(await frames.end(), code, `${parts.map((part) => part.toString('latin1'))}`.slice(0, 200));
}

describe('an upgrade', { concurrency: true }, () => {
  it('is answered as the RFC wants it', async () => {
    const frames = await Frames.dial(server);
    const { line, headers } = await frames.write(upgrade({ 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' })).response();
    assert.equal(line, 'HTTP/1.1 101 Switching Protocols');
    const { date, ...others } = headers;
    assert.deepEqual(others, { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-accept': 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=' });
    assert.match(date, / GMT$/);
    await echo(frames);
  });

  it('is asked for in whatever way HTTP allows', async () => {
    for (const headers of [
      { Connection: 'keep-alive, Upgrade', Upgrade: 'WebSocket' },
      { Connection: ['keep-alive', 'x, UPGRADE'], Upgrade: 'WEBSOCKET' },
      { connection: 'upgrade', Connection: undefined, 'Sec-WebSocket-Key': undefined, 'sec-websocket-key': KEY },
      { Cookie: 'a=b', 'Content-Length': '0' },
      { path: '/cometd/' },
      { path: '/cometd/handshake?a=b' },
    ]) {
      await echo(await Frames.open(server, headers));
    }
    const key = Buffer.alloc(16, 0xff).toString('base64');
    const frames = await Frames.dial(server);
    const { headers } = await frames.write(upgrade({ 'Sec-WebSocket-Key': key })).response();
    assert.equal(headers['sec-websocket-accept'], accepted(key));
  });

  it('may come slowly', async () => {
    const frames = await Frames.dial(server);
    for (const byte of upgrade()) {
      frames.write(byte);
      await new Promise(setImmediate);
    }
    assert.equal((await frames.response()).status, 101);
    await echo(frames);
  });

  it('needs a key', async () => {
    for (const key of [undefined, '', 'x', 'AAAA', KEY.slice(0, -2), `${KEY}AAAA`, KEY.replace('d', '*'), [KEY, KEY]]) {
      const frames = await Frames.dial(server);
      const { status, headers } = await frames.write(upgrade({ 'Sec-WebSocket-Key': key })).response();
      assert.deepEqual([status, headers['content-type']], [400, 'text/plain;charset=UTF-8'], `${key}`);
      assert.equal('sec-websocket-accept' in headers || 'upgrade' in headers, false);
    }
  });

  it('is of the version that there is', async () => {
    for (const version of [undefined, '', '8', '0', '12', '14', 'x', '13, 8', ['13', '8']]) {
      const frames = await Frames.dial(server);
      const { status, headers } = await frames.write(upgrade({ 'Sec-WebSocket-Version': version })).response();
      assert.deepEqual([status, headers['sec-websocket-version']], [426, '13'], `${version}`);
    }
  });

  it('is a GET with all that belongs to it', async () => {
    for (const headers of [{ Connection: undefined }, { Connection: 'keep-alive' }, { Connection: 'close' }]) {
      const frames = await Frames.dial(server);
      assert.equal((await frames.write(upgrade(headers)).response()).status, 400, JSON.stringify(headers));
    }
    // To what else there is, a server need not upgrade.
    const polled = post([HANDSHAKE], { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': KEY });
    assert.equal((await ask(server, polled)).status, 200);
    for (const [headers, status] of [
      [{ method: 'PUT' }, 405],
      [{ Upgrade: 'h2c' }, 400],
      [{ path: '/' }, 404],
      [{ path: '/cometdx' }, 404],
    ]) {
      const frames = await Frames.dial(server);
      assert.equal((await frames.write(upgrade(headers)).response()).status, status, JSON.stringify(headers));
    }
  });

  it('is for pages of this server, and of origins that are listed', async () => {
    for (const headers of [{ Origin: ORIGIN }, { Origin: 'http://test' }, { Origin: 'https://TEST' }, { Host: 'test:81', Origin: 'http://test:81' }, {}]) {
      await echo(await Frames.open(server, headers));
    }
    for (const origin of ['https://evil.example', `${ORIGIN}.evil.example`, `${ORIGIN}:8443`, 'http://app.example', 'http://test:81', 'http://testx', 'null', 'test', '', [ORIGIN, 'https://evil.example']]) {
      const frames = await Frames.dial(server);
      const { status, headers, body } = await frames.write(upgrade({ Origin: origin })).response();
      assert.equal(status, 403, `${origin}`);
      assert.equal('access-control-allow-origin' in headers || 'sec-websocket-accept' in headers, false);
      assert.ok(!body.includes('evil'));
    }
  });

  it('takes the first sub-protocol that is offered', async () => {
    for (const [offer, chosen] of [
      ['bayeux', 'bayeux'],
      ['one, two', 'one'],
      [['one', 'two'], 'one'],
      [undefined, undefined],
    ]) {
      const frames = await Frames.dial(server);
      const { status, headers } = await frames.write(upgrade({ 'Sec-WebSocket-Protocol': offer })).response();
      assert.deepEqual([status, headers['sec-websocket-protocol']], [101, chosen]);
      await echo(frames);
    }
  });

  it('that is refused leaves the connection as it was', async () => {
    const frames = await Frames.dial(server);
    assert.equal((await frames.write(upgrade({ 'Sec-WebSocket-Version': '8' })).response()).status, 426);
    assert.equal((await frames.write(upgrade({ Origin: 'null' })).response()).status, 403);
    assert.equal((await frames.write(post([HANDSHAKE])).response()).status, 200);
    assert.equal((await frames.write(upgrade({ 'Sec-WebSocket-Key': undefined })).response()).status, 400);
    assert.equal((await frames.write(upgrade()).response()).status, 101);
    await echo(frames);
  });

  it('may be the last of several requests in one segment', async () => {
    const peer = await Peer.handshake(server);
    const frames = await Frames.dial(server);
    frames.write(peer.request(peer.connect({ timeout: 300 })), post([HANDSHAKE]), upgrade(), payload({ ...HANDSHAKE, id: 'last' }));
    assert.equal(JSON.parse((await frames.response()).body)[0].channel, '/meta/connect');
    assert.equal((await frames.response()).status, 200);
    assert.equal((await frames.response()).status, 101);
    assert.equal((await frames.messages())[0].id, 'last');
  });

  it('loses nothing of what comes in the same segment', async () => {
    const frames = await Frames.dial(server);
    const ping = frame(PING, 'behind');
    frames.write(upgrade(), ...numbers(50).map((n) => payload({ ...HANDSHAKE, id: `${n}`, ext: { filler: 'x'.repeat(500) } })), ping);
    assert.equal((await frames.response()).status, 101);
    const replies = [];
    const pongs = [];
    while (replies.length < 50 || pongs.length < 1) {
      const { opcode, data } = await frames.next();
      // Answers to pings may overtake replies, which wait for their turn.
      if (opcode === PONG) pongs.push(data.toString());
      else replies.push(JSON.parse(data)[0]);
    }
    assert.deepEqual(replies.map(({ id, successful }) => [id, successful]), numbers(50).map((n) => [`${n}`, true]));
    assert.deepEqual(pongs, ['behind']);
  });

  it('takes half a frame along', async () => {
    const bytes = payload(HANDSHAKE);
    for (const size of [1, 2, 5, 6, 7, bytes.length - 1]) {
      const frames = await Frames.dial(server);
      frames.write(upgrade(), bytes.subarray(0, size));
      assert.equal((await frames.response()).status, 101);
      assert.equal((await frames.write(bytes.subarray(size)).messages())[0].successful, true);
    }
  });

  it('is not made twice', async () => {
    const frames = await Frames.open(server);
    assert.equal(await frames.write(upgrade()).end(), 1002);
    const both = await Frames.dial(server);
    assert.equal((await both.write(upgrade(), upgrade()).response()).status, 101);
    assert.equal(await both.end(), 1002);
  });

  it('may never come to its end', async () => {
    for (const text of [upgrade().slice(0, 30), upgrade().slice(0, -2)]) {
      const frames = await Frames.dial(server);
      await frames.write(text).cut();
    }
    for (const end of ['cut', 'reset']) {
      const frames = await Frames.dial(server);
      await frames.write(upgrade())[end]();
    }
  });
});

describe('a message', { concurrency: true }, () => {
  const text = JSON.stringify([{ ...HANDSHAKE, ext: { text: 'é 你 👋' } }]);
  const bytes = Buffer.from(text);

  async function understood(...parts) {
    const frames = await Frames.open(server);
    const [{ successful }] = await frames.write(...parts).messages();
    assert.equal(successful, true);
  }

  it('may be cut into frames anywhere, even within a character', async () => {
    await Promise.all(numbers(bytes.length + 1).map((at) => understood(...fragments([bytes.subarray(0, at), bytes.subarray(at)]))));
    await understood(...fragments([...bytes].map((byte) => Buffer.of(byte))));
    await understood(...fragments(['', '', bytes, '', '']));
  });

  it('may come slowly', async () => {
    const frames = await Frames.open(server);
    const parts = [...fragments([bytes.subarray(0, 20), bytes.subarray(20)])];
    parts.splice(1, 0, frame(PING, 'slow'));
    for (const [n, byte] of [...Buffer.concat(parts)].entries()) {
      frames.write(Buffer.of(byte));
      await new Promise(setImmediate);
      // Nobody else has to wait.
      if (n === 50) await echo(await Frames.open(server));
    }
    const { opcode, data } = await frames.next();
    assert.deepEqual([opcode, data.toString()], [PONG, 'slow']);
    assert.equal((await frames.messages())[0].successful, true);
  });

  it('may be one object alone', async () => {
    await understood(frame(TEXT, JSON.stringify(HANDSHAKE)));
  });

  it('may have as many bytes as allowed', async () => {
    const fits = text + ' '.repeat(LIMIT - bytes.length);
    await understood(frame(TEXT, fits));
    await understood(...fragments([fits.slice(0, 20), fits.slice(20, 2_000), fits.slice(2_000)]));
  });

  it('is not too large, in one frame', async () => {
    const large = (more) => text + ' '.repeat(LIMIT - bytes.length + more);
    for (const more of [1, LIMIT, 70_000, 5_000_000]) await refused(1009, frame(TEXT, large(more)));
    // The length alone is enough.
    for (const length of [LIMIT + 1, 65_535, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER, (1n << 63n) - 1n]) await refused(1009, frame(TEXT, '', { length }));
  });

  it('is not too large, in many', async () => {
    await refused(1009, ...fragments([...numbers(LIMIT / 16).map(() => ' '.repeat(16)), ' ']));
    await refused(1009, ...fragments(numbers(1_000).map(() => ' '.repeat(4_000))));
    // An end is not waited for.
    await refused(1009, frame(TEXT, ' '.repeat(LIMIT), { fin: false }), frame(CONTINUATION, ' ', { fin: false }));
  });

  it('is text', async () => {
    await refused(1003, frame(BINARY, text));
    await refused(1003, frame(BINARY));
    await refused(1003, frame(BINARY, '['), payload(HANDSHAKE));
    await refused(1003, frame(BINARY, bytes.subarray(0, 9), { fin: false }), frame(CONTINUATION, bytes.subarray(9)));
  });

  it('is in UTF-8', async () => {
    const wrong = (...data) => Buffer.concat([Buffer.from('[{"channel":"/meta/handshake","ext":{"a":"'), Buffer.of(...data), Buffer.from('"}}]')]);
    for (const data of [[0xff, 0xfe], [0x80], [0xc0, 0x80], [0xc3], [0xe4, 0xbd], [0xed, 0xa0, 0x80], [0xf0, 0x80, 0x80, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80]]) {
      const message = wrong(...data);
      await refused(1007, frame(TEXT, message));
      await refused(1007, ...fragments([message.subarray(0, 43), message.subarray(43)]));
    }
    await refused(1007, frame(TEXT, Buffer.of(0xf0, 0x9f, 0x91)));
    await refused(1007, ...fragments([Buffer.of(0xf0, 0x9f), Buffer.of(0x91)]));
  });

  it('is JSON, and messages', async () => {
    for (const body of ['', ' ', '{', '[', '[{]', '[{"channel":"/a",}]', '[{}]x', "[{'channel':1}]", '\ufeff[]', 'undefined', '[NaN]', '\0', 'GET / HTTP/1.1']) {
      await refused(1007, frame(TEXT, body));
    }
    for (const body of ['null', 'true', '1', '"x"', '[null]', '[1]', '["x"]', '[[]]', '[[{}]]']) await refused(1007, frame(TEXT, body));
    await refused(1007, frame(TEXT), payload(HANDSHAKE));
    const depth = LIMIT / 2 - 60;
    await refused(1007, frame(TEXT, `[{"channel":"/a","data":${'['.repeat(depth)}${']'.repeat(depth)}}]`));
    await refused(1007, frame(TEXT, '['.repeat(LIMIT)));
  });

  it('has something in it, and with a handshake nothing else', async () => {
    await refused(1002, frame(TEXT, '[]'));
    await refused(1002, payload(HANDSHAKE, { id: '2', channel: '/a', data: 1 }));
    await refused(1002, payload({ id: '2', channel: '/a', data: 1 }, HANDSHAKE));
    await refused(1002, payload(HANDSHAKE, HANDSHAKE));
  });

  it('has not too many in it', async () => {
    const many = (count) => `[${'{},'.repeat(count - 1)}{}]`;
    await refused(1008, frame(TEXT, many(1_001)));
    const frames = await Frames.open(server);
    assert.equal((await frames.write(frame(TEXT, many(1_000))).messages()).length, 1_000);
  });

  it('costs the connection alone when it is refused', async () => {
    for (const [, code, part] of MISTAKES) {
      const guest = await Guest.handshake(server);
      await guest.send(guest.subscribe(`/mine/${guest.id}`));
      await guest.hold();
      assert.equal(await guest.frames.write(part).end(), code);
      await guest.move();
      await guest.send(guest.publish(`/mine/${guest.id}`, code));
      assert.deepEqual(await guest.reach(`/mine/${guest.id}`, 1), [code]);
    }
  });

  it('that came before is answered before the connection is closed', async () => {
    const guest = await Guest.handshake(server);
    const publish = guest.publish('/a', 'before');
    guest.frames.write(payload(publish), frame(BINARY));
    assert.deepEqual((await guest.replies()).map(({ id }) => id), [publish.id]);
    assert.equal(await guest.frames.end(), 1003);
  });

  it('that the application is busy with is processed to its end, whatever comes of the connection', async () => {
    const other = await Guest.handshake(server);
    const channel = `/busy/${other.id}`;
    await other.send(other.subscribe(channel));
    for (const [n, end] of [frame(BINARY), closing(1000), undefined].entries()) {
      const guest = await Guest.handshake(server);
      const publishes = [guest.publish('/service/delayed-echo', { delay: 100, value: n }), guest.publish('/service/publish', { channel, data: n })];
      guest.frames.write(payload(...publishes), ...(end ? [end] : []));
      if (!end) await guest.frames.cut();
      assert.deepEqual((await other.reach(channel, n + 1))[n], n);
      // What was for the sender alone waits.
      await guest.move();
      await guest.send(guest.connect({ timeout: 0 }));
      assert.deepEqual(await guest.reach('/service/delayed-echo', 1), [n]);
    }
  });

  it('that makes no sense is answered as Bayeux does', async () => {
    const guest = await Guest.handshake(server);
    for (const [message, error] of [
      [{ channel: '/a//b', data: 1 }, /^405:/],
      [{ channel: 5, data: 1 }, /^40[05]:/],
      [{ data: 1 }, /^400:.*:channel_missing$/],
      [{ channel: '/meta/unheard-of' }, /^404:/],
      [{ channel: '/meta/subscribe' }, /^403:.*:subscription_missing$/],
      [{ channel: '/meta/subscribe', subscription: '/a/*/b' }, /^403:.*:subscription_invalid$/],
    ]) {
      const [reply] = await guest.send({ ...message, id: '7', clientId: guest.id });
      assert.equal(reply.successful, false);
      assert.match(reply.error, error, JSON.stringify(message));
    }
  });

  it('is answered in its turn', async () => {
    const guest = await Guest.handshake(server);
    const payloads = numbers(200).map((n) => {
      if (n % 50 === 7) return [guest.publish('/service/delayed-echo', { delay: 50, value: n })];
      return n % 3 === 0 ? [guest.publish('/service/echo', n), guest.publish('/a', n)] : [guest.publish('/service/echo', n)];
    });
    guest.frames.write(...payloads.map((messages) => payload(...messages)));
    for (const messages of payloads) {
      const replies = await guest.replies();
      assert.deepEqual(replies.map(({ id }) => id), messages.map(({ id }) => id), 'one frame of replies for each payload');
      assert.ok(replies.every(({ successful }) => successful));
    }
    const order = guest.events.map(({ data }) => data);
    assert.deepEqual(order, numbers(200), 'events, too');
  });

  it('is passed on as it is', async () => {
    const guest = await Guest.handshake(server);
    await guest.send(guest.subscribe('/data'));
    for (const data of ['1.0', '1e2', '-0', '123456789012345678901234567890.5', '{"b":1,"a":2,"b":3}', '"\\u00e9\\/"', '"é"']) {
      guest.frames.write(frame(TEXT, `[{"id":"9","channel":"/data","clientId":"${guest.id}","data":${data}}]`));
      const event = (await guest.frames.next()).data.toString();
      assert.ok(event.includes(`"data":${data}`), event);
      await guest.replies();
    }
  });

  it('is not taken faster than it is answered', async () => {
    const guest = await Guest.handshake(server);
    // The peer does not read. Sooner or later the server no longer does either, and the socket is stuck.
    guest.frames.socket.pause();
    const filler = 'x'.repeat(3_500);
    const count = 5_000;
    const messages = numbers(count).map((n) => payload(guest.message('/service/echo', { data: { n, filler } })));
    guest.frames.write(...messages);
    await echo(await Frames.open(server));
    assert.ok(guest.frames.socket.writableLength > 0, 'something is still with the peer');
    guest.frames.socket.resume();
    for (const n of numbers(count)) {
      const [{ successful }] = await guest.replies();
      assert.equal(successful, true);
      assert.equal(guest.events.length, n + 1);
    }
    assert.deepEqual(guest.events.map(({ data }) => data.n), numbers(count));
  });
});

describe('a frame', { concurrency: true }, () => {
  it('that pings is answered by a pong with the same data', async () => {
    const guest = await Guest.handshake(server);
    await guest.hold();
    for (const data of ['', 'x', Buffer.of(0, 0xff, 0x80), 'x'.repeat(125)]) {
      const pong = await guest.frames.write(frame(PING, data)).next();
      assert.deepEqual([pong.opcode, pong.data], [PONG, Buffer.from(data)]);
    }
    // Only the last of many has to be answered.
    guest.frames.write(...numbers(100).map((n) => frame(PING, `${n}`)));
    let last = -1;
    while (last < 99) {
      const { opcode, data } = await guest.frames.next();
      assert.equal(opcode, PONG);
      assert.ok(Number(data) > last);
      last = Number(data);
    }
    await guest.settle();
  });

  it('that pings may come between those of a message', async () => {
    const guest = await Guest.handshake(server);
    const publish = guest.publish('/service/echo', '你好');
    const bytes = Buffer.from(JSON.stringify([publish]));
    const middle = bytes.indexOf('你') + 1;
    const [first, second, third] = fragments([bytes.subarray(0, 4), bytes.subarray(4, middle), bytes.subarray(middle)]);
    for (const [part, data] of [[first, 'one'], [second, 'two']]) {
      // Answered at once, and not only when the message is complete.
      const pong = await guest.frames.write(part, frame(PING, data)).next();
      assert.deepEqual([pong.opcode, pong.data.toString()], [PONG, data]);
    }
    guest.frames.write(frame(PONG, 'nobody asked'), third);
    assert.equal((await guest.replies())[0].id, publish.id);
    assert.deepEqual(guest.data('/service/echo'), ['你好']);
  });

  it('that is a pong is taken for a sign of life', async () => {
    const frames = await Frames.open(server);
    frames.write(frame(PONG), frame(PONG, 'x'.repeat(125)));
    await echo(frames);
  });

  it('is masked', async () => {
    await refused(1002, frame(TEXT, JSON.stringify([HANDSHAKE]), { mask: false }));
    await refused(1002, frame(PING, 'x', { mask: false }));
    await refused(1002, frame(CLOSE, '', { mask: false }));
    await refused(1002, frame(TEXT, '[', { fin: false }), frame(CONTINUATION, ']', { mask: false }));
  });

  it('has no bits that nobody has agreed on', async () => {
    for (const rsv of [1, 2, 4, 7]) {
      await refused(1002, frame(TEXT, JSON.stringify([HANDSHAKE]), { rsv }));
      await refused(1002, frame(PING, '', { rsv }));
      await refused(1002, frame(TEXT, '[', { fin: false }), frame(CONTINUATION, ']', { rsv }));
    }
  });

  it('is of a kind that there is', async () => {
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
      await refused(1002, frame(opcode));
      await refused(1002, frame(opcode, 'x'));
      await refused(1002, frame(TEXT, '[', { fin: false }), frame(opcode));
    }
  });

  it('has its place', async () => {
    await refused(1002, frame(CONTINUATION, '[]'));
    await refused(1002, frame(CONTINUATION, '[', { fin: false }));
    await refused(1002, frame(TEXT, '[', { fin: false }), frame(TEXT, ']'));
    await refused(1002, frame(TEXT, '[', { fin: false }), frame(BINARY, ']'));
    const frames = await Frames.open(server);
    await echo(frames);
    assert.equal(await frames.write(frame(CONTINUATION, '[]')).end(), 1002);
  });

  it('that controls is short, and in one piece', async () => {
    for (const opcode of [PING, PONG, CLOSE]) {
      await refused(1002, frame(opcode, 'x', { fin: false }));
      await refused(1002, frame(opcode, Buffer.concat([Buffer.of(3, 0xe8), Buffer.alloc(124, 'x')])));
    }
  });

  it('may never come to its end', async () => {
    const parts = [payload(HANDSHAKE).subarray(0, 1), payload(HANDSHAKE).subarray(0, 4), payload(HANDSHAKE).subarray(0, 20), frame(TEXT, '[', { fin: false }), frame(TEXT, '[', { length: LIMIT })];
    for (const part of parts) {
      for (const end of ['cut', 'reset', 'half']) {
        const frames = await Frames.open(server);
        frames.write(part);
        if (end !== 'half') {
          await frames[end]();
        } else {
          frames.socket.end();
          assert.equal(await frames.next(), undefined);
        }
      }
    }
  });
});

describe('a closing', { concurrency: true }, () => {
  it('is answered with its code, and ends the connection', async () => {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) {
      const frames = await Frames.open(server);
      assert.equal(await frames.write(closing(code, 'bye')).end(), code);
    }
    const long = await Frames.open(server);
    assert.equal(await long.write(closing(1000, 'é'.repeat(61))).end(), 1000);
  });

  it('may have no code', async () => {
    const frames = await Frames.open(server);
    const code = await frames.write(frame(CLOSE)).end();
    assert.ok(code === undefined || code === 1000, `${code}`);
  });

  it('has a code that may be sent', async () => {
    for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]) await refused(1002, closing(code));
    await refused(1002, frame(CLOSE, 'x'));
  });

  it('has a reason in UTF-8', async () => {
    const frames = await Frames.open(server);
    const code = await frames.write(frame(CLOSE, Buffer.of(3, 0xe8, 0xff, 0xfe))).end();
    assert.ok(code === 1002 || code === 1007, `${code}`);
  });

  it('may come between the frames of a message', async () => {
    const frames = await Frames.open(server);
    assert.equal(await frames.write(frame(TEXT, '[', { fin: false }), closing(1000)).end(), 1000);
  });

  it('comes after replies to what came before', async () => {
    const guest = await Guest.handshake(server);
    const channel = `/mine/${guest.id}`;
    await guest.send(guest.subscribe(channel));
    const publishes = numbers(20).map((n) => guest.publish(channel, n));
    guest.frames.write(...publishes.map((publish) => payload(publish)), closing(1000));
    for (const { id } of publishes) assert.equal((await guest.replies())[0].id, id);
    assert.deepEqual(guest.data(channel), numbers(20));
    assert.equal(await guest.frames.end(), 1000);
  });

  it('is the last thing that counts', async () => {
    const guest = await Guest.handshake(server);
    await guest.send(guest.subscribe(`/mine/${guest.id}`));
    const [early, late] = [guest.publish(`/mine/${guest.id}`, 'early'), guest.publish(`/mine/${guest.id}`, 'late')];
    guest.frames.write(payload(early), closing(1000), payload(late), frame(PING, 'late'), frame(TEXT, '{'));
    assert.equal((await guest.replies())[0].id, early.id);
    assert.equal(await guest.frames.end(), 1000);
    await guest.move();
    await guest.settle();
    assert.deepEqual(guest.data(`/mine/${guest.id}`), ['early']);
  });

  it('gets through, however much comes behind it', async () => {
    for (const size of [10_000, 100_000, 10_000_000]) {
      const frames = await Frames.open(server);
      assert.equal(await frames.write(closing(1000), Buffer.alloc(size, 'x')).end(), 1000, `${size} bytes`);
    }
  });

  it('of the server gets through, however much comes behind the mistake', async () => {
    for (const [what, code, part] of MISTAKES) {
      if (what === 'an invalid closing') continue;
      for (const size of [10_000, 10_000_000]) await refused(code, part, Buffer.alloc(size, 'x'));
    }
  });

  it('of the server is followed by the end, also when the peer answers it', async () => {
    const frames = await Frames.open(server);
    const { opcode, data } = await frames.write(frame(BINARY)).next();
    assert.deepEqual([opcode, data.readUInt16BE()], [CLOSE, 1003]);
    frames.write(closing(1003));
    assert.equal(await frames.next(), undefined);
    await frames.closed();
    assert.equal(frames.error, undefined);
  });
});

describe('a session', { concurrency: true }, () => {
  it('is pushed to at once, also before its first connect', async () => {
    const frames = await Frames.open(server);
    const [{ clientId }] = await frames.send(HANDSHAKE).messages();
    const publisher = await Guest.handshake(server);
    await frames.send({ id: '2', channel: '/meta/subscribe', subscription: '/early', clientId }).messages();
    for (const n of numbers(3)) {
      await publisher.send(publisher.publish('/early', n));
      assert.deepEqual(await frames.messages(), [{ channel: '/early', data: n }]);
    }
  });

  it('has its connect held, and events do not end that', async () => {
    const [guest, publisher] = [await Guest.handshake(server), await Guest.handshake(server)];
    await guest.send(guest.subscribe('/held'));
    const connect = guest.connect({ timeout: 2_000 });
    const begin = Date.now();
    guest.frames.send(connect);
    for (const n of numbers(5)) {
      await publisher.send(publisher.publish('/held', n));
      await guest.reach('/held', n + 1);
    }
    const [reply, ...others] = await guest.replies();
    assert.deepEqual([reply.id, reply.successful, others], [connect.id, true, []]);
    const held = Date.now() - begin;
    assert.ok(held >= 1_995 && held < 3_500, `held for ${held} ms`);
  });

  it('has its connect answered at once among other messages', async () => {
    const guest = await Guest.handshake(server);
    for (const order of [[guest.connect(), guest.publish('/a', 1)], [guest.publish('/a', 1), guest.connect()]]) await guest.send(...order);
  });

  it('goes on over another WebSocket, and the older one is closed with its connect unanswered', async () => {
    const [guest, publisher] = [await Guest.handshake(server), await Guest.handshake(server)];
    await guest.send(guest.subscribe('/moved'));
    await guest.hold();
    const before = await guest.move();
    const connect = await guest.hold();
    await publisher.send(publisher.publish('/moved', 1));
    await guest.reach('/moved', 1);
    // Nothing of the session's comes to the older one, its end included: only that it is of no use any more.
    const disconnect = guest.message('/meta/disconnect');
    guest.frames.send(disconnect);
    const replies = await guest.replies();
    while (replies.length < 2) replies.push(...(await guest.replies()));
    assert.deepEqual(new Set(replies.map(({ id }) => id)), new Set([connect.id, disconnect.id]));
    assert.equal(await before.end(), 1000);
  });

  it('goes on over another WebSocket after the end of the one before, without a loss', async () => {
    for (const end of ['closing', 'half']) {
      const [guest, publisher] = [await Guest.handshake(server), await Guest.handshake(server)];
      const channel = `/kept/${end}`;
      await guest.send(guest.subscribe(channel));
      await guest.hold();
      if (end === 'closing') {
        assert.equal(await guest.frames.write(closing(1001)).end(), 1001);
      } else {
        guest.frames.socket.end();
        // Not a word is said about the connect; what the server ends with is a closing or nothing at all.
        const last = await guest.frames.next();
        assert.ok(last === undefined || last.opcode === CLOSE);
        await guest.frames.closed();
      }
      for (const n of numbers(100)) await publisher.send(publisher.publish(channel, n));
      await guest.move();
      await guest.send(guest.connect({ timeout: 0 }));
      assert.deepEqual(await guest.reach(channel, 100), numbers(100));
      await guest.settle();
      assert.equal(guest.events.length, 100);
    }
  });

  it('goes on over another WebSocket after a reset', async () => {
    const [guest, publisher] = [await Guest.handshake(server), await Guest.handshake(server)];
    await guest.send(guest.subscribe('/reset'));
    await guest.hold();
    await guest.frames.reset();
    await guest.move();
    await guest.send(guest.connect({ timeout: 0 }));
    await publisher.send(publisher.publish('/reset', 1));
    assert.deepEqual(await guest.reach('/reset', 1), [1]);
  });

  it('has what it published before half an end', async () => {
    const guest = await Guest.handshake(server);
    const channel = `/mine/${guest.id}`;
    await guest.send(guest.subscribe(channel));
    const publish = guest.publish(channel, 'on the way out');
    guest.frames.socket.end(payload(publish));
    assert.equal((await guest.replies())[0].id, publish.id);
    assert.deepEqual(guest.data(channel), ['on the way out']);
  });

  it('comes over from long-polling', async () => {
    const peer = await Peer.handshake(server);
    await peer.send(peer.subscribe('/over'));
    const wire = await peer.hold();
    await peer.send(peer.publish('/elsewhere', 1));
    const guest = Object.assign(new Guest(), { server, id: peer.id, frames: await Frames.open(server, { Cookie: peer.cookie }) });
    await guest.hold();
    const { status, body } = await wire.response();
    assert.deepEqual([status, body], [500, ''], 'the connect that was held before is given up');
    const publisher = await Guest.handshake(server);
    await publisher.send(publisher.publish('/over', 1));
    assert.deepEqual(await guest.reach('/over', 1), [1]);
    await guest.send(guest.publish('/service/whoami', {}));
    assert.deepEqual(guest.data('/service/whoami'), [{ sessionId: peer.id, transport: 'websocket', subscriptions: ['/over'] }]);
  });

  it('that was made over WebSocket does not go on over HTTP', async () => {
    const guest = await Guest.handshake(server);
    await guest.send(guest.subscribe(`/mine/${guest.id}`));
    await guest.hold();
    const { cookie } = await Peer.handshake(server);
    for (const headers of [{}, { Cookie: cookie }, { Cookie: 'BAYEUX_BROWSER=' }]) {
      const message = { id: '1', channel: '/meta/connect', connectionType: 'long-polling', clientId: guest.id };
      const [reply] = JSON.parse((await ask(server, post([message], headers))).body);
      assert.deepEqual([reply.successful, reply.error, reply.advice], [false, '402::session_unknown', { reconnect: 'handshake', interval: 0 }]);
      const [published] = JSON.parse((await ask(server, post([guest.publish(`/mine/${guest.id}`, 1)], headers))).body);
      assert.equal(published.error, '402::session_unknown');
    }
    await guest.send(guest.publish(`/mine/${guest.id}`, 2));
    assert.deepEqual(guest.data(`/mine/${guest.id}`), [2]);
  });

  it('that nobody knows is answered with the advice to shake hands', async () => {
    const frames = await Frames.open(server);
    const [reply] = await frames.send({ id: '1', channel: '/meta/connect', connectionType: 'websocket', clientId: 'x'.repeat(30) }).messages();
    assert.deepEqual([reply.successful, reply.error, reply.advice], [false, '402::session_unknown', { reconnect: 'handshake', interval: 0 }]);
    await echo(frames);
  });

  it('is not spoken for on the WebSocket of another', async () => {
    const [one, other] = [await Guest.handshake(server), await Guest.handshake(server)];
    const [reply] = await one.send({ ...one.publish('/a', 1), clientId: other.id });
    assert.equal(reply.error, '402::session_unknown');
    await one.settle();
    await other.settle();
  });

  it('that ends has its connect answered, and its WebSocket takes the next', async () => {
    const guest = await Guest.handshake(server);
    const connect = await guest.hold();
    guest.frames.send(guest.message('/meta/disconnect'));
    const replies = await guest.replies();
    while (replies.length < 2) replies.push(...(await guest.replies()));
    const held = replies.find(({ id }) => id === connect.id);
    assert.deepEqual([held.successful, held.advice], [true, { reconnect: 'none' }]);
    assert.equal(replies.find(({ channel }) => channel === '/meta/disconnect').successful, true);
    await echo(guest.frames);
  });
});

describe('many WebSockets', { concurrency: true }, () => {
  it('that are opened and dropped leave nothing behind but sessions, which expire', async (t) => {
    const server = await testbed(t, '--max-interval', 1_000, '--sweep', 50);
    const [observer, other] = [await Guest.handshake(server), await Guest.handshake(server)];
    await observer.send(observer.subscribe('/events'));
    await observer.hold();
    await other.send(other.subscribe('/others'));
    await other.hold();
    const ids = [];
    const ends = ['cut', 'reset', 'close', 'garbage', 'half'];
    for (const round of numbers(6)) {
      await Promise.all(
        numbers(50).map(async (n) => {
          const guest = await Guest.handshake(server);
          ids.push(guest.id);
          await guest.send(guest.subscribe('/others'));
          await guest.hold();
          const { frames } = guest;
          switch (ends[n % ends.length]) {
            case 'close':
              return frames.write(closing(1001)).closed();
            case 'garbage':
              return frames.write(frame(7, 'x')).closed();
            case 'half':
              return void frames.socket.end();
            default:
              return frames[ends[n % ends.length]]();
          }
        }),
      );
      // Those who stay are served meanwhile.
      await other.send(other.publish('/others', round));
    }
    assert.deepEqual(other.data('/others'), numbers(6));
    // Of the two who stay it may be told late that they were added.
    const others = (event) => ![observer.id, other.id].includes(event.sessionId);
    while (observer.data('/events').filter(others).length < 600) await observer.reach('/events', observer.data('/events').length + 1);
    for (const type of ['added', 'expired']) {
      const told = observer.data('/events').filter(others).filter((event) => event.type === type);
      assert.deepEqual(told.map(({ sessionId }) => sessionId).sort(), [...ids].sort(), type);
    }
    const after = await Guest.handshake(server);
    await after.settle();
    await other.settle();
  });

  it('without a session trouble nobody', async () => {
    const all = await Promise.all(numbers(100).map(() => Frames.open(server)));
    await echo(all[50]);
    await Promise.all(all.map((frames, n) => (n % 2 ? frames.cut() : frames.reset())));
  });
});

describe('SIGTERM', { concurrency: true }, () => {
  it('has held connects answered, and WebSockets closed after that', async (t) => {
    const server = await testbed(t, '--max-lazy-timeout', 60_000);
    const guests = await Promise.all(numbers(30).map(() => Guest.handshake(server)));
    const [first, second] = guests;
    await first.send(first.subscribe('/lazy/a'));
    const connects = await Promise.all(guests.map((guest) => guest.hold()));
    await second.send(second.publish('/lazy/a', 'on the way out'));
    // Nobody is owed anything here: one has no session, one has no connect.
    const [stranger, idle] = [await Frames.open(server), await Guest.handshake(server)];
    await idle.settle();

    const begin = Date.now();
    server.terminate();
    for (const [n, guest] of guests.entries()) {
      const [reply, ...others] = await guest.replies();
      assert.deepEqual([reply.id, reply.successful, reply.advice.reconnect, others], [connects[n].id, true, 'retry', []]);
      assert.ok(reply.advice.interval >= 0 && reply.advice.interval <= 2_000, `interval ${reply.advice.interval}`);
      assert.equal(await guest.frames.end(), 1001);
    }
    assert.deepEqual(first.data('/lazy/a'), ['on the way out'], 'what is queued goes along');
    assert.equal(await stranger.end(), 1001);
    assert.equal(await idle.frames.end(), 1001);
    await server.stop();
    assert.ok(Date.now() - begin < 3_000, 'ended soon');
    await assert.rejects(Frames.dial(server), 'nobody listens any more');
  });

  for (const [what, code, part] of MISTAKES) {
    it(`does not wait for a WebSocket that was closed because of ${what}`, async (t) => {
      const server = await testbed(t);
      const guest = await Guest.handshake(server);
      await guest.hold();
      assert.equal(await guest.frames.write(part).end(), code);
      const begin = Date.now();
      await server.stop();
      assert.ok(Date.now() - begin < 3_000, 'ended soon');
    });
  }

  it('lets what is being processed come to its end', async (t) => {
    const server = await testbed(t);
    const [guest, other] = [await Guest.handshake(server), await Guest.handshake(server)];
    const publish = guest.publish('/service/delayed-echo', { delay: 600, value: 'done' });
    guest.frames.send(publish);
    // Behind it on another connection.
    await other.settle();
    server.terminate();
    const [reply] = await guest.replies();
    assert.deepEqual([reply.id, reply.successful], [publish.id, true]);
    assert.deepEqual(guest.data('/service/delayed-echo'), ['done']);
    assert.equal(await guest.frames.end(), 1001);
    await server.stop();
  });
});

describe('a session without a WebSocket', { concurrency: true }, () => {
  it('expires when its time is over, counted from the loss', async (t) => {
    const server = await testbed(t, '--max-interval', 1_000, '--sweep', 50);
    const [observer, guest] = [await Guest.handshake(server), await Guest.handshake(server)];
    await observer.send(observer.subscribe('/events'));
    await observer.hold();
    await guest.hold();
    await guest.frames.cut();
    const lost = Date.now();
    // That somebody was added may be told late.
    while (observer.data('/events').at(-1)?.type !== 'expired') await observer.reach('/events', observer.data('/events').length + 1);
    assert.equal(observer.data('/events').at(-1).sessionId, guest.id);
    const expired = Date.now() - lost;
    assert.ok(expired >= 900 && expired < 2_500, `expired after ${expired} ms`);
    await guest.move();
    const [reply] = await guest.send(guest.connect());
    assert.deepEqual([reply.error, reply.advice], ['402::session_unknown', { reconnect: 'handshake', interval: 0 }]);
  });
});

describe('a peer that does not go when it is told', { concurrency: true }, () => {
  it('is not waited for without end', async () => {
    const frames = await Frames.dial(server, { allowHalfOpen: true });
    assert.equal((await frames.write(upgrade(), frame(BINARY)).response()).status, 101);
    const { opcode, data } = await frames.next();
    assert.deepEqual([opcode, data.readUInt16BE()], [CLOSE, 1003]);
    // The peer keeps its side open, and is not waited for without end.
    assert.equal(await frames.next(), undefined);
    assert.equal(frames.error, undefined);
    frames.socket.on('error', () => {});
    const gone = setInterval(() => frames.socket.write('x'), 50);
    await within(8_000, once(frames.socket, 'close').catch(() => {}), 'the server is gone').finally(() => clearInterval(gone));
  });

  it('does not keep the server from ending', async (t) => {
    const server = await testbed(t);
    const dialled = await Frames.dial(server, { allowHalfOpen: true });
    assert.equal((await dialled.write(upgrade()).response()).status, 101);
    server.terminate();
    const { opcode, data } = await dialled.next();
    assert.deepEqual([opcode, data.readUInt16BE()], [CLOSE, 1001]);
    await server.stop();
  });
});
