// Faye's client over WebSocket, as it prefers: it shakes hands over HTTP, and its session moves on from there.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Client, denied, settle } from './faye.mjs';
import { Gateway, withoutUpgrades } from './gateway.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

const client = (server, options) => new Client(server, { transport: 'websocket', ...options });

/** How the client connects: `undefined` if it has not done that yet. */
const connectionType = ({ sent }) => sent.findLast(({ channel }) => channel === '/meta/connect')?.connectionType;

/** A client that has a session, which has moved on. The first messages may still leave over HTTP. */
async function connected(server) {
  const it = client(server);
  await it.publish('/elsewhere', {});
  await until(() => connectionType(it) === 'websocket', 'connected by WebSocket');
  return it;
}

/** What the server says about the client's session. */
async function whoami(client) {
  if (client.data('/service/whoami').length === 0) await client.subscribe('/service/whoami');
  const already = client.data('/service/whoami').length;
  await client.publish('/service/whoami', {});
  return (await client.reach('/service/whoami', already + 1)).at(-1);
}

/** Waits until the observer of `/events` was told that about a session. */
function told(observer, type, sessionId) {
  return until(() => observer.data('/events').some((event) => event.type === type && event.sessionId === sessionId), `told that ${sessionId} was ${type}`);
}

/** Whose end the observer was told of, and how; that somebody was added may be told late. */
const ends = (observer) => observer.data('/events').filter(({ type }) => type !== 'added');

