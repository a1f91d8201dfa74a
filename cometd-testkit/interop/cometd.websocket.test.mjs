// cometd.js over WebSocket: what is not as over long-polling, and what happens when connections end.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReloadExtension } from 'cometd';
import { Gateway, withoutUpgrades } from './gateway.mjs';
import { alwaysHeld, ends, held, numbers, pending, settle, stream, told, whoami } from './sessions.mjs';
import { Tab, tab as open } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

/** A tab that is connected over WebSocket, unless told otherwise. */
const tab = (server, options) => open(server, { transport: 'websocket', ...options });

describe('WebSocket that is open', { concurrency: true }, () => {
  it('is what a handshake agrees on', async (t) => {
    const server = await testbed(t);
    const client = await tab(server, { transport: 'any' });
    assert.equal(client.client.getTransport().type, 'websocket');
    assert.ok(client.sent.filter(({ channel }) => channel === '/meta/connect').every(({ connectionType }) => connectionType === 'websocket'));
    assert.equal((await whoami(client)).transport, 'websocket');
    assert.deepEqual([client.sockets.length, client.browser.size], [1, 0], 'one connection, and no cookie');
  });

  it('ends with its session, and another session has another', async (t) => {
    const server = await testbed(t);
    const client = await tab(server);
    await client.disconnect();
    await until(() => client.sockets[0].code, 'closed');
    assert.equal(client.sockets[0].code, 1000);
    await client.open();
    assert.equal(client.sockets.length, 2);
  });

  it('has its connect held for the timeout, whatever comes meanwhile', async (t) => {
    const server = await testbed(t, '--timeout', 500);
    const [client, publisher] = [await tab(server), await tab(server, { transport: 'long-polling' })];
    await client.subscribe('/news');
    let count = 0;
    while (client.on('/meta/connect').length < 4) {
      await publisher.publish('/news', count);
      await client.reach('/news', ++count);
      assert.equal((await client.call('echo', count)).data, count);
    }
    assert.deepEqual(client.data('/news'), numbers(count));
    assert.ok(count > 20);
    assert.ok(client.on('/meta/connect').slice(1).every(({ successful, advice }) => successful && advice === undefined));
    for (const ms of held(client)) assert.ok(ms >= 490 && ms < 900, `held for ${ms} ms`);
    const carriers = client.responses.filter((messages) => messages.some(({ channel }) => channel === '/meta/connect'));
    assert.ok(carriers.flat().every((message) => !('data' in message)), 'events come in frames of their own');
  });

  it('has its connect held for all tabs of a browser', async (t) => {
    const server = await testbed(t, '--timeout', 400);
    const browser = new Map();
    // Only over HTTP does a browser get its cookie, which it sends with its upgrades, too.
    const first = await tab(server, { browser, transport: 'long-polling' });
    assert.equal(browser.size, 1);
    const clients = [first, await tab(server, { browser }), await tab(server, { browser })];
    for (const client of clients) await alwaysHeld(client, 400);
  });

  it('pushes at once, also before the first connect', async (t) => {
    const server = await testbed(t, '--interval', 3_000);
    const [publisher, client] = [new Tab(server, { transport: 'websocket' }), new Tab(server, { transport: 'websocket' })];
    for (const one of [publisher, client]) await one.handshake();
    await client.subscribe('/news');
    await publisher.publish('/news', 'early');
    await client.reach('/news', 1);
    assert.equal(client.sent.filter(({ channel }) => channel === '/meta/connect').length, 0);
  });
});

