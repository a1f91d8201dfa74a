// What is expected of every published client, over every transport that it has. Beside each there is a tab of
// cometd.js, which observes the sessions and is somebody to talk to.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Gateway } from '../gateway.mjs';
import { ends, numbers, others, settle, stream, told, whoami } from '../sessions.mjs';
import { tab } from '../tab.mjs';
import { testbed } from '../testbed.mjs';
import { until } from '../waiting.mjs';
import { Missing } from './install.mjs';
import { Remote } from './remote.mjs';

/** Far less than the time for which a connect is held, far more than it takes to answer one. */
const AT_ONCE = 1_000;

/**
 * Runs the behaviours for one client:
 * - `options` are the server's;
 * - `start` installs what it needs and gives its `Program`; a `Missing` is a reason to skip all tests;
 * - `cannot` has the reasons not to expect what some behaviours need: `publish`, `batch`, `unsubscribe`, `refusal` (to
 *   be told that a call was denied), `call` (a result for a call to a service), `goodbye` (to stay away when the server
 *   has ended the session), `farewell` (to tell its application of that), `resume` (to go on with the session after a
 *   cut), `return` (to begin another session, with the same subscriptions), `ack`, `timesync`. A reason may be for one
 *   transport only: `{ websocket: '…' }`;
 * - `subscribe` is for clients that do not say when they have subscribed.
 */