describe('faye over WebSocket', { concurrency: true }, () => {
  it('subscribes, and publishes both ways', async (t) => {
    const server = await testbed(t);
    const [one, other, polling] = [client(server), client(server), new Client(server)];
    for (const each of [one, other, polling]) await each.subscribe('/chat');
    await one.publish('/chat', { text: 'ping' });
    await other.reach('/chat', 1);
    await other.publish('/chat', { text: 'pong – 你好 👋' });
    for (const each of [one, other, polling]) assert.deepEqual(await each.reach('/chat', 2), [{ text: 'ping' }, { text: 'pong – 你好 👋' }]);
    for (const each of [one, other]) {
      await until(() => connectionType(each) === 'websocket', 'connected by WebSocket');
      assert.deepEqual(await whoami(each), { sessionId: each.id, transport: 'websocket', subscriptions: ['/chat'] });
    }
    assert.equal(connectionType(polling), 'long-polling');
  });

  it('has its connect held while events come', async (t) => {
    // Faye gives up a connect that is not answered within 1.2 times the timeout, and its connection with it.
    const server = await testbed(t, '--timeout', 2_500);
    const [other, one] = [await connected(server), await connected(server)];
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

  it('ends a subscription, and a session', async (t) => {
    const server = await testbed(t);
    const [one, other] = [await connected(server), await connected(server)];
    await one.subscribe('/chat');
    await one.subscribe('/more');
    await other.subscribe('/events');
    one.subscription.cancel();
    await until(() => one.received.some(({ channel, successful }) => channel === '/meta/unsubscribe' && successful));
    await other.publish('/more', 1);
    await other.publish('/chat', 2);
    assert.deepEqual(await one.reach('/chat', 1), [2]);
    assert.deepEqual(one.data('/more'), []);
    const { id } = one;
    await one.close();
    await told(other, 'removed', id);
  });

  it('subscribes to wildcards', async (t) => {
    const server = await testbed(t);
    const [one, other, publisher] = [client(server), client(server), client(server)];
    await one.subscribe('/w/*');
    await one.subscribe('/w/**');
    await other.subscribe('/w/*');
    await publisher.publish('/w/x', 1);
    await publisher.publish('/w/x/y', 2);
    await publisher.publish('/w/z', 3);
    // One copy comes, and the client hands it to each subscription that matches.
    assert.deepEqual(await one.reach('/w/z', 2), [3, 3]);
    assert.deepEqual(one.received.filter(({ data }) => data).map(({ data }) => data), [1, 2, 3]);
    assert.deepEqual(await other.reach('/w/z', 1), [3]);
    assert.deepEqual(other.received.filter(({ data }) => data).map(({ data }) => data), [1, 3]);
  });

  it('carries bursts, each message once and in order', async (t) => {
    const server = await testbed(t);
    const [publisher, subscriber] = [await connected(server), await connected(server)];
    await subscriber.subscribe('/many');
    await Promise.all(numbers(500).map((n) => publisher.publish('/many', n)));
    assert.deepEqual(await subscriber.reach('/many', 500), numbers(500));
    await settle(subscriber);
    assert.equal(subscriber.data('/many').length, 500);
  });

  it('talks to services', async (t) => {
    const server = await testbed(t);
    const one = client(server);
    await one.subscribe('/service/echo');
    await one.publish('/service/echo', { a: [1, null] });
    assert.deepEqual(await one.reach('/service/echo', 1), [{ a: [1, null] }]);
  });

  it('learns why it was denied', async (t) => {
    const server = await testbed(t);
    const one = await connected(server);
    await assert.rejects(one.subscribe('/denied/a'), denied(/^403:.*:create_denied$/));
    await assert.rejects(one.subscribe('/writeonly/a'), denied(/^403:.*:subscribe_denied$/));
    await assert.rejects(one.subscribe('/**'), denied(/^403:.*:subscribe_denied$/));
    await assert.rejects(one.publish('/denied/a', {}), denied(/^403:.*:channel_create_denied$/));
    await assert.rejects(one.publish('/readonly/a', {}), denied(/^403:.*:publish_denied$/));
    await assert.rejects(one.publish('/veto/a', { veto: true }), denied(/^404:.*:message_deleted$/));
    await one.publish('/writeonly/a', {});
    assert.equal((await whoami(one)).transport, 'websocket');
  });

  it('does not try again when its handshake is denied', async (t) => {
    const server = await testbed(t);
    const [one, other] = [client(server, { ext: { testbed: { deny: true } } }), client(server)];
    // Faye tells nobody that a handshake was denied: the subscription stays open for ever.
    one.faye.subscribe('/a');
    await until(() => one.received.length > 0);
    const { successful, error, advice } = one.received[0];
    assert.deepEqual([successful, error, advice.reconnect], [false, '403::handshake_denied', 'none']);
    await settle(other);
    assert.equal(one.sent.length, 1);
  });

  it('goes quiet when the server ends its session', async (t) => {
    const server = await testbed(t);
    const [one, observer] = [await connected(server), await connected(server)];
    await one.subscribe('/a');
    await observer.subscribe('/events');
    const { id } = one;
    one.faye.publish('/service/disconnect', {});
    await told(observer, 'removed', id);
    // The farewell itself means nothing to Faye; the advice of the connect reply does.
    await until(() => one.received.some(({ channel, advice }) => channel === '/meta/connect' && advice?.reconnect === 'none'));
    const sent = one.sent.length;
    await settle(observer);
    assert.equal(one.sent.length, sent);
    assert.equal(ends(observer).length, 1);
    assert.equal(one.sent.filter(({ channel }) => channel === '/meta/handshake').length, 1, 'it does not come back');
  });

  it('goes on after its connection was cut, again and again in the middle of a stream', async (t) => {
    const server = await testbed(t);
    const gateway = await Gateway.open(server);
    const [one, publisher, observer] = [await connected(gateway), await connected(server), await connected(server)];
    await one.subscribe('/numbers');
    await observer.subscribe('/events');
    const { id } = one;
    let [count, going] = [0, true];
    const publishing = (async () => {
      while (going) await publisher.publish('/numbers', count++);
    })();
    for (const _ of numbers(3)) {
      await one.reach('/numbers', one.data('/numbers').length + 50);
      const connections = gateway.count;
      gateway.cut();
      await until(() => gateway.count > connections, 'another connection');
      // What is answered on the new one tells that the session has moved there.
      await one.publish('/elsewhere', {});
      const from = count;
      await until(() => one.data('/numbers').at(-1) > from + 20, 'the stream goes on');
      const behind = one.data('/numbers').filter((number) => number >= from);
      assert.deepEqual(behind, numbers(behind.length).map((n) => from + n), 'nothing is missing from then on');
    }
    going = false;
    await publishing;
    await until(() => one.data('/numbers').at(-1) === count - 1, 'the last one');
    const got = one.data('/numbers');
    assert.ok(got.every((number, n) => n === 0 || number > got[n - 1]), 'in order, and nothing twice');
    assert.equal(one.id, id);
    assert.equal(one.received.filter(({ channel }) => channel === '/meta/handshake').length, 1);
    assert.equal((await whoami(one)).transport, 'websocket');
    await settle(observer);
    assert.deepEqual(ends(observer), [], 'nobody was removed');
  });

  it('loses nothing that was published after the end of its connection', async (t) => {
    const server = await testbed(t);
    const gateway = await Gateway.open(server);
    const [one, publisher] = [await connected(gateway), await connected(server)];
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
    const one = client(proxy);
    await one.subscribe('/chat');
    await one.publish('/chat', 1);
    assert.deepEqual(await one.reach('/chat', 1), [1]);
    assert.equal((await whoami(one)).transport, 'long-polling');
    assert.ok(proxy.refused.length > 0);
  });

  for (const [how, stop] of [['after a clean end', 'stop'], ['after a crash', 'kill']]) {
    it(`finds the server again ${how}`, async (t) => {
      const server = await testbed(t);
      const [one, other] = [client(server), client(server)];
      for (const each of [one, other]) await each.subscribe('/news');
      await one.publish('/news', 'before');
      for (const each of [one, other]) await each.reach('/news', 1);
      const ids = [one.id, other.id];
      await server[stop]();
      await server.start();
      for (const each of [one, other]) {
        await until(() => each.received.filter(({ channel, successful }) => channel === '/meta/subscribe' && successful).length === 2, 'subscribed again', 10_000);
        assert.ok(!ids.includes(each.id));
      }
      await one.publish('/news', 'after');
      for (const each of [one, other]) {
        assert.deepEqual(await each.reach('/news', 2), ['before', 'after']);
        assert.equal((await whoami(each)).transport, 'websocket');
      }
    });
  }
});