describe('WebSocket that ends', { concurrency: true }, () => {
  /** Waits until a connect was answered that was sent from now on. */
  async function back(client, ms) {
    const sent = client.sent.length;
    await until(() => {
      const connects = client.sent.slice(sent).filter(({ channel }) => channel === '/meta/connect');
      return connects.some(({ id }) => client.on('/meta/connect').some((reply) => reply.id === id && reply.successful));
    }, 'connected again', ms);
  }

  it('by a cut, again and again in the middle of a stream, is replaced by another of the same session', async (t) => {
    const server = await testbed(t);
    const gateway = await Gateway.open(server);
    const [client, publisher, observer] = [await tab(gateway), await tab(server), await tab(server)];
    const { id } = client;
    const going = await stream(publisher, client, observer);
    for (const round of numbers(5)) {
      await going.more(50);
      const returned = back(client);
      gateway.cut();
      await returned;
      assert.equal(client.sockets.length, round + 2);
      await going.on();
    }
    await going.stop();
    assert.deepEqual([client.id, client.on('/meta/handshake').length], [id, 1]);
    assert.deepEqual(await whoami(client), { sessionId: id, transport: 'websocket', subscriptions: ['/numbers'] });
  });

  it('while its client cannot come back, loses nothing that was published after its end', async (t) => {
    const server = await testbed(t);
    const gateway = await Gateway.open(server);
    const [client, publisher] = [await tab(gateway), await tab(server)];
    await client.subscribe('/news');
    const { id } = client;
    await until(() => pending(client).length === 1);
    await settle(publisher, client);
    const returned = back(client, 10_000);
    gateway.open = false;
    await gateway.sever();
    for (const n of numbers(200)) await publisher.publish('/news', n);
    assert.deepEqual(client.data('/news'), []);
    await until(() => client.sockets.length >= 2, 'the client tries to come back');
    gateway.open = true;
    await returned;
    await settle(publisher, client);
    assert.deepEqual(client.data('/news'), numbers(200));
    assert.deepEqual([client.id, client.on('/meta/handshake').length], [id, 1]);
  });

  it('for good, costs the session when its time is over', async (t) => {
    const server = await testbed(t, '--max-interval', 1_000, '--sweep', 50);
    const gateway = await Gateway.open(server);
    const [client, observer] = [await tab(gateway), await tab(server)];
    await observer.subscribe('/events');
    const { id } = client;
    await until(() => pending(client).length === 1);
    await settle(observer, client);
    gateway.open = false;
    await gateway.sever();
    const lost = Date.now();
    await told(observer, 'expired', id);
    const expired = observer.on('/events').find(({ data }) => data?.type === 'expired').at - lost;
    assert.ok(expired >= 900 && expired < 2_500, `expired after ${expired} ms`);
    gateway.open = true;
    await until(() => client.on('/meta/handshake').length === 2 && client.id, 'the client has a new session');
    assert.notEqual(client.id, id);
  });

  it('without anybody being told, is given up by its client, who goes on over another', async (t) => {
    const server = await testbed(t, '--timeout', 1_000);
    const gateway = await Gateway.open(server);
    // The connect is given up when its reply is that late.
    const [client, publisher, observer] = [await tab(gateway, { maxNetworkDelay: 500 }), await tab(server), await tab(server)];
    const { id } = client;
    const going = await stream(publisher, client, observer);
    await going.more(50);
    const returned = back(client);
    gateway.freeze();
    await returned;
    assert.equal(client.sockets.length, 2);
    await going.on();
    await going.stop();
    assert.ok(client.data('/numbers').length < going.count, 'what went into the dead connection is lost');
    assert.deepEqual([client.id, client.on('/meta/handshake').length], [id, 1]);
  });

  it('by a reload of its page, is replaced by one of the new page with the same session', async (t) => {
    const server = await testbed(t);
    const storage = new Map();
    window.sessionStorage = {
      getItem: (key) => storage.get(key) ?? null,
      setItem: (key, value) => storage.set(key, value),
      removeItem: (key) => storage.delete(key),
    };
    const [observer, before] = [await tab(server), new Tab(server, { transport: 'websocket' })];
    before.client.registerExtension('reload', new ReloadExtension());
    await before.open();
    await observer.subscribe('/events');
    await before.subscribe('/news');
    await until(() => pending(before).length === 1);
    await settle(observer, before);
    const { id } = before;
    before.client.reload();
    await until(() => before.sockets[0].code, 'the page is gone');
    for (const n of numbers(3)) await observer.publish('/news', n);

    const after = new Tab(server, { transport: 'websocket' });
    after.client.registerExtension('reload', new ReloadExtension());
    const reply = await after.open();
    assert.deepEqual([reply.ext, after.id], [{ reload: true }, id]);
    assert.equal(after.sent.filter(({ channel }) => channel === '/meta/handshake').length, 0, 'the handshake is only replayed');
    await observer.publish('/news', 3);
    // What was published in between waited.
    assert.deepEqual(await after.reach('/news', 4), numbers(4));
    assert.deepEqual((await whoami(after)).subscriptions, ['/news']);
    await settle(observer, observer);
    assert.deepEqual(ends(observer), []);
    assert.deepEqual(before.data('/news'), []);
  });
});

describe('upgrade that is refused', { concurrency: true }, () => {
  it('by something in between, makes the client fall back to long-polling', async (t) => {
    const server = await testbed(t, '--timeout', 500);
    const proxy = await withoutUpgrades(server);
    const client = new Tab(proxy, { transport: 'any' });
    // The reply is that of the attempt that failed; the client goes on by itself.
    assert.equal((await client.handshake()).successful, false);
    await until(() => client.on('/meta/connect').length >= 2, 'connected by other means');
    assert.equal(client.client.getTransport().type, 'long-polling');
    assert.deepEqual([proxy.refused.length, client.sockets.length], [1, 1], 'it does not try again');
    assert.equal((await whoami(client)).transport, 'long-polling');
    assert.equal((await client.call('echo', 'well')).data, 'well');
  });
});

describe('end of the server', { concurrency: true }, () => {
  it('is announced to clients: a held connect is answered, and the WebSocket is closed', async (t) => {
    const server = await testbed(t);
    const clients = [];
    for (const _ of numbers(10)) clients.push(await tab(server));
    for (const client of clients) {
      await until(() => pending(client).length === 1);
      await settle(clients[0], client);
    }
    const begin = Date.now();
    await server.stop();
    assert.ok(Date.now() - begin < 2_000, 'ended soon');
    for (const client of clients) {
      await until(() => client.sockets[0].code, 'closed');
      assert.equal(client.sockets[0].code, 1001);
      const { successful, advice } = client.on('/meta/connect')[1];
      assert.deepEqual([successful, advice.reconnect], [true, 'retry']);
      assert.ok(advice.interval >= 0 && advice.interval <= 2_000, `interval ${advice.interval}`);
    }
    assert.ok(new Set(clients.map((client) => client.on('/meta/connect')[1].advice.interval)).size > 5, 'not all at the same time');
    await server.start();
  });
});
