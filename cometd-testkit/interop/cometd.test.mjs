// cometd.js over long-polling and over WebSocket: everything that an application does with it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { alwaysHeld, held, numbers, observed, others, pending, settle, told, whoami } from './sessions.mjs';
import { Tab, tab as open } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { until, within } from './waiting.mjs';

/** What is not the same over both transports. */
const TRANSPORTS = {
  'long-polling': {
    other: 'websocket',
    // Only over HTTP does a browser get a cookie.
    cookies: 1,
    // The WebSockets that a client needs.
    sockets: 0,
    // A response takes all that there is to send, replies as well as events.
    batches: { replies: [101, 100], events: [101, 100] },
    carriers: () => 1,
    // If there is nothing else to answer, it is the one to the held connect.
    connects: 1,
    // A request that is too large is refused.
    tooLarge: { code: 'httpCode', value: 413, sockets: 0 },
  },
  websocket: {
    other: 'long-polling',
    cookies: 0,
    sockets: 1,
    // The replies to a frame share one, and each event is sent in a frame of its own.
    batches: { replies: [51, 50], events: Array(100).fill(1) },
    carriers: (events) => events,
    // The connect is held all the while.
    connects: 0,
    // A message that is too large costs the WebSocket, and not the session.
    tooLarge: { code: 'websocketCode', value: 1009, sockets: 2 },
  },
};