export function behaviours({ name, transports, options = [], start, cannot, subscribe = (remote, channel) => remote.subscribe(channel) }) {
  const serve = (t, ...more) => testbed(t, ...options, ...more);
  let program;
  let missing;

  before(async () => {
    try {
      program = await start();
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      missing = error.message;
    }
  });
  after(() => program?.end());

  for (const transport of transports) {
    describe(`${name} over ${transport}`, { concurrency: true }, () => {
      /** Why the client cannot do that over this transport, if it cannot. */
      const lack = (need) => (typeof cannot[need] === 'object' ? cannot[need][transport] : cannot[need]);
      const expect = (behaviour, needs, test) =>
        it(behaviour, (t) => {
          const reason = missing ?? needs.map(lack).find(Boolean);
          return reason ? t.skip(reason) : test(t);
        });

      /** A tab that is told of all others, and a function that connects clients. */
      async function observed(server) {
        const observer = await tab(server);
        await observer.subscribe('/events');
        const added = () => others(observer).filter(({ type }) => type === 'added').map(({ sessionId }) => sessionId);
        const connect = async (through = server, settings) => {
          const already = added().length;
          const remote = new Remote(program);
          await remote.open(through, { transport, ...settings });
          await until(() => added().length > already, 'told of the session');
          remote.id = added().at(-1);
          return remote;
        };
        return [observer, connect];
      }

      /** Publishes numbers until the client has got one, again if need be. */
      async function heard(publisher, remote, channel) {
        for (const begin = Date.now(); remote.data(channel).length === 0; ) {
          assert.ok(Date.now() - begin < 10_000, `nothing heard on ${channel}`);
          await publisher.publish(channel, 'heard?');
        }
      }

      expect('begins a session, and ends it', [], async (t) => {
        const server = await serve(t);
        const [observer, connect] = await observed(server);
        const one = await connect();
        await one.close();
        await told(observer, 'removed', one.id);
        assert.deepEqual(others(observer), [
          { type: 'added', sessionId: one.id },
          { type: 'removed', sessionId: one.id },
        ]);
      });

      expect('gets what it has subscribed to, each message once', [], async (t) => {
        const server = await serve(t);
        const [publisher, connect] = await observed(server);
        const one = await connect();
        for (const channel of ['/chat', '/w/*', '/deep/**']) await subscribe(one, channel, publisher);
        one.events.length = 0;
        const sent = ['/chat', '/chat/no', '/w', '/w/x', '/w/x/no', '/deep/x', '/deep/x/y/z', '/chat'];
        for (const channel of sent) await publisher.publish(channel, { on: channel, text: 'Grüße – 你好 👋' });
        await one.reach('/chat', 2);
        const expected = sent.filter((channel) => channel !== '/w' && !channel.endsWith('/no'));
        assert.deepEqual(one.events, expected.map((channel) => [channel, { on: channel, text: 'Grüße – 你好 👋' }]));
      });

      expect('publishes', ['publish'], async (t) => {
        const server = await serve(t);
        const [other, connect] = await observed(server);
        const one = await connect();
        for (const each of [other, one]) await each.subscribe('/chat');
        const data = [null, true, -1.5, 'Grüße – 你好 👋', [], { a: [1, { b: null }] }];
        for (const value of data) await one.publish('/chat', value);
        for (const each of [other, one]) assert.deepEqual(await each.reach('/chat', data.length), data);
        assert.deepEqual(await whoami(one), { sessionId: one.id, transport, subscriptions: ['/chat'] });
      });

      expect('talks to a service', ['publish'], async (t) => {
        const server = await serve(t);
        const [, connect] = await observed(server);
        const one = await connect();
        await one.publish('/service/delayed-echo', { delay: 20, value: { a: [1, null] } });
        assert.deepEqual(await one.reach('/service/delayed-echo', 1), [{ a: [1, null] }]);
        assert.deepEqual(await whoami(one), { sessionId: one.id, transport, subscriptions: [] });
      });

      expect('calls a service', ['call'], async (t) => {
        const server = await serve(t);
        const [, connect] = await observed(server);
        const one = await connect();
        assert.deepEqual(await one.call('echo', { a: [1, null] }), { a: [1, null] });
      });

      expect('gets many at once, in order', [], async (t) => {
        const server = await serve(t);
        const [publisher, connect] = await observed(server);
        const one = await connect();
        await subscribe(one, '/many', publisher);
        one.events.length = 0;
        publisher.client.batch(() => numbers(200).forEach((n) => publisher.client.publish('/many', n)));
        assert.deepEqual(await one.reach('/many', 200), numbers(200));
      });

      expect('asks for many at once, in order', ['publish'], async (t) => {
        const server = await serve(t);
        const [, connect] = await observed(server);
        const one = await connect();
        await one.subscribe('/batch');
        await one.publish('/service/batch', { channel: '/batch', count: 200 });
        assert.deepEqual(await one.reach('/batch', 200), numbers(200).map((seq) => ({ seq })));
      });

      expect('publishes many at once, in order', ['publish', 'batch'], async (t) => {
        const server = await serve(t);
        const [other, connect] = await observed(server);
        const one = await connect();
        for (const each of [other, one]) await each.subscribe('/batch');
        await one.batch('/batch', numbers(100));
        for (const each of [other, one]) assert.deepEqual(await each.reach('/batch', 100), numbers(100));
      });

      expect('is woken at once, again and again', [], async (t) => {
        const server = await serve(t, '--timeout', 30_000);
        const [publisher, connect] = await observed(server);
        const one = await connect();
        await subscribe(one, '/news', publisher);
        for (const _ of numbers(20)) {
          const already = one.data('/news').length;
          const begin = Date.now();
          await publisher.publish('/news', begin);
          await one.reach('/news', already + 1);
          assert.ok(Date.now() - begin < AT_ONCE, `after ${Date.now() - begin} ms`);
        }
      });

      expect('leaves a channel', ['unsubscribe'], async (t) => {
        const server = await serve(t);
        const [publisher, connect] = await observed(server);
        const one = await connect();
        for (const channel of ['/chat', '/more']) await one.subscribe(channel);
        await one.unsubscribe('/chat');
        await publisher.publish('/chat', 1);
        await publisher.publish('/more', 2);
        await one.reach('/more', 1);
        assert.deepEqual(one.events, [['/more', 2]]);
        assert.deepEqual((await whoami(one)).subscriptions, ['/more']);
      });

      expect('is told what it may not do, and goes on', ['publish', 'refusal'], async (t) => {
        const server = await serve(t);
        const [, connect] = await observed(server);
        const one = await connect();
        await assert.rejects(one.subscribe('/denied/a'), /403.*create_denied/);
        await assert.rejects(one.subscribe('/writeonly/a'), /403.*subscribe_denied/);
        await assert.rejects(one.subscribe('/**'), /403.*subscribe_denied/);
        await assert.rejects(one.publish('/denied/a', {}), /403.*channel_create_denied/);
        await assert.rejects(one.publish('/readonly/a', {}), /403.*publish_denied/);
        await assert.rejects(one.publish('/veto/a', { veto: true }), /404.*message_deleted/);
        await one.subscribe('/readonly/a');
        await one.publish('/writeonly/a', {});
        assert.deepEqual((await whoami(one)).subscriptions, ['/readonly/a']);
      });

      expect('stays away when the server has ended its session', ['publish', 'goodbye'], async (t) => {
        const server = await serve(t);
        const [observer, connect] = await observed(server);
        const one = await connect();
        // It learns of it by the reply to its connect, so one must be held.
        await one.subscribe('/news');
        await observer.publish('/news', 'wake up');
        await one.reach('/news', 1);
        await whoami(one);
        // Whether the reply still counts is up to the client.
        one.publish('/service/disconnect', {}).catch(() => {});
        await told(observer, 'removed', one.id);
        if (lack('farewell')) t.diagnostic(lack('farewell'));
        else await until(() => one.over, 'the client knows');
        await settle(observer, observer);
        assert.deepEqual(others(observer).map(({ type }) => type), ['added', 'removed']);
      });

      expect('begins another session when its own has expired', ['return'], async (t) => {
        const server = await serve(t, '--max-interval', 500, '--sweep', 50);
        const gateway = await Gateway.open(server);
        const [observer, connect] = await observed(server);
        const one = await connect(gateway);
        await subscribe(one, '/news', observer);
        gateway.open = false;
        await gateway.sever();
        await told(observer, 'expired', one.id);
        one.events.length = 0;
        gateway.open = true;
        await heard(observer, one, '/news');
        assert.deepEqual(others(observer).map(({ type }) => type), ['added', 'expired', 'added']);
      });

      expect('goes on with its session after a cut, again and again', ['resume'], async (t) => {
        const server = await serve(t);
        const gateway = await Gateway.open(server);
        const [observer, connect] = await observed(server);
        const one = await connect(gateway);
        const going = await stream(await tab(server), one, observer);
        for (const _ of numbers(3)) {
          await going.more(50);
          gateway.cut();
          await going.on();
        }
        await going.stop();
        assert.deepEqual(await whoami(one), { sessionId: one.id, transport, subscriptions: ['/numbers'] });
      });

      expect('loses nothing by cuts when it acknowledges', ['resume', 'ack'], async (t) => {
        const server = await serve(t);
        const gateway = await Gateway.open(server);
        const [observer, connect] = await observed(server);
        const one = await connect(gateway, { ext: ['ack'] });
        const going = await stream(await tab(server), one, observer);
        for (const _ of numbers(3)) {
          await going.more(50);
          gateway.cut();
          await going.on();
        }
        await going.stop();
        assert.deepEqual(one.data('/numbers'), numbers(going.count));
        assert.deepEqual(ends(observer), []);
      });

      expect('learns what time it is', ['timesync'], async (t) => {
        const server = await serve(t, '--timeout', 100);
        const [, connect] = await observed(server);
        const one = await connect(server, { ext: ['timesync'] });
        for (const n of numbers(10)) await one.subscribe(`/chat/${n}`);
        const { offset, lag } = await one.clock();
        // Both clocks are one.
        assert.ok(Math.abs(offset) < 200 && lag >= 0 && lag < 200, `offset ${offset}, lag ${lag}`);
      });
    });
  }
}
