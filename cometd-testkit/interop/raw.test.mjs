// Clients that nobody would write: broken, slow, hostile, gone. After each of them the server is well.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { Testbed } from './testbed.mjs';
import { SOON } from './waiting.mjs';
import { Peer, Wire, ask, head, post } from './wire.mjs';

const LIMIT = 4_096;
const ORIGIN = 'https://app.example';
const HANDSHAKE = [{ id: '1', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }];

let server;

before(async () => {
  const options = ['--timeout', '20000', '--max-message-size', `${LIMIT}`, '--allow-origin', ORIGIN, '--multi-session-interval', '100'];
  server = await new Testbed(options).start();
});

afterEach(async () => {
  const peer = await Peer.handshake(server);
  const [event, reply] = await peer.send(peer.publish('/service/echo', 'well'));
  assert.deepEqual([event.data, reply.successful], ['well', true]);
  assert.equal((await peer.send(peer.message('/meta/disconnect')))[0].successful, true);
});

after(() => server.end());

/** The reply to a message, among the events that may have come along. */
const replyTo = (messages, { id }) => messages.find((message) => message.id === id);

async function refused(text, status) {
  const response = await ask(server, text);
  assert.equal(response?.status, status, text.slice(0, 200));
  assert.equal(response.headers['content-type'], 'text/plain;charset=UTF-8');
  assert.equal('set-cookie' in response.headers, false);
  return response;
}

