// Faye's client over WebSocket: what is not as over long-polling, and what happens when connections end.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Client, settle } from './faye.mjs';
import { Gateway, withoutUpgrades } from './gateway.mjs';
import { connected, numbers, stream, whoami } from './sessions.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

/** A client that has a session, which has moved on to a WebSocket. */
const client = (server) => connected(new Client(server, { transport: 'websocket' }), 'websocket');

describe('faye with a WebSocket', { concurrency: true }, () => {
  it('has its connect held while events come', async (t) => {
    // Faye gives up a connect that is not answered within 1.2 times the timeout, and its connection with it.
    const server = await testbed(t, '--timeout', 2_500);
    const [other, one] = [await client(server), await client(server)];
    const begin = Date.now();
    await one.subscribe('/news');
    const replies = () => one.received.filter(({ channel }) => channel === '/meta/connect').length;
    const before = replies();
    let count = 0;
    while (replies() === before) {
      await other.publish('/news', count);
      await one.reach('/news', ++count);
    }
    const held = Date.now() - begin;
    assert.ok(held >= 2_000 && held < 3_500, `held for ${held} ms`);
    assert.deepEqual(one.data('/news'), numbers(count));
    assert.ok(count > 10);
  });

  // Over long-polling, Faye sends a burst in several requests at once, in no order.
  it('carries bursts, each message once and in order', async (t) => {
    const server = await testbed(t);
    const [publisher, subscriber] = [await client(server), await client(server)];
    await subscriber.subscribe('/many');
    await Promise.all(numbers(500).map((n) => publisher.publish('/many', n)));
    assert.deepEqual(await subscriber.reach('/many', 500), numbers(500));
    await settle(subscriber);
    assert.equal(subscriber.data('/many').length, 500);
  });

  it('goes on after its connection was cut, again and again in the middle of a stream', async (t) => {
    const server = await testbed(t);
    const gateway = await Gateway.open(server);
    const [one, publisher, observer] = [await client(gateway), await client(server), await client(server)];
    const { id } = one;
    const going = await stream(publisher, one, observer);
    for (const _ of numbers(3)) {
      await going.more(50);
      const connections = gateway.count;
      gateway.cut();
      await until(() => gateway.count > connections, 'another connection');
      // What is answered on the new one tells that the session has moved there.
      await one.publish('/elsewhere', {});
      await going.on();
    }
    await going.stop();
    assert.equal(one.id, id);
    assert.equal(one.received.filter(({ channel }) => channel === '/meta/handshake').length, 1);
    assert.equal((await whoami(one)).transport, 'websocket');
  });

  it('loses nothing that was published after the end of its connection', async (t) => {
    const server = await testbed(t);
    const gateway = await Gateway.open(server);
    const [one, publisher] = [await client(gateway), await client(server)];
    await one.subscribe('/news');
    gateway.open = false;
    await gateway.sever();
    for (const n of numbers(100)) await publisher.publish('/news', n);
    assert.deepEqual(one.data('/news'), []);
    gateway.open = true;
    assert.deepEqual(await one.reach('/news', 100), numbers(100));
    await settle(one);
    assert.equal(one.data('/news').length, 100);
    assert.equal(one.received.filter(({ channel }) => channel === '/meta/handshake').length, 1);
  });

  it('falls back to long-polling where upgrades are refused', async (t) => {
    const server = await testbed(t);
    const proxy = await withoutUpgrades(server);
    const one = new Client(proxy, { transport: 'websocket' });
    await one.subscribe('/chat');
    await one.publish('/chat', 1);
    assert.deepEqual(await one.reach('/chat', 1), [1]);
    assert.equal((await whoami(one)).transport, 'long-polling');
    assert.ok(proxy.refused.length > 0);
  });
});
