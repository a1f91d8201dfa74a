// cometd-client, a client for Rust: it subscribes, and hears.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { behaviours } from './clients/behaviours.mjs';
import { here, Missing, out, run } from './clients/install.mjs';
import { Program, Remote } from './clients/remote.mjs';
import { others, settle, told } from './sessions.mjs';
import { tab } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { SOON, until } from './waiting.mjs';
import { ask, post } from './wire.mjs';

/** All tests share the program, and cargo knows by itself whether it is to be built again. */
let started;
const start = () => (started ??= build());

async function build() {
  const target = path.resolve(process.env.CARGO_TARGET_DIR ?? out('rust'));
  await run('cargo', 'build', '--quiet', '--locked', '--manifest-path', here('rust', 'Cargo.toml'), '--target-dir', target);
  return new Program(path.join(target, 'debug', 'cometd-client-driver'));
}

/** Publishes until the client has heard it, as it does not say when it has subscribed; nothing more is to come then. */
async function heard(remote, channel, publisher) {
  const already = remote.data(channel).length;
  for (const begin = Date.now(); remote.data(channel).length === already; ) {
    assert.ok(Date.now() - begin < SOON, `nothing heard on ${channel}`);
    await publisher.publish(channel, 'heard?');
  }
  await publisher.publish(channel, 'heard.');
  await until(() => remote.data(channel).at(-1) === 'heard.', `the last one on ${channel}`);
}

async function subscribe(remote, name, publisher) {
  await remote.subscribe(name);
  await heard(remote, name.replace('**', 'a/b').replace('*', 'a'), publisher);
}

behaviours({
  name: 'cometd-client',
  transports: ['long-polling'],
  start,
  subscribe,
  cannot: {
    publish: 'it cannot publish',
    batch: 'it cannot publish',
    call: 'it has no calls',
    unsubscribe: 'it cannot unsubscribe',
    refusal: 'it gives up when it may not subscribe',
    goodbye: 'it follows the advice of failed replies only, so it comes back as another session',
    resume: 'it gives up when its connection is cut, and another client is another session',
    ack: 'it has no extensions',
    timesync: 'it has no extensions',
  },
});

it('cometd-client over websocket', (t) => t.skip('it has no such transport'));
it('cometd-client comes back when it is advised to', (t) => t.skip('of an advice it reads `reconnect`, but not `interval`'));

/** A proxy for one client. */
class Proxy {
  /** What it adds to the client's handshakes. */
  ext;
  /** The channels of messages that wait until the proxy goes on. */
  waiting = [];
  /** The channels of messages that it has passed on. */
  passed = [];
  #server;
  #listener = http.createServer((request, response) => this.#pass(request, response));
  #ready = Promise.resolve();
  #paused = false;
  #clientId;
  #cookie;