for (const transport of ['long-polling', 'websocket']) {
  const { other: another, cookies, sockets, batches, carriers, connects, tooLarge } = TRANSPORTS[transport];

  /** A tab that is connected over this transport, unless told otherwise. */
  const tab = (server, options) => open(server, { transport, ...options });

  describe(`session over ${transport}`, { concurrency: true }, () => {
    it('begins with a handshake', async (t) => {
      const server = await testbed(t, '--timeout', 7_000, '--interval', 10);
      const client = new Tab(server, { transport });
      const reply = await client.open();
      assert.equal(reply.successful, true);
      assert.equal(reply.version, '1.0');
      assert.match(reply.clientId, /^[A-Za-z0-9_]{20,}$/);
      assert.deepEqual(new Set(reply.supportedConnectionTypes), new Set(['websocket', 'long-polling', 'callback-polling']));
      assert.deepEqual(reply.advice, { reconnect: 'retry', interval: 10, timeout: 7_000 });
      assert.equal('error' in reply || 'data' in reply, false);
      assert.deepEqual(await whoami(client), { sessionId: client.id, transport, subscriptions: [] });
      assert.deepEqual([client.sockets.length, client.browser.size], [sockets, cookies]);
    });

    it('ends with a disconnect', async (t) => {
      const server = await testbed(t);
      const [observer, client] = await observed(() => tab(server));
      const { id } = client;
      await client.disconnect();
      await told(observer, 'removed', id);
      // A client that disconnected can come back, as another session.
      await client.open();
      assert.notEqual(client.id, id);
      await told(observer, 'added', client.id);
      assert.deepEqual(others(observer), [
        { type: 'added', sessionId: id },
        { type: 'removed', sessionId: id },
        { type: 'added', sessionId: client.id },
      ]);
    });

    it('is not given to whom the policy denies it', async (t) => {
      const server = await testbed(t);
      const client = new Tab(server, { transport });
      const reply = await client.handshake({ ext: { testbed: { deny: true } } });
      assert.equal(reply.successful, false);
      assert.equal(reply.error, '403::handshake_denied');
      assert.equal(reply.advice.reconnect, 'none');
      assert.equal('clientId' in reply, false);
      await until(() => client.status === 'disconnected');
      assert.equal(client.on('/meta/handshake').length, 1, 'the client does not try again');
      assert.equal(client.browser.size, 0, 'no cookie without a session');
    });

    it('may be decided about slowly, which holds up nobody else', async (t) => {
      const server = await testbed(t);
      const [patient, other] = [new Tab(server, { transport }), new Tab(server, { transport })];
      const begin = Date.now();
      const decided = patient.open({ ext: { testbed: { delay: 1_000 } } }).then(() => Date.now());
      await other.open();
      assert.equal((await other.call('echo', 'meanwhile')).data, 'meanwhile');
      assert.equal(patient.id, null, 'not decided yet');
      assert.ok((await decided) - begin >= 1_000);
      assert.equal((await patient.call('echo', 'at last')).data, 'at last');
    });

    it('is ended by the server', async (t) => {
      const server = await testbed(t);
      const [observer, client] = await observed(() => tab(server));
      const { id } = client;
      await until(() => pending(client).length === 1);
      client.client.publish('/service/disconnect', {});
      await until(() => client.status === 'disconnected');
      const farewell = client.on('/meta/disconnect');
      assert.deepEqual(farewell.map(({ successful, id }) => ({ successful, id })), [{ successful: true, id: undefined }]);
      await told(observer, 'removed', id);
      // Nor does the client come back by itself.
      await settle(observer, observer);
      assert.deepEqual(others(observer), [
        { type: 'added', sessionId: id },
        { type: 'removed', sessionId: id },
      ]);
      assert.deepEqual([client.sockets.length, client.sent.filter(({ channel }) => channel === '/meta/handshake').length], [sockets, 1]);
    });

    it('is ended when its queue overflows, and its client begins another', async (t) => {
      const server = await testbed(t, '--max-queue', 5);
      const [observer, client] = await observed(() => tab(server));
      const { id } = client;
      client.client.publish('/service/batch', { channel: '/flood', count: 6 });
      await until(() => client.on('/meta/handshake').length === 2 && client.id, 'the client has a new session');
      await told(observer, 'added', client.id);
      assert.deepEqual(others(observer), [
        { type: 'added', sessionId: id },
        { type: 'overflowed', sessionId: id },
        { type: 'added', sessionId: client.id },
      ]);
      assert.deepEqual(client.data('/flood'), []);
    });
  });

  describe(`connect over ${transport}`, { concurrency: true }, () => {
    it('is held for the timeout, again and again', async (t) => {
      const server = await testbed(t, '--timeout', 500);
      const client = await tab(server);
      await until(() => client.on('/meta/connect').length === 4);
      const [first, ...replies] = client.on('/meta/connect');
      // The first is not held: the client asks for that with `advice.timeout: 0`.
      assert.deepEqual(first.advice, { reconnect: 'retry', interval: 0, timeout: 500 });
      for (const reply of replies) {
        assert.equal(reply.successful, true);
        assert.equal('advice' in reply, false, 'the client knows it');
      }
      for (const ms of held(client)) assert.ok(ms >= 490 && ms < 900, `held for ${ms} ms`);
      assert.ok(client.sent.filter(({ channel }) => channel === '/meta/connect').every(({ connectionType }) => connectionType === transport));
    });

    it('goes on while other messages come and go', async (t) => {
      const server = await testbed(t);
      const client = await tab(server);
      for (const n of numbers(20)) assert.equal((await client.call('echo', n)).data, n);
      assert.equal(client.on('/meta/connect').length, 1, 'no event needs the reply to the connect');
    });
  });

  describe(`channel over ${transport}`, { concurrency: true }, () => {
    it('carries messages both ways, to the publisher and between transports, too', async (t) => {
      const server = await testbed(t);
      const [one, other, elsewhere] = [await tab(server), await tab(server), await tab(server, { transport: another })];
      const all = [one, other, elsewhere];
      for (const client of all) assert.deepEqual(pick(await client.subscribe('/chat')), { successful: true, subscription: '/chat' });
      assert.deepEqual(await whoami(one), { sessionId: one.id, transport, subscriptions: ['/chat'] });
      for (const [n, client] of all.entries()) {
        assert.deepEqual(pick(await client.publish('/chat', { text: `${n}: ping – 你好 👋` })), { successful: true });
        for (const reader of all) await reader.reach('/chat', n + 1);
      }
      for (const client of all) {
        assert.deepEqual(client.data('/chat'), numbers(3).map((n) => ({ text: `${n}: ping – 你好 👋` })));
        const events = client.on('/chat').filter((message) => 'data' in message);
        assert.ok(events.every((event) => !('id' in event || 'clientId' in event)), 'nobody learns who the publisher is');
      }
    });

    it('can be left', async (t) => {
      const server = await testbed(t);
      const [one, other] = [await tab(server), await tab(server)];
      await one.subscribe('/chat');
      const { subscription } = one;
      await other.publish('/chat', 1);
      await one.reach('/chat', 1);
      assert.equal((await one.unsubscribe(subscription)).successful, true);
      await other.publish('/chat', 2);
      await settle(other, one);
      assert.deepEqual(one.data('/chat'), [1]);
      assert.deepEqual((await whoami(one)).subscriptions, []);
    });

    it('takes a batch in order, and answers it in one go', async (t) => {
      const server = await testbed(t);
      const [one, other] = [await tab(server), await tab(server)];
      one.client.batch(() => {
        one.client.subscribe('/batch', () => {});
        for (const n of numbers(50)) one.client.publish('/batch', n);
      });
      await one.reach('/batch', 50);
      await other.subscribe('/batch');
      one.client.batch(() => numbers(50).forEach((n) => one.client.publish('/batch', 50 + n)));
      assert.deepEqual(await other.reach('/batch', 50), numbers(50).map((n) => 50 + n));
      await one.reach('/batch', 100);
      await settle(one, one);
      assert.deepEqual(one.data('/batch'), numbers(100));
      const replies = one.responses.filter((messages) => messages.some(({ channel, successful }) => channel === '/batch' && successful));
      assert.deepEqual(sizes(replies), batches.replies, 'one response or frame for each batch');
      assert.deepEqual(sizes(bringing(one, '/batch')), batches.events);
    });

    it('is matched by wildcards, with one copy for each session', async (t) => {
      const server = await testbed(t);
      const [one, other, publisher] = [await tab(server), await tab(server), await tab(server)];
      const heard = [];
      for (const pattern of ['/w/x/y', '/w/x/*', '/w/**', '/w/x/**']) {
        assert.equal((await one.subscribe(pattern, (message) => heard.push([pattern, message.channel]))).successful, true);
      }
      await other.subscribe('/w/*');
      for (const channel of ['/w/x/y', '/w/x', '/w/x/y/z', '/w', '/wx']) await publisher.publish(channel, channel);
      await settle(publisher, one);
      await settle(publisher, other);
      const events = (client) => client.received.filter(({ channel, data }) => channel.startsWith('/w') && data);
      assert.deepEqual(events(one).map(({ channel }) => channel), ['/w/x/y', '/w/x', '/w/x/y/z']);
      assert.deepEqual(events(other).map(({ channel }) => channel), ['/w/x']);
      // The client itself hands the one copy to all of its listeners that match.
      assert.equal(heard.filter(([, channel]) => channel === '/w/x/y').length, 4);
      assert.deepEqual((await whoami(one)).subscriptions, ['/w/**', '/w/x/*', '/w/x/**', '/w/x/y']);
    });

    it('is refused by the rules', async (t) => {
      const server = await testbed(t);
      const client = await tab(server);
      for (const [channel, error] of [
        ['/denied/a', /^403:[^:]*:create_denied$/],
        ['/writeonly/a', /^403:[^:]*:subscribe_denied$/],
        ['/**', /^403:[^:]*:subscribe_denied$/],
        ['/meta/connect', /^403:[^:]*:subscribe_/],
      ]) {
        const reply = await client.subscribe(channel);
        assert.deepEqual([reply.successful, reply.subscription], [false, channel]);
        assert.match(reply.error, error, channel);
      }
      for (const [channel, error] of [
        ['/denied/a', /^403:[^:]*:channel_create_denied$/],
        ['/readonly/a', /^403:[^:]*:publish_denied$/],
      ]) {
        const reply = await client.publish(channel, {});
        assert.equal(reply.successful, false);
        assert.match(reply.error, error, channel);
      }
      // What the one may not, the other may.
      assert.equal((await client.subscribe('/readonly/a')).successful, true);
      assert.equal((await client.publish('/writeonly/a', {})).successful, true);
      await client.publish('/service/publish', { channel: '/readonly/a', data: 'from the server' });
      assert.deepEqual(await client.reach('/readonly/a', 1), ['from the server']);
      assert.deepEqual([client.sockets.length, client.on('/meta/handshake').length], [sockets, 1], 'refusals cost no connection');
    });

    it('keeps data as it is', async (t) => {
      const server = await testbed(t);
      // The client has a limit of its own, of 8 KiB.
      const [one, other] = [await tab(server, { maxSendBayeuxMessageSize: 65_536 }), await tab(server)];
      await other.subscribe('/data');
      const data = [
        null, true, false, 0, -1, 1.5, -1.5, 1e-7, 1e21, -1.7976931348623157e308, 5e-324, Number.MAX_SAFE_INTEGER,
        '', 'plain', '"quoted" \\ and \u0000\u001f\u007f', 'Grüße, 你好, עברית, 👩‍👩‍👧', '\u2028\u2029\ufeff\uffff', '</script>',
        '\ud800 alone', [], {}, [[[[]]]], { '': '', a: { b: [1, { c: null }] }, clientId: 'x', channel: '/x', id: 1, successful: false, 'ключ': '🔑' },
        'x'.repeat(60_000), JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 2, "toString": 3}'),
      ];
      for (const value of data) assert.equal((await one.publish('/data', value)).successful, true, JSON.stringify(value).slice(0, 100));
      const arrived = await other.reach('/data', data.length);
      data.forEach((value, n) => assert.deepEqual(arrived[n], value));
      assert.equal(Object.hasOwn(arrived.at(-1), '__proto__'), true);
    });

    it('carries many messages, each once and in order', async (t) => {
      const server = await testbed(t);
      const [publisher, ...subscribers] = [await tab(server), await tab(server), await tab(server), await tab(server, { transport: another })];
      for (const subscriber of subscribers) await subscriber.subscribe('/many');
      const replies = [];
      const publish = (n) => publisher.client.publish('/many', n, (reply) => replies.push(reply.successful));
      // As fast as it goes, each in a payload of its own; in payloads of many; waiting for replies in between.
      numbers(1_000).forEach(publish);
      for (const n of numbers(20)) publisher.client.batch(() => numbers(50).forEach((m) => publish(1_000 + 50 * n + m)));
      for (const n of numbers(30)) {
        numbers(10).forEach((m) => publish(2_000 + 10 * n + m));
        await until(() => replies.length === 2_010 + 10 * n, 'all replies', 20_000);
      }
      for (const subscriber of subscribers) {
        await subscriber.reach('/many', 2_300, 20_000);
        await settle(publisher, subscriber);
        assert.deepEqual(subscriber.data('/many'), numbers(2_300));
      }
      assert.ok(replies.length === 2_300 && replies.every(Boolean));
      for (const subscriber of subscribers) assert.equal(subscriber.on('/meta/handshake').length, 1);
    });

    it('takes what is as large as allowed, and no more', async (t) => {
      const limit = 200_000;
      const server = await testbed(t, '--max-message-size', limit);
      // The client has a limit of its own, of 8 KiB.
      const [one, other] = [await tab(server, { maxSendBayeuxMessageSize: 2 * limit }), await tab(server)];
      await other.subscribe('/large');
      const { id } = one;
      const envelope = JSON.stringify([{ id: '999', channel: '/large', data: '', clientId: id }]).length;
      const fits = 'x'.repeat(limit - envelope);
      assert.equal((await one.publish('/large', fits)).successful, true);
      assert.deepEqual(await other.reach('/large', 1), [fits]);
      const reply = await one.publish('/large', 'x'.repeat(limit));
      assert.equal(reply.successful, false);
      assert.equal(reply.failure[tooLarge.code], tooLarge.value);
      assert.equal((await one.publish('/large', 'on we go')).successful, true);
      assert.deepEqual((await other.reach('/large', 2))[1], 'on we go');
      assert.deepEqual([one.id, one.sockets.length, one.on('/meta/handshake').length], [id, tooLarge.sockets, 1]);
    });
  });

  describe(`service over ${transport}`, { concurrency: true }, () => {
    it('answers the sender alone', async (t) => {
      const server = await testbed(t);
      const [one, other] = [await tab(server), await tab(server)];
      for (const client of [one, other]) assert.equal((await client.subscribe('/service/echo')).successful, true);
      assert.equal((await one.publish('/service/echo', { a: 1 })).successful, true);
      assert.deepEqual(await one.reach('/service/echo', 1), [{ a: 1 }]);
      await settle(one, other);
      assert.deepEqual(other.data('/service/echo'), []);
    });

    it('gives remote calls their results', async (t) => {
      const server = await testbed(t);
      const client = await tab(server);
      const results = await Promise.all(numbers(10).map((n) => client.call('echo', { n })));
      assert.deepEqual(results.map(({ data }) => data.n), numbers(10));
      assert.equal(new Set(results.map(({ id }) => id)).size, 10);
    });

    it('may take its time, which holds up nobody else', async (t) => {
      const server = await testbed(t);
      const [one, other] = [await tab(server), await tab(server)];
      await one.subscribe('/news');
      const slow = one.publish('/service/delayed-echo', { delay: 800, value: 'late' });
      // Over long-polling, it is the client that sends one payload after another.
      const next = one.publish('/elsewhere', 'behind it').then(() => one.data('/service/delayed-echo').length);
      assert.equal((await other.call('echo', 'early')).data, 'early');
      await other.publish('/news', 'meanwhile');
      // Over a WebSocket, what is processed does not keep events from being pushed. Over HTTP they wait for its response.
      if (transport === 'websocket') await one.reach('/news', 1);
      assert.deepEqual(one.on('/service/delayed-echo'), []);
      assert.equal((await slow).successful, true);
      assert.deepEqual(await one.reach('/service/delayed-echo', 1), ['late']);
      assert.equal(await next, 1, 'payloads are processed one after another');
      assert.deepEqual(await one.reach('/news', 1), ['meanwhile']);
    });

    it('may fail without harm', async (t) => {
      // Failures are logged, which is not what is looked at here.
      const server = await testbed(t, '--log', 'off');
      const client = await tab(server);
      await client.publish('/service/fail', {});
      // Data that the service does not understand is a failure too.
      for (const data of [null, 1, {}, { channel: 5 }]) await client.publish('/service/batch', data);
      assert.equal((await client.call('echo', 'well')).data, 'well');
      assert.equal(client.sockets.length, sockets);
    });

    it('delivers a batch in order and in one go', async (t) => {
      const server = await testbed(t);
      const client = await tab(server);
      await client.publish('/service/batch', { channel: '/lot', count: 300 });
      assert.deepEqual(await client.reach('/lot', 300), numbers(300).map((seq) => ({ seq })));
      assert.equal(bringing(client, '/lot').length, carriers(300));
    });

    it('delivers to another session', async (t) => {
      const server = await testbed(t);
      const [one, other, third, elsewhere] = [await tab(server), await tab(server), await tab(server), await tab(server, { transport: another })];
      await third.subscribe('/private');
      for (const [from, to] of [[one, other], [one, elsewhere], [elsewhere, one]]) {
        const data = { for: to.id };
        assert.equal((await from.publish('/service/deliver', { sessionId: to.id, channel: '/private', data })).successful, true);
        assert.deepEqual(await to.reach('/private', 1), [data]);
      }
      await settle(one, third);
      assert.deepEqual(third.data('/private'), []);
      await one.publish('/service/deliver', { sessionId: 'nobody', channel: '/private', data: 1 });
      assert.deepEqual(await one.reach('/service/deliver', 1), [{ error: 'unknown session' }]);
    });

    it('publishes in the name of the sender', async (t) => {
      const server = await testbed(t);
      const [one, other] = [await tab(server), await tab(server)];
      for (const client of [one, other]) await client.subscribe('/quiet/a');
      await one.publish('/service/publish', { channel: '/quiet/a', data: 1 });
      await other.reach('/quiet/a', 1);
      await settle(other, one);
      assert.deepEqual(one.data('/quiet/a'), [], 'the sender counts as the publisher');
    });
  });

  describe(`listener and channel setting over ${transport}`, { concurrency: true }, () => {
    it('stops a message', async (t) => {
      const server = await testbed(t);
      const [one, other] = [await tab(server), await tab(server)];
      for (const client of [one, other]) await client.subscribe('/veto/**');
      const vetoed = await one.publish('/veto/a/b', { veto: true });
      assert.deepEqual([vetoed.successful, vetoed.error], [false, '404::message_deleted']);
      assert.equal((await one.publish('/veto/a/b', { veto: false })).successful, true);
      for (const client of [one, other]) assert.deepEqual(await client.reach('/veto/a/b', 1), [{ veto: false }]);
    });

    it('replaces the data', async (t) => {
      const server = await testbed(t);
      const [one, other] = [await tab(server), await tab(server)];
      for (const client of [one, other]) await client.subscribe('/replace/a');
      await one.publish('/replace/a', { n: 1 });
      for (const client of [one, other]) assert.deepEqual(await client.reach('/replace/a', 1), [{ replaced: true, was: { n: 1 } }]);
    });

    it('keeps messages from their publisher', async (t) => {
      const server = await testbed(t);
      const [one, other] = [await tab(server), await tab(server)];
      for (const client of [one, other]) await client.subscribe('/quiet/a');
      await one.publish('/quiet/a', 1);
      assert.deepEqual(await other.reach('/quiet/a', 1), [1]);
      await other.publish('/quiet/a', 2);
      assert.deepEqual(await one.reach('/quiet/a', 1), [2]);
      assert.deepEqual(other.data('/quiet/a'), [1]);
    });

    it('lets a lazy message wait for its timeout', async (t) => {
      const server = await testbed(t, '--max-lazy-timeout', 800);
      const [one, other] = [await tab(server), await tab(server)];
      await other.subscribe('/lazy/a');
      await until(() => pending(other).length === 1);
      const before = other.on('/meta/connect').length;
      const begin = Date.now();
      await one.publish('/lazy/a', 1);
      await one.publish('/lazy/a', 2);
      assert.deepEqual(await other.reach('/lazy/a', 2), [1, 2]);
      assert.equal(other.on('/meta/connect').length - before, connects);
      const waited = other.on('/lazy/a')[0].at - begin;
      assert.ok(waited >= 795 && waited < 1_500, `waited for ${waited} ms`);
      assert.equal(bringing(other, '/lazy/a').length, carriers(2));
    });

    it('lets a lazy message leave with the next one that is not', async (t) => {
      const server = await testbed(t, '--max-lazy-timeout', 60_000);
      const [one, other] = [await tab(server), await tab(server)];
      await other.subscribe('/lazy/a');
      await other.subscribe('/prompt');
      await one.publish('/lazy/a', 1);
      await one.publish('/prompt', 2);
      await other.reach('/prompt', 1);
      assert.deepEqual(other.data('/lazy/a'), [1]);
      assert.equal(new Set([...bringing(other, '/lazy/a'), ...bringing(other, '/prompt')]).size, carriers(2));
      // Any reply will do.
      await one.publish('/lazy/a', 3);
      await other.publish('/elsewhere', {});
      assert.deepEqual(await other.reach('/lazy/a', 2), [1, 3]);
    });
  });

  describe(`server that comes back, over ${transport}`, { concurrency: true }, () => {
    for (const [how, stop] of [['after a clean end', 'stop'], ['after a crash', 'kill']]) {
      it(`is found again ${how}`, async (t) => {
        const server = await testbed(t);
        const clients = [new Tab(server, { transport }), new Tab(server, { transport })];
        for (const client of clients) {
          // A re-handshake clears the subscriptions of cometd.js: this is how applications renew them.
          client.client.addListener('/meta/handshake', ({ successful }) => successful && client.client.subscribe('/news', () => {}));
          await client.open();
        }
        const [one, other] = clients;
        const ids = clients.map((client) => client.id);
        await one.publish('/news', 'before');
        await other.reach('/news', 1);
        await server[stop]();
        await server.start();
        for (const client of clients) {
          await until(() => client.on('/meta/subscribe').length === 2, 'subscribed again', 10_000);
          assert.ok(!ids.includes(client.id));
        }
        await one.publish('/news', 'after');
        for (const client of clients) {
          assert.deepEqual(await client.reach('/news', 2), ['before', 'after']);
          assert.equal((await whoami(client)).transport, transport);
        }
      });
    }
  });
}

