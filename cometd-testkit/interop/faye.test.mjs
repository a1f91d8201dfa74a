// Faye's client over long-polling.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Client, denied, settle } from './faye.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

describe('faye', { concurrency: true }, () => {
  it('subscribes, and publishes both ways', async (t) => {
    const server = await testbed(t);
    const [one, other] = [new Client(server), new Client(server)];
    for (const client of [one, other]) await client.subscribe('/chat');
    assert.notEqual(one.id, other.id);
    assert.deepEqual(new Set(one.sent.filter(({ connectionType }) => connectionType).map(({ connectionType }) => connectionType)), new Set(['long-polling']));
    await one.publish('/chat', { text: 'ping' });
    await other.reach('/chat', 1);
    await other.publish('/chat', { text: 'pong – 你好 👋' });
    for (const client of [one, other]) assert.deepEqual(await client.reach('/chat', 2), [{ text: 'ping' }, { text: 'pong – 你好 👋' }]);
  });

  it('ends a subscription, and a session', async (t) => {
    const server = await testbed(t);
    const [one, other] = [new Client(server), new Client(server)];
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
    assert.deepEqual(await other.reach('/events', 1), [{ type: 'removed', sessionId: id }]);
  });

  it('subscribes to wildcards', async (t) => {
    const server = await testbed(t);
    const [one, other, publisher] = [new Client(server), new Client(server), new Client(server)];
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

  it('talks to services', async (t) => {
    const server = await testbed(t);
    const client = new Client(server);
    await client.subscribe('/service/echo');
    await client.subscribe('/service/whoami');
    await client.publish('/service/echo', { a: [1, null] });
    assert.deepEqual(await client.reach('/service/echo', 1), [{ a: [1, null] }]);
    await client.publish('/service/whoami', {});
    assert.deepEqual(await client.reach('/service/whoami', 1), [{ sessionId: client.id, transport: 'long-polling', subscriptions: [] }]);
  });

  it('learns why it was denied', async (t) => {
    const server = await testbed(t);
    const client = new Client(server);
    await assert.rejects(client.subscribe('/denied/a'), denied(/^403:.*:create_denied$/));
    await assert.rejects(client.subscribe('/writeonly/a'), denied(/^403:.*:subscribe_denied$/));
    await assert.rejects(client.subscribe('/**'), denied(/^403:.*:subscribe_denied$/));
    await assert.rejects(client.publish('/denied/a', {}), denied(/^403:.*:channel_create_denied$/));
    await assert.rejects(client.publish('/readonly/a', {}), denied(/^403:.*:publish_denied$/));
    await assert.rejects(client.publish('/veto/a', { veto: true }), denied(/^404:.*:message_deleted$/));
    await client.publish('/writeonly/a', {});
  });

  it('does not try again when its handshake is denied', async (t) => {
    const server = await testbed(t);
    const [client, other] = [new Client(server, { ext: { testbed: { deny: true } } }), new Client(server)];
    // Faye tells nobody that a handshake was denied: the subscription stays open for ever.
    client.faye.subscribe('/a');
    await until(() => client.received.length > 0);
    const { successful, error, advice } = client.received[0];
    assert.deepEqual([successful, error, advice.reconnect], [false, '403::handshake_denied', 'none']);
    await settle(other);
    assert.equal(client.sent.length, 1);
  });

  it('goes quiet when the server ends its session', async (t) => {
    const server = await testbed(t);
    const [client, observer] = [new Client(server), new Client(server)];
    await client.subscribe('/a');
    await observer.subscribe('/events');
    const { id } = client;
    client.faye.publish('/service/disconnect', {});
    assert.deepEqual(await observer.reach('/events', 1), [{ type: 'removed', sessionId: id }]);
    // The farewell itself means nothing to Faye; the advice of the connect reply does.
    await until(() => client.received.some(({ channel, advice }) => channel === '/meta/connect' && advice?.reconnect === 'none'));
    const sent = client.sent.length;
    await settle(observer);
    assert.equal(client.sent.length, sent);
    assert.equal(observer.data('/events').length, 1, 'it does not come back');
  });

  for (const [how, stop] of [['after a clean end', 'stop'], ['after a crash', 'kill']]) {
    it(`finds the server again ${how}`, async (t) => {
      const server = await testbed(t);
      const [one, other] = [new Client(server), new Client(server)];
      for (const client of [one, other]) await client.subscribe('/news');
      await one.publish('/news', 'before');
      for (const client of [one, other]) await client.reach('/news', 1);
      const ids = [one.id, other.id];
      await server[stop]();
      await server.start();
      for (const client of [one, other]) {
        await until(() => client.received.filter(({ channel, successful }) => channel === '/meta/subscribe' && successful).length === 2, 'subscribed again', 10_000);
        assert.ok(!ids.includes(client.id));
      }
      await one.publish('/news', 'after');
      for (const client of [one, other]) assert.deepEqual(await client.reach('/news', 2), ['before', 'after']);
    });
  }
});