describe('a body', () => {
  it('has to be JSON', async () => {
    for (const body of ['', ' ', '{', '[', '[{]', '[{"channel":"/a",}]', '[{}]x', "[{'channel':1}]", '\ufeff[]', 'undefined', '[NaN]', '\0']) {
      await refused(post(body), 400);
    }
  });

  it('has to be in UTF-8', async () => {
    const wire = await Wire.open(server);
    const body = Buffer.concat([Buffer.from('[{"channel":"/meta/handshake","ext":{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}}]')]);
    wire.send(head('POST', '/cometd', { Host: 'test', 'Content-Type': 'application/json', 'Content-Length': body.length }));
    wire.socket.write(body);
    assert.equal((await wire.response()).status, 400);
  });

  it('has to be messages', async () => {
    for (const body of ['null', 'true', '1', '"x"', '[]', '[null]', '[1]', '["x"]', '[[]]', '[[{}]]']) await refused(post(body), 400);
  });

  it('may be one message alone', async () => {
    const response = await ask(server, post(HANDSHAKE[0]));
    assert.deepEqual([response.status, JSON.parse(response.body)[0].successful], [200, true]);
  });

  it('with a handshake has nothing else', async () => {
    await refused(post([...HANDSHAKE, { id: '2', channel: '/a', data: 1 }]), 400);
    await refused(post([...HANDSHAKE, ...HANDSHAKE]), 400);
  });

  it('is not nested without end', async () => {
    const depth = LIMIT / 2 - 60;
    await refused(post(`[{"channel":"/a","data":${'['.repeat(depth)}${']'.repeat(depth)}}]`), 400);
    await refused(post('['.repeat(LIMIT)), 400);
  });

  it('is not too large, with a length', async () => {
    const peer = await Peer.handshake(server);
    const envelope = peer.request(peer.publish('/a', '')).split('\r\n\r\n')[1].length;
    const fits = peer.publish('/a', 'x'.repeat(LIMIT - envelope));
    assert.equal(replyTo(await peer.send(fits), fits).successful, true);
    for (const more of [1, LIMIT, 100_000]) {
      const text = peer.request(peer.publish('/a', 'x'.repeat(LIMIT - envelope + more)));
      assert.equal((await ask(server, text))?.status, 413, `${more} bytes too many`);
    }
    // The length alone is enough.
    await refused(head('POST', '/cometd', { Host: 'test', 'Content-Length': LIMIT + 1 }), 413);
    await refused(head('POST', '/cometd', { Host: 'test', 'Content-Length': Number.MAX_SAFE_INTEGER }), 413);
  });

  it('is not too large, in chunks', async () => {
    const text = (size) => `[${JSON.stringify(HANDSHAKE[0])}${' '.repeat(size - JSON.stringify(HANDSHAKE).length)}]`;
    assert.equal((await ask(server, post(text(LIMIT), { chunked: true }))).status, 200);
    for (const more of [1, LIMIT, 100_000]) {
      assert.equal((await ask(server, post(text(LIMIT + more), { chunked: true })))?.status, 413, `${more} bytes too many`);
    }
    // A body without end is not waited for.
    const wire = await Wire.open(server);
    wire.send(head('POST', '/cometd', { Host: 'test', 'Transfer-Encoding': 'chunked' }));
    wire.send(`${(LIMIT + 1).toString(16)}\r\n${'x'.repeat(LIMIT + 1)}\r\n`);
    assert.equal((await wire.response()).status, 413);
  });

  it('may be far too large', async () => {
    for (const chunked of [false, true]) {
      // The server does not read all of this. When it closes the connection with bytes still under way,
      // the operating system may take back what the client has not read yet, the answer included.
      const response = await ask(server, post(' '.repeat(5_000_000), { chunked }));
      assert.ok(response === undefined || response.status === 413);
    }
  });

  it('may come slowly', async () => {
    const wire = await Wire.open(server);
    const text = post(HANDSHAKE);
    for (const [n, byte] of [...text].entries()) {
      wire.send(byte);
      await new Promise(setImmediate);
      // Nobody else has to wait.
      if (n === text.length - 5) assert.equal((await ask(server, post(HANDSHAKE))).status, 200);
    }
    assert.equal(JSON.parse((await wire.response()).body)[0].successful, true);
  });

  it('may never come to its end', async () => {
    for (const framing of [{ 'Content-Length': 100 }, { 'Transfer-Encoding': 'chunked' }]) {
      for (const part of ['', '5\r\n[{"id', '[{"id":"1","channel":"/meta/hand']) {
        for (const end of ['cut', 'half']) {
          const wire = await Wire.open(server);
          wire.send(head('POST', '/cometd', { Host: 'test', 'Content-Type': 'application/json', ...framing }) + part);
          if (end === 'half') {
            wire.socket.end();
            const response = await wire.response();
            assert.ok(response === undefined || response.status === 400);
          }
          await wire.cut();
        }
      }
    }
  });

  it('is asked for when the client waits for that', async () => {
    const wire = await Wire.open(server);
    const [text, body] = post(HANDSHAKE, { Expect: '100-continue' }).split(/(?<=\r\n\r\n)/);
    assert.equal((await wire.send(text).response()).status, 100);
    assert.equal((await wire.send(body).response()).status, 200);
    const large = head('POST', '/cometd', { Host: 'test', 'Content-Length': LIMIT + 1, Expect: '100-continue' });
    assert.equal((await ask(server, large)).status, 413, 'and not when it is unwanted');
  });

  it('is of the right type', async () => {
    for (const type of ['text/plain', 'text/html', 'application/xml', 'multipart/form-data; boundary=x', 'application/json; charset=latin1']) {
      await refused(post(HANDSHAKE, { type }), 415);
    }
    for (const type of ['application/json', 'application/json;charset=UTF-8', 'text/json', undefined]) {
      assert.equal((await ask(server, post(HANDSHAKE, { type }))).status, 200, type);
    }
    const form = `message=${encodeURIComponent(JSON.stringify(HANDSHAKE))}`;
    assert.equal((await ask(server, post(form, { type: 'application/x-www-form-urlencoded' }))).status, 200);
  });

  it('is passed on as it is', async () => {
    const peer = await Peer.handshake(server);
    await peer.send(peer.subscribe('/data'));
    for (const data of ['1.0', '1e2', '-0', '123456789012345678901234567890.5', '{"b":1,"a":2,"b":3}', '"\\u00e9\\/"', '"é"']) {
      const body = `[{"id":"9","channel":"/data","clientId":"${peer.id}","data":${data}}]`;
      const response = await ask(server, post(body, { Cookie: peer.cookie }));
      assert.ok(response.body.includes(`"data":${data}`), response.body);
    }
  });
});