  static async before(server) {
    const proxy = new Proxy();
    proxy.#server = server;
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    server.last(async () => {
      const closed = once(proxy.#listener, 'close');
      proxy.#listener.close();
      proxy.#listener.closeAllConnections();
      await closed;
    });
    return proxy;
  }

  get url() {
    return this.#server.url.replace(`:${this.#server.port}/`, `:${this.#listener.address().port}/`);
  }

  last(action) {
    this.#server.last(action);
  }

  /** Keeps requests waiting until the function that it returns is called. */
  pause() {
    this.#paused = true;
    let end;
    this.#ready = new Promise((resolve) => (end = resolve));
    const go = () => {
      this.#paused = false;
      end();
    };
    // Whatever happens in a test, a client that waits for an answer would not end.
    this.last(go);
    return go;
  }

  /** Says something in the client's name. */
  async speak(channel, data) {
    const message = { id: 'proxy', channel, clientId: this.#clientId, data };
    const { status } = await ask(this.#server, post([message], { Cookie: this.#cookie }));
    assert.equal(status, 200);
  }

  async #pass(request, response) {
    const { url, method, headers } = request;
    const [message] = await json(request);
    const { channel } = message;
    if (channel === '/meta/handshake') message.ext = this.ext;
    else [this.#clientId, this.#cookie] = [message.clientId, headers.cookie];
    const body = JSON.stringify([message]);
    const to = { host: '127.0.0.1', port: this.#server.port, agent: false, path: url, method };
    for (;;) {
      this.waiting.push(channel);
      await this.#ready;
      this.waiting.splice(this.waiting.indexOf(channel), 1);
      // The client subscribes by dropping its connect.
      if (response.destroyed) return;
      this.passed.push(channel);
      const onward = http.request({ ...to, headers: { ...headers, 'content-length': Buffer.byteLength(body) } });
      onward.on('error', () => {});
      response.on('close', () => onward.destroy());
      onward.end(body);
      try {
        const [answer] = await once(onward, 'response');
        return answer.pipe(response.writeHead(answer.statusCode, answer.headers));
      } catch {
        // A message that was on its way when the server ended waits for the next server.
        if (!this.#paused) return response.destroy();
      }
    }
  }
}

describe('cometd-client, by itself', { concurrency: true }, () => {
  const expect = (behaviour, test) =>
    it(behaviour, async (t) => {
      let program;
      try {
        program = await start();
      } catch (error) {
        if (error instanceof Missing) return t.skip(error.message);
        throw error;
      }
      const server = await testbed(t);
      const proxy = await Proxy.before(server);
      const observer = await witness(server);
      const open = async () => {
        const remote = new Remote(program);
        await remote.open(proxy, { transport: 'long-polling' });
        return remote;
      };
      await test({ server, proxy, observer, open });
    });

  async function witness(server) {
    const observer = await tab(server);
    await observer.subscribe('/events');
    return observer;
  }

  const types = (observer) => others(observer).map(({ type }) => type);
  const added = (observer) => until(() => others(observer).findLast(({ type }) => type === 'added')?.sessionId, 'somebody came');

  /** Insists that the client, whose application does not know that it has another session, hears nothing until it subscribes. */
  async function subscribesAgain(remote, channel, publisher, proxy) {
    // Until then it does not know its session, and by subscribing would forget that it has just made one.
    await until(() => proxy.passed.at(-1) === '/meta/connect', 'it connects again');
    await publisher.publish(channel, 'nobody hears');
    await subscribe(remote, channel, publisher);
    assert.ok(!remote.data(channel).includes('nobody hears'));
    assert.equal(remote.over, undefined);
  }

  expect('subscribes to several channels at once', async ({ observer, open }) => {
    const one = await open();
    await one.subscribe(['/chat', '/w/*', '/deep/**']);
    // It subscribes to one after another.
    await subscribe(one, '/last', observer);
    one.events.length = 0;
    const data = [null, true, -1.5, 'Grüße – 你好 👋', [], { a: [1, { b: null }] }];
    for (const channel of ['/chat', '/w/x', '/deep/x/y']) for (const value of data) await observer.publish(channel, value);
    await one.reach('/deep/x/y', data.length);
    assert.deepEqual(one.events, ['/chat', '/w/x', '/deep/x/y'].flatMap((channel) => data.map((value) => [channel, value])));
  });

  expect('gets what the server delivers to its session alone', async ({ observer, open }) => {
    const one = await open();
    const sessionId = await added(observer);
    await observer.publish('/service/deliver', { sessionId, channel: '/service/chat', data: { a: [1, null] } });
    assert.deepEqual(await one.reach('/service/chat', 1), [{ a: [1, null] }]);
  });

  expect('gives up when its handshake is denied', async ({ proxy, observer, open }) => {
    proxy.ext = { testbed: { deny: true } };
    const one = await open();
    assert.match(await until(() => one.over, 'it has given up'), /Handshake.*403::handshake_denied/);
    await settle(observer, observer);
    assert.deepEqual(others(observer), []);
    await assert.rejects(one.subscribe('/news'), /given up/);
  });

  expect('gives up when it may not subscribe, and ends its session', async ({ observer, open }) => {
    const one = await open();
    const id = await added(observer);
    await one.subscribe(['/news', '/denied/a']);
    assert.match(await until(() => one.over, 'it has given up'), /Subscribe.*403.*create_denied/);
    await told(observer, 'removed', id);
    assert.deepEqual(types(observer), ['added', 'removed']);
  });

  expect('comes back as another session when the server has ended its own', async ({ proxy, observer, open }) => {
    const one = await open();
    await subscribe(one, '/news', observer);
    await proxy.speak('/service/disconnect', {});
    await until(() => types(observer).length === 3, 'it has another session');
    assert.deepEqual(types(observer), ['added', 'removed', 'added']);
    await subscribesAgain(one, '/news', observer, proxy);
  });

  expect('comes back as another session when the server is another one', async ({ server, proxy, observer, open }) => {
    const one = await open();
    await subscribe(one, '/news', observer);
    await observer.disconnect();
    const go = proxy.pause();
    await server.stop();
    await server.start();
    const later = await witness(server);
    go();
    await added(later);
    await subscribesAgain(one, '/news', later, proxy);
    assert.deepEqual(types(later), ['added']);
  });

  // Two reasons to give up that are gone when its application makes another client, as the program does.

  expect('gives up when it subscribes in a session that the server does not know', async ({ server, proxy, observer, open }) => {
    const one = await open();
    await subscribe(one, '/news', observer);
    await observer.disconnect();
    const go = proxy.pause();
    await server.stop();
    await server.start();
    const later = await witness(server);
    await one.subscribe('/more');
    await until(() => proxy.waiting.includes('/meta/subscribe'), 'it subscribes');
    go();
    for (const channel of ['/news', '/more']) await heard(one, channel, later);
    assert.deepEqual(types(later), ['added']);
  });

  expect('gives up when an event comes along with the reply to its subscribe', async ({ proxy, observer, open }) => {
    const one = await open();
    await subscribe(one, '/news', observer);
    const go = proxy.pause();
    await observer.publish('/news', 'by the connect that is held');
    await until(() => proxy.waiting.includes('/meta/connect'), 'it connects again');
    await observer.publish('/news', 'by the next reply');
    await one.subscribe('/more');
    await until(() => proxy.waiting.includes('/meta/subscribe'), 'it subscribes');
    go();
    await until(() => types(observer).length === 3, 'there is another client');
    assert.deepEqual(types(observer), ['added', 'removed', 'added']);
    for (const channel of ['/news', '/more']) await heard(one, channel, observer);
    assert.ok(!one.data('/news').includes('by the next reply'));
  });
});