describe('only over long-polling', { concurrency: true }, () => {
  it('a session expires when its client is gone without a word', async (t) => {
    const server = await testbed(t, '--max-interval', 1_000, '--sweep', 50);
    const observer = await open(server);
    await observer.subscribe('/events');
    const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'abandoned.mjs');
    const child = spawn(process.execPath, [program, server.url], { stdio: ['ignore', 'pipe', 'inherit'] });
    server.last(() => child.kill('SIGKILL'));
    const [line] = await within(10_000, once(child.stdout, 'data'), 'the client is connected');
    const sessionId = line.toString().trim();
    child.kill('SIGKILL');
    const killed = Date.now();
    assert.deepEqual(await observer.reach('/events', 2), [
      { type: 'added', sessionId },
      { type: 'expired', sessionId },
    ]);
    const expired = observer.on('/events')[1].at - killed;
    assert.ok(expired >= 900 && expired < 2_500, `expired after ${expired} ms`);
  });

  it('a connect is held for one tab of a browser; the others poll', async (t) => {
    const server = await testbed(t, '--multi-session-interval', 300, '--timeout', 1_000);
    const browser = new Map();
    const first = await open(server, { browser });
    assert.equal(browser.size, 1);
    // The first connect is never held. Once the second has arrived, the browser's place is taken.
    await until(() => first.sent.filter(({ channel }) => channel === '/meta/connect').length === 2);
    await settle(first, first);
    const second = await open(server, { browser });
    const { successful, advice } = second.on('/meta/connect')[0];
    assert.deepEqual([successful, advice], [true, { reconnect: 'retry', interval: 300, timeout: 1_000, 'multiple-clients': true }]);
    await second.subscribe('/news');
    await first.publish('/news', 'to the tab that polls');
    assert.deepEqual(await second.reach('/news', 1), ['to the tab that polls']);
    const polled = second.on('/meta/connect').slice(0, 2).map(({ at }) => at);
    assert.ok(polled[1] - polled[0] >= 295, 'the client waits between two connects');

    // The place is free when the first tab is closed, and the advice to poll is taken back.
    await first.disconnect();
    await until(() => second.client.getAdvice().interval === 0, 'told to stop polling');
    assert.deepEqual(second.on('/meta/connect').at(-1).advice, { reconnect: 'retry', interval: 0, timeout: 1_000 });
  });

  it('a connect is held for every browser', async (t) => {
    const server = await testbed(t, '--timeout', 400);
    const clients = [await open(server), await open(server)];
    const cookies = clients.map(({ browser }) => [...browser.values()][0]);
    assert.notEqual(cookies[0], cookies[1]);
    for (const client of clients) await alwaysHeld(client, 400);
  });

  it('a connect is held for all tabs when that is allowed', async (t) => {
    const server = await testbed(t, '--max-sessions-per-browser', -1, '--timeout', 400);
    const browser = new Map();
    const clients = [await open(server, { browser }), await open(server, { browser })];
    for (const client of clients) await alwaysHeld(client, 400);
  });
});

function pick({ successful, subscription, error }) {
  return JSON.parse(JSON.stringify({ successful, subscription, error }));
}

/** The responses, or frames, that brought events of a channel. */
function bringing(client, channel) {
  return client.responses.filter((messages) => messages.some((message) => message.channel === channel && 'data' in message));
}

/** How many messages there are in each response, or frame. */
const sizes = (responses) => responses.map(({ length }) => length);