describe('a message', () => {
  it('that makes no sense is answered as Bayeux does', async () => {
    const peer = await Peer.handshake(server);
    for (const [message, error] of [
      [{ channel: '/a//b', data: 1 }, /^405:/],
      [{ channel: 'a', data: 1 }, /^405:/],
      [{ channel: '/a b?', data: 1 }, /^405:/],
      [{ channel: 5, data: 1 }, /^40[05]:/],
      [{ data: 1 }, /^400:.*:channel_missing$/],
      [{ channel: '/meta/unheard-of' }, /^404:/],
      [{ channel: '/meta/subscribe' }, /^403:.*:subscription_missing$/],
      [{ channel: '/meta/subscribe', subscription: 5 }, /^403:.*:subscription_invalid$/],
      [{ channel: '/meta/subscribe', subscription: '/a/*/b' }, /^403:.*:subscription_invalid$/],
    ]) {
      const [reply] = await peer.send({ ...message, id: '7', clientId: peer.id });
      assert.deepEqual([reply.id, reply.successful], ['7', false], JSON.stringify(message));
      assert.match(reply.error, error, JSON.stringify(message));
    }
  });

  it('needs the session and the browser that it belongs to', async () => {
    const [one, other] = [await Peer.handshake(server), await Peer.handshake(server)];
    for (const cookie of [undefined, 'BAYEUX_BROWSER=', 'BAYEUX_BROWSER=__proto__', other.cookie]) {
      const headers = cookie ? { Cookie: cookie } : {};
      const [published] = JSON.parse((await ask(server, post([one.publish('/a', 1)], headers))).body);
      assert.deepEqual([published.successful, published.error, published.advice], [false, '402::session_unknown', undefined], cookie);
      const [connected] = JSON.parse((await ask(server, post([one.connect()], headers))).body);
      assert.deepEqual([connected.error, connected.advice], ['402::session_unknown', { reconnect: 'handshake', interval: 0 }]);
    }
    const [, second] = await one.send(one.publish('/a', 1), { ...one.publish('/a', 2), clientId: other.id });
    assert.equal(second.error, '402::session_unknown');
  });
});

describe('the cookie', () => {
  it('is set once, hidden from scripts, for the whole site', async () => {
    const { cookie, response } = await Peer.handshake(server);
    assert.match(response.headers['set-cookie'], /^BAYEUX_BROWSER=[0-9A-Za-z]{20,}; Path=\/; HttpOnly$/);
    assert.equal('set-cookie' in (await Peer.handshake(server, cookie)).response.headers, false, 'another tab');
    assert.equal('set-cookie' in (await Peer.handshake(server, `a=b; ${cookie}; c=d`)).response.headers, false);
  });

  it('is replaced when this server did not make it', async () => {
    for (const foreign of ['BAYEUX_BROWSER=constructor', `BAYEUX_BROWSER=${'0'.repeat(36)}`, 'BAYEUX_BROWSER=']) {
      const { headers } = await ask(server, post(HANDSHAKE, { Cookie: foreign }));
      assert.match(headers['set-cookie'], /^BAYEUX_BROWSER=/);
      assert.notEqual(headers['set-cookie'].split(';')[0], foreign);
    }
  });
});

