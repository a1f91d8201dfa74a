// Faye's client over long-polling, and over WebSocket, as it prefers.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Client, denied, settle } from './faye.mjs';
import { connected, connectionType, observed, others, pending, told, whoami } from './sessions.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

/** What is not the same over both transports. */
const TRANSPORTS = {
  'long-polling': { other: 'websocket', types: ['long-polling'] },
  // Faye shakes hands over HTTP, and its session moves on from there.
  websocket: { other: 'long-polling', types: ['long-polling', 'websocket'] },
};

for (const transport of ['long-polling', 'websocket']) {
  const { other: another, types } = TRANSPORTS[transport];

  /** A client that has no session yet. */
  const client = (server, options) => new Client(server, { transport, ...options });
  /** A client that has a session, which has moved on to its transport. */
  const moved = (server) => connected(client(server), transport);

  describe(`faye over ${transport}`, { concurrency: true }, () => {
    it('subscribes, and publishes both ways, between transports, too', async (t) => {
      const server = await testbed(t);
      const [one, other, elsewhere] = [client(server), client(server), client(server, { transport: another })];
      for (const each of [one, other, elsewhere]) await each.subscribe('/chat');
      assert.notEqual(one.id, other.id);
      await one.publish('/chat', { text: 'ping' });
      await other.reach('/chat', 1);
      await other.publish('/chat', { text: 'pong – 你好 👋' });
      for (const each of [one, other, elsewhere]) assert.deepEqual(await each.reach('/chat', 2), [{ text: 'ping' }, { text: 'pong – 你好 👋' }]);
      for (const [each, by] of [[one, transport], [other, transport], [elsewhere, another]]) {
        await until(() => connectionType(each) === by, `connected by ${by}`);
        assert.deepEqual(await whoami(each), { sessionId: each.id, transport: by, subscriptions: ['/chat'] });
      }
      for (const each of [one, other]) {
        assert.ok(each.sent.every(({ connectionType }) => connectionType === undefined || types.includes(connectionType)));
      }
    });

    it('ends a subscription, and a session', async (t) => {
      const server = await testbed(t);
      const [other, one] = await observed(() => moved(server));
      await one.subscribe('/chat');
      await one.subscribe('/more');
      one.subscription.cancel();
      await until(() => one.received.some(({ channel, successful }) => channel === '/meta/unsubscribe' && successful));
      await other.publish('/more', 1);
      await other.publish('/chat', 2);
      assert.deepEqual(await one.reach('/chat', 1), [2]);
      assert.deepEqual(one.data('/more'), []);
      const { id } = one;
      await one.close();
      await told(other, 'removed', id);
      assert.deepEqual(others(other), [
        { type: 'added', sessionId: id },
        { type: 'removed', sessionId: id },
      ]);
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

    it('talks to services', async (t) => {
      const server = await testbed(t);
      const one = client(server);
      await one.subscribe('/service/echo');
      await one.publish('/service/echo', { a: [1, null] });
      assert.deepEqual(await one.reach('/service/echo', 1), [{ a: [1, null] }]);
      await until(() => connectionType(one) === transport, `connected by ${transport}`);
      assert.deepEqual(await whoami(one), { sessionId: one.id, transport, subscriptions: [] });
    });

    it('learns why it was denied', async (t) => {
      const server = await testbed(t);
      const one = await moved(server);
      await assert.rejects(one.subscribe('/denied/a'), denied(/^403:.*:create_denied$/));
      await assert.rejects(one.subscribe('/writeonly/a'), denied(/^403:.*:subscribe_denied$/));
      await assert.rejects(one.subscribe('/**'), denied(/^403:.*:subscribe_denied$/));
      await assert.rejects(one.publish('/denied/a', {}), denied(/^403:.*:channel_create_denied$/));
      await assert.rejects(one.publish('/readonly/a', {}), denied(/^403:.*:publish_denied$/));
      await assert.rejects(one.publish('/veto/a', { veto: true }), denied(/^404:.*:message_deleted$/));
      await one.publish('/writeonly/a', {});
      assert.equal((await whoami(one)).transport, transport);
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
      const [observer, one] = await observed(() => moved(server));
      const { id } = one;
      await one.subscribe('/a');
      // Over long-polling, Faye has no connect held for it before it is idle.
      await until(() => pending(one).length === 1);
      await settle(observer);
      one.faye.publish('/service/disconnect', {});
      await told(observer, 'removed', id);
      // The farewell itself means nothing to Faye; the advice of the connect reply does.
      await until(() => one.received.some(({ channel, advice }) => channel === '/meta/connect' && advice?.reconnect === 'none'));
      const sent = one.sent.length;
      await settle(observer);
      assert.equal(one.sent.length, sent);
      assert.deepEqual(others(observer), [
        { type: 'added', sessionId: id },
        { type: 'removed', sessionId: id },
      ]);
      assert.equal(one.sent.filter(({ channel }) => channel === '/meta/handshake').length, 1, 'it does not come back');
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
          assert.equal((await whoami(each)).transport, transport);
        }
      });
    }
  });
}