describe('a method or path', () => {
  it('is refused with what is allowed', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'FOO']) {
      const { headers } = await refused(head(method, '/cometd'), 405);
      assert.equal(headers.allow, 'GET, POST, OPTIONS');
    }
  });

  it('without the server behind it is not found', async () => {
    for (const path of ['/', '/cometdx', '/other/cometd', '/COMETD', '/%63ometd']) {
      assert.equal((await ask(server, post(HANDSHAKE, { path }))).status, 404, path);
    }
    for (const path of ['/cometd', '/cometd/', '/cometd/handshake', '/cometd/a/b.c?d=e']) {
      assert.equal((await ask(server, post(HANDSHAKE, { path }))).status, 200, path);
    }
  });

  it('is told to other origins when they are known', async () => {
    const preflight = (origin) =>
      head('OPTIONS', '/cometd/connect', {
        Host: 'test',
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type',
      });
    const known = await ask(server, preflight(ORIGIN));
    assert.equal(known.status, 204);
    assert.equal(known.headers['access-control-allow-origin'], ORIGIN);
    assert.equal(known.headers['access-control-allow-credentials'], 'true');
    assert.match(known.headers['access-control-allow-methods'], /\bPOST\b/);
    assert.match(known.headers['access-control-allow-headers'], /\bcontent-type\b/i);
    assert.equal(known.headers.vary, 'Origin');
    for (const origin of ['https://evil.example', `${ORIGIN}.evil.example`, 'null']) {
      const unknown = await ask(server, preflight(origin));
      assert.deepEqual(Object.keys(unknown.headers).filter((name) => name.startsWith('access-control')), [], origin);
      const { headers } = await ask(server, post(HANDSHAKE, { Origin: origin }));
      assert.equal('access-control-allow-origin' in headers, false);
    }
    for (const text of [post(HANDSHAKE, { Origin: ORIGIN }), post('{', { Origin: ORIGIN })]) {
      const { headers } = await ask(server, text);
      assert.deepEqual([headers['access-control-allow-origin'], headers.vary], [ORIGIN, 'Origin'], 'errors can be read, too');
    }
  });
});

describe('callback-polling', () => {
  const get = (messages, { callback = 'cb', ...headers } = {}) => {
    const query = new URLSearchParams({ jsonp: callback, message: JSON.stringify(messages) });
    return head('GET', `/cometd/?${query}`, { Host: 'test', ...headers });
  };
  const called = ({ status, headers, body }) => {
    assert.deepEqual([status, headers['content-type'], headers['x-content-type-options']], [200, 'text/javascript;charset=UTF-8', 'nosniff']);
    return JSON.parse(body.match(/^\/\*\*\/cb\((.*)\);?$/s)[1]);
  };

  it('has sessions like any other', async () => {
    const response = await ask(server, get(HANDSHAKE));
    const [{ clientId }] = called(response);
    const Cookie = response.headers['set-cookie'].split(';')[0];
    const send = async (...messages) => called(await ask(server, get(messages.map((message) => ({ ...message, clientId })), { Cookie })));
    await send({ id: '2', channel: '/meta/connect', connectionType: 'callback-polling' });
    assert.equal((await send({ id: '3', channel: '/meta/subscribe', subscription: '/a' }))[0].successful, true);
    const replies = [
      ...(await send({ id: '4', channel: '/a', data: '\u2028</script>' }, { id: '5', channel: '/service/whoami', data: {} })),
      ...(await send({ id: '6', channel: '/meta/connect', connectionType: 'callback-polling' })),
    ];
    assert.equal(replies.find(({ channel, data }) => channel === '/a' && data)?.data, '\u2028</script>');
    assert.deepEqual(replies.find(({ channel, data }) => channel === '/service/whoami' && data)?.data, {
      sessionId: clientId,
      transport: 'callback-polling',
      subscriptions: ['/a'],
    });
  });

  it('calls nothing but a function by its name', async () => {
    for (const callback of ['', 'a(b', 'a b', 'a:b', 'a;b', 'a\r\nX: y', '<script>', 'é', 'x'.repeat(65)]) {
      const { body } = await refused(get(HANDSHAKE, { callback }), 400);
      assert.ok(callback === '' || !body.includes(callback));
    }
    assert.equal((await ask(server, get(HANDSHAKE, { callback: 'jQuery.a_1-b' }))).status, 200);
  });

  it('needs a callback and messages', async () => {
    for (const query of ['', '?jsonp=cb', '?message=[]', '?jsonp=cb&message=', '?jsonp=cb&message=[', '?jsonp=cb&message=[]']) {
      await refused(head('GET', `/cometd${query}`), 400);
    }
    assert.equal((await ask(server, head('GET', `/cometd?jsonp=cb&message=${'x'.repeat(LIMIT)}`))).status, 414);
  });
});

describe('a held connect', () => {
  it('loses nothing when its connection is cut', async () => {
    const [peer, other] = [await Peer.handshake(server), await Peer.handshake(server)];
    // Another tab of the same browser: it is told to poll for as long as the server holds the connect.
    const tab = await Peer.handshake(server, peer.cookie);
    const isHeld = async () => (await tab.send(tab.connect({ timeout: 0 })))[0].advice['multiple-clients'] === true;
    await peer.send(peer.subscribe('/news'));
    const wire = await peer.hold();
    await eventually(isHeld, true);
    await wire.cut();
    await eventually(isHeld, false);
    await other.send(other.publish('/news', 1), other.publish('/news', 2));
    const connect = peer.connect();
    const messages = await peer.send(connect);
    assert.deepEqual(messages.filter(({ channel }) => channel === '/news').map(({ data }) => data), [1, 2]);
    assert.equal(replyTo(messages, connect).successful, true);
  });

  it('does not swallow what is pipelined behind it', async () => {
    const peer = await Peer.handshake(server);
    const [connect, publish] = [peer.connect({ timeout: 300 }), peer.publish('/service/echo', 'behind')];
    const wire = await Wire.open(server);
    wire.send(peer.request(connect) + peer.request(publish));
    assert.equal(replyTo(JSON.parse((await wire.response()).body), connect).successful, true);
    const messages = JSON.parse((await wire.response()).body);
    assert.deepEqual(messages.map(({ data, successful }) => data ?? successful), ['behind', true]);
  });

  it('makes way for a newer one of its session', async () => {
    const [peer, other] = [await Peer.handshake(server), await Peer.handshake(server)];
    await peer.send(peer.subscribe('/news'));
    const older = await peer.hold();
    await other.send(other.publish('/elsewhere', 1));
    const newer = await peer.hold();
    const { status, body } = await older.response();
    assert.deepEqual([status, body], [500, '']);
    await other.send(other.publish('/news', 'for the newer one'));
    const messages = JSON.parse((await newer.response()).body);
    assert.deepEqual(messages.map(({ channel, successful }) => [channel, successful]), [['/news', undefined], ['/meta/connect', true]]);
    assert.ok(older.silent, 'the connection can be used on');
    assert.equal((await older.send(post(HANDSHAKE)).response()).status, 200);
  });

  it('is answered when its session ends', async () => {
    const peer = await Peer.handshake(server);
    const wire = await peer.hold();
    // A roundtrip, so that the connect has arrived.
    await peer.send(peer.publish('/service/echo', 1));
    const [reply] = await peer.send(peer.message('/meta/disconnect'));
    assert.equal(reply.successful, true);
    const [held] = JSON.parse((await wire.response()).body);
    assert.deepEqual([held.successful, held.advice], [true, { reconnect: 'none' }]);
  });

  it('is answered when the server ends its session', async () => {
    const peer = await Peer.handshake(server);
    const wire = await peer.hold();
    await peer.send(peer.publish('/service/echo', 1));
    const publish = peer.publish('/service/disconnect', {});
    assert.equal(replyTo(await peer.send(publish), publish).successful, true, 'the service did what it was asked for');
    const [farewell, held] = JSON.parse((await wire.response()).body);
    assert.deepEqual(farewell, { channel: '/meta/disconnect', successful: true });
    assert.deepEqual([held.channel, held.successful, held.advice], ['/meta/connect', true, { reconnect: 'none' }]);
  });

  it('is not held among other messages', async () => {
    const peer = await Peer.handshake(server);
    const [connect, publish] = [peer.connect(), peer.publish('/a', 1)];
    for (const order of [[connect, publish], [publish, connect]]) {
      const replies = await peer.send(...order);
      assert.deepEqual(replies.map(({ id, successful }) => [id, successful]), order.map(({ id }) => [id, true]));
    }
  });
});

async function eventually(condition, wanted) {
  for (const deadline = Date.now() + SOON; (await condition()) !== wanted; ) assert.ok(Date.now() < deadline, `${condition} is ${wanted}`);
}
