// cometd.js over WebSocket: what is as over long-polling, what is not, and what happens when connections end.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReloadExtension } from 'cometd';
import { Gateway, withoutUpgrades } from './gateway.mjs';
import { Tab } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

/** A tab that is connected over WebSocket, unless told otherwise. */
async function tab(server, options) {
  const it = new Tab(server, { transport: 'websocket', ...options });
  await it.open();
  return it;
}

/** Whatever was to come on this tab's session has come when this is over: events leave in order. */
async function settle(from, to) {
  const channel = `/settle/${to.id}`;
  const already = to.data(channel).length;
  await from.publish('/service/deliver', { sessionId: to.id, channel, data: 'settled' });
  await to.reach(channel, already + 1);
}

/** The connects that were sent and not answered. */
function pending(client) {
  const answered = client.on('/meta/connect').map(({ id }) => id);
  return client.sent.filter(({ channel, id }) => channel === '/meta/connect' && !answered.includes(id));
}

/** What the server says about the client's session. */
async function whoami(client) {
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

describe('session over WebSocket', { concurrency: true }, () => {
  it('begins with a handshake, which agrees on the transport', async (t) => {
    const server = await testbed(t, '--timeout', 7_000, '--interval', 10);
    const client = new Tab(server, { transport: 'any' });
    const reply = await client.open();
    assert.equal(reply.successful, true);
    assert.match(reply.clientId, /^[A-Za-z0-9_]{20,}$/);
    assert.deepEqual(new Set(reply.supportedConnectionTypes), new Set(['websocket', 'long-polling', 'callback-polling']));
    assert.deepEqual(reply.advice, { reconnect: 'retry', interval: 10, timeout: 7_000 });
    assert.equal(client.client.getTransport().type, 'websocket');
    assert.ok(client.sent.filter(({ channel }) => channel === '/meta/connect').every(({ connectionType }) => connectionType === 'websocket'));
    assert.deepEqual(await whoami(client), { sessionId: client.id, transport: 'websocket', subscriptions: [] });
    assert.deepEqual([client.sockets.length, client.browser.size], [1, 0], 'one connection, and no cookie');
  });

  it('ends with a disconnect, and its WebSocket with it', async (t) => {
    const server = await testbed(t);
    const [observer, client] = [await tab(server), await tab(server)];
    await observer.subscribe('/events');
    const id = client.id;
    await client.disconnect();
    await told(observer, 'removed', id);
    await until(() => client.sockets[0].code, 'closed');
    assert.equal(client.sockets[0].code, 1000);
    // A client that disconnected can come back, as another session.
    await client.open();
    assert.notEqual(client.id, id);
    await told(observer, 'added', client.id);
    assert.equal(ends(observer).length, 1);
    assert.equal(client.sockets.length, 2);
  });

  it('is not given to whom the policy denies it', async (t) => {
    const server = await testbed(t);
    const client = new Tab(server, { transport: 'websocket' });
    const reply = await client.handshake({ ext: { testbed: { deny: true } } });
    assert.deepEqual([reply.successful, reply.error, reply.advice.reconnect], [false, '403::handshake_denied', 'none']);
    await until(() => client.status === 'disconnected');
    assert.equal(client.on('/meta/handshake').length, 1, 'the client does not try again');
  });

  it('is ended by the server', async (t) => {
    const server = await testbed(t);
    const [observer, client] = [await tab(server), await tab(server)];
    await observer.subscribe('/events');
    const id = client.id;
    await until(() => pending(client).length === 1);
    client.client.publish('/service/disconnect', {});
    await until(() => client.status === 'disconnected');
    const farewell = client.on('/meta/disconnect');
    assert.deepEqual(farewell.map(({ successful, id }) => ({ successful, id })), [{ successful: true, id: undefined }]);
    await told(observer, 'removed', id);
    // Nor does the client come back by itself.
    await settle(observer, observer);
    assert.deepEqual([client.sockets.length, client.sent.filter(({ channel }) => channel === '/meta/handshake').length], [1, 1]);
  });

  it('may be decided about slowly, which holds up nobody else', async (t) => {
    const server = await testbed(t);
    const [patient, other] = [new Tab(server, { transport: 'websocket' }), new Tab(server, { transport: 'websocket' })];
    const begin = Date.now();
    const decided = patient.open({ ext: { testbed: { delay: 1_000 } } }).then(() => Date.now());
    await other.open();
    assert.equal((await other.call('echo', 'meanwhile')).data, 'meanwhile');
    assert.equal(patient.id, null, 'not decided yet');
    assert.ok((await decided) - begin >= 1_000);
    assert.equal((await patient.call('echo', 'at last')).data, 'at last');
  });

  it('is ended when its queue overflows, and its client begins another', async (t) => {
    const server = await testbed(t, '--max-queue', 5);
    const [observer, client] = [await tab(server), await tab(server)];
    await observer.subscribe('/events');
    const id = client.id;
    client.client.publish('/service/batch', { channel: '/flood', count: 6 });
    await until(() => client.on('/meta/handshake').length === 2 && client.id, 'the client has a new session');
    await told(observer, 'added', client.id);
    assert.deepEqual(ends(observer), [{ type: 'overflowed', sessionId: id }]);
    assert.deepEqual(client.data('/flood'), []);
  });
});

describe('connect over WebSocket', { concurrency: true }, () => {
  it('is held for the timeout, whatever comes meanwhile', async (t) => {
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
    const replies = client.on('/meta/connect');
    // The first is not held: the client asks for that with `advice.timeout: 0`.
    assert.deepEqual(replies[0].advice, { reconnect: 'retry', interval: 0, timeout: 500 });
    replies.slice(1).forEach((reply, n) => {
      assert.equal(reply.successful, true);
      assert.equal('advice' in reply, false, 'the client knows it');
      const held = reply.at - replies[n].at;
      assert.ok(held >= 490 && held < 900, `held for ${held} ms`);
    });
    const carriers = client.responses.filter((messages) => messages.some(({ channel }) => channel === '/meta/connect'));
    assert.ok(carriers.flat().every((message) => !('data' in message)), 'events come in frames of their own');
  });

  it('is held for all tabs of a browser', async (t) => {
    const server = await testbed(t, '--timeout', 400);
    const browser = new Map();
    // Only over HTTP does a browser get its cookie, which it sends with its upgrades, too.
    const first = await tab(server, { browser, transport: 'long-polling' });
    assert.equal(browser.size, 1);
    const clients = [first, await tab(server, { browser }), await tab(server, { browser })];
    for (const client of clients) {
      await until(() => client.on('/meta/connect').length === 3);
      assert.ok(client.on('/meta/connect').every((reply) => !reply.advice?.['multiple-clients'] && !reply.advice?.interval));
      const [one, two, three] = client.on('/meta/connect').map(({ at }) => at);
      assert.ok(two - one >= 390 && three - two >= 390, 'held');
    }
  });
});

describe('channel over WebSocket', { concurrency: true }, () => {
  it('carries messages both ways, between transports, too', async (t) => {
    const server = await testbed(t);
    const [one, other, polling] = [await tab(server), await tab(server), await tab(server, { transport: 'long-polling' })];
    const all = [one, other, polling];
    for (const client of all) assert.equal((await client.subscribe('/chat')).successful, true);
    assert.deepEqual(await whoami(one), { sessionId: one.id, transport: 'websocket', subscriptions: ['/chat'] });
    for (const [n, client] of all.entries()) {
      assert.equal((await client.publish('/chat', { text: `${n}: ping – 你好 👋` })).successful, true);
      for (const reader of all) await reader.reach('/chat', n + 1);
    }
    for (const client of all) {
      assert.deepEqual(client.data('/chat'), numbers(3).map((n) => ({ text: `${n}: ping – 你好 👋` })));
      const events = client.on('/chat').filter((message) => 'data' in message);
      assert.ok(events.every((event) => !('id' in event || 'clientId' in event)), 'nobody learns who the publisher is');
    }
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

  it('carries bursts, each message once and in order', async (t) => {
    const server = await testbed(t);
    const [publisher, ...subscribers] = [await tab(server), await tab(server), await tab(server), await tab(server, { transport: 'long-polling' })];
    for (const subscriber of subscribers) await subscriber.subscribe('/many');
    const replies = [];
    const publish = (n) => publisher.client.publish('/many', n, (reply) => replies.push(reply.successful));
    // As fast as it goes, each in a payload of its own; in payloads of many; waiting for replies in between.
    numbers(400).forEach(publish);
    for (const n of numbers(6)) publisher.client.batch(() => numbers(50).forEach((m) => publish(400 + 50 * n + m)));
    for (const n of numbers(30)) {
      numbers(10).forEach((m) => publish(700 + 10 * n + m));
      await until(() => replies.length === 710 + 10 * n, 'all replies', 20_000);
    }
    for (const subscriber of subscribers) {
      await subscriber.reach('/many', 1_000, 20_000);
      await settle(publisher, subscriber);
      assert.deepEqual(subscriber.data('/many'), numbers(1_000));
    }
    assert.ok(replies.length === 1_000 && replies.every(Boolean));
    for (const subscriber of subscribers) assert.equal(subscriber.on('/meta/handshake').length, 1);
  });

  it('takes a batch in order, and answers it in one frame', async (t) => {
    const server = await testbed(t);
    const client = await tab(server);
    const before = client.responses.length;
    client.client.batch(() => {
      client.client.subscribe('/batch', () => {});
      for (const n of numbers(50)) client.client.publish('/batch', n);
    });
    await client.reach('/batch', 50);
    await settle(client, client);
    assert.deepEqual(client.data('/batch'), numbers(50));
    const frames = client.responses.slice(before);
    const replies = frames.filter((messages) => messages.some(({ successful, channel }) => successful && channel === '/batch'));
    assert.deepEqual(replies.map(({ length }) => length), [51]);
    const events = frames.filter((messages) => messages.some(({ channel, data }) => channel === '/batch' && data !== undefined));
    assert.ok(events.length === 50 && events.every(({ length }) => length === 1), 'each event in a frame of its own');
  });

  it('is matched by wildcards, with one copy for each session', async (t) => {
    const server = await testbed(t);
    const [one, other, publisher] = [await tab(server), await tab(server), await tab(server)];
    for (const pattern of ['/w/x/y', '/w/x/*', '/w/**']) assert.equal((await one.subscribe(pattern)).successful, true);
    await other.subscribe('/w/*');
    for (const channel of ['/w/x/y', '/w/x', '/w', '/wx']) await publisher.publish(channel, channel);
    await settle(publisher, one);
    await settle(publisher, other);
    const events = (client) => client.received.filter(({ channel, data }) => channel.startsWith('/w') && data).map(({ channel }) => channel);
    assert.deepEqual(events(one), ['/w/x/y', '/w/x']);
    assert.deepEqual(events(other), ['/w/x']);
  });

  it('can be left', async (t) => {
    const server = await testbed(t);
    const [one, other] = [await tab(server), await tab(server)];
    await one.subscribe('/chat');
    await other.publish('/chat', 1);
    await one.reach('/chat', 1);
    assert.equal((await one.unsubscribe(one.subscription)).successful, true);
    await other.publish('/chat', 2);
    await settle(other, one);
    assert.deepEqual(one.data('/chat'), [1]);
    assert.deepEqual((await whoami(one)).subscriptions, []);
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
    assert.equal((await client.subscribe('/readonly/a')).successful, true);
    assert.equal((await client.publish('/writeonly/a', {})).successful, true);
    assert.deepEqual([client.sockets.length, client.on('/meta/handshake').length], [1, 1], 'refusals cost no connection');
  });

  it('keeps data as it is', async (t) => {
    const server = await testbed(t);
    // The client has a limit of its own, of 8 KiB.
    const [one, other] = [await tab(server, { maxSendBayeuxMessageSize: 65_536 }), await tab(server)];
    await other.subscribe('/data');
    const data = [
      null, false, 0, -1.5, 1e21, 5e-324, Number.MAX_SAFE_INTEGER, '', '"quoted" \\ and \u0000\u001f\u007f', 'Grüße, 你好, עברית, 👩‍👩‍👧',
      '\u2028\u2029\ufeff\uffff', '\ud800 alone', [], {}, [[[[]]]], { '': '', a: { b: [1, { c: null }] }, clientId: 'x', channel: '/x', id: 1, successful: false },
      'x'.repeat(60_000),
    ];
    for (const value of data) assert.equal((await one.publish('/data', value)).successful, true, JSON.stringify(value).slice(0, 100));
    const arrived = await other.reach('/data', data.length);
    data.forEach((value, n) => assert.deepEqual(arrived[n], value));
  });
});

describe('message that is too large', { concurrency: true }, () => {
  it('costs the WebSocket, and not the session', async (t) => {
    const limit = 20_000;
    const server = await testbed(t, '--max-message-size', limit);
    const [one, other] = [await tab(server, { maxSendBayeuxMessageSize: 10 * limit }), await tab(server)];
    await other.subscribe('/large');
    const { id } = one;
    const envelope = JSON.stringify([{ id: '999', channel: '/large', data: '', clientId: id }]).length;
    const fits = 'x'.repeat(limit - envelope);
    assert.equal((await one.publish('/large', fits)).successful, true);
    assert.deepEqual(await other.reach('/large', 1), [fits]);
    const reply = await one.publish('/large', 'x'.repeat(limit));
    assert.deepEqual([reply.successful, reply.failure.websocketCode], [false, 1009]);
    assert.equal((await one.publish('/large', 'on we go')).successful, true);
    assert.deepEqual((await other.reach('/large', 2))[1], 'on we go');
    assert.deepEqual([one.id, one.sockets.length, one.on('/meta/handshake').length], [id, 2, 1]);
  });
});

describe('service over WebSocket', { concurrency: true }, () => {
  it('gives remote calls their results', async (t) => {
    const server = await testbed(t);
    const client = await tab(server);
    const results = await Promise.all(numbers(10).map((n) => client.call('echo', { n })));
    assert.deepEqual(results.map(({ data }) => data.n), numbers(10));
    assert.equal(new Set(results.map(({ id }) => id)).size, 10);
  });

  it('may take its time, which holds up this session alone', async (t) => {
    const server = await testbed(t);
    const [one, other] = [await tab(server), await tab(server)];
    await one.subscribe('/news');
    const slow = one.publish('/service/delayed-echo', { delay: 800, value: 'late' });
    const next = one.publish('/elsewhere', 'behind it').then(() => one.data('/service/delayed-echo').length);
    assert.equal((await other.call('echo', 'early')).data, 'early');
    // What is processed does not keep events from being pushed.
    await other.publish('/news', 'meanwhile');
    await one.reach('/news', 1);
    assert.deepEqual(one.on('/service/delayed-echo'), []);
    assert.equal((await slow).successful, true);
    assert.deepEqual(await one.reach('/service/delayed-echo', 1), ['late']);
    assert.equal(await next, 1, 'payloads are processed one after another');
  });

  it('delivers a batch in order', async (t) => {
    const server = await testbed(t);
    const client = await tab(server);
    await client.publish('/service/batch', { channel: '/lot', count: 300 });
    assert.deepEqual(await client.reach('/lot', 300), numbers(300).map((seq) => ({ seq })));
  });

  it('delivers to another session', async (t) => {
    const server = await testbed(t);
    const [one, other, polling] = [await tab(server), await tab(server), await tab(server, { transport: 'long-polling' })];
    for (const [from, to] of [[one, other], [one, polling], [polling, one]]) {
      const data = { for: to.id };
      assert.equal((await from.publish('/service/deliver', { sessionId: to.id, channel: '/private', data })).successful, true);
      assert.deepEqual(await to.reach('/private', 1), [data]);
    }
    await one.publish('/service/deliver', { sessionId: 'nobody', channel: '/private', data: 1 });
    assert.deepEqual(await one.reach('/service/deliver', 1), [{ error: 'unknown session' }]);
  });

  it('may fail without harm', async (t) => {
    // Failures are logged, which is not what is looked at here.
    const server = await testbed(t, '--log', 'off');
    const client = await tab(server);
    await client.publish('/service/fail', {});
    assert.equal((await client.call('echo', 'well')).data, 'well');
    assert.equal(client.sockets.length, 1);
  });
});

describe('listener and channel setting over WebSocket', { concurrency: true }, () => {
  it('stops a message, replaces its data, or keeps it from its publisher', async (t) => {
    const server = await testbed(t);
    const [one, other] = [await tab(server), await tab(server)];
    for (const channel of ['/veto/**', '/replace/a', '/quiet/a']) for (const client of [one, other]) await client.subscribe(channel);
    const vetoed = await one.publish('/veto/a/b', { veto: true });
    assert.deepEqual([vetoed.successful, vetoed.error], [false, '404::message_deleted']);
    assert.equal((await one.publish('/veto/a/b', { veto: false })).successful, true);
    await one.publish('/replace/a', { n: 1 });
    await one.publish('/quiet/a', 1);
    await other.publish('/quiet/a', 2);
    for (const client of [one, other]) {
      assert.deepEqual(await client.reach('/veto/a/b', 1), [{ veto: false }]);
      assert.deepEqual(await client.reach('/replace/a', 1), [{ replaced: true, was: { n: 1 } }]);
    }
    assert.deepEqual(await one.reach('/quiet/a', 1), [2]);
    assert.deepEqual(await other.reach('/quiet/a', 1), [1]);
  });

  it('lets a lazy message wait for its timeout', async (t) => {
    const server = await testbed(t, '--max-lazy-timeout', 800);
    const [one, other] = [await tab(server), await tab(server)];
    await other.subscribe('/lazy/a');
    await until(() => pending(other).length === 1);
    const begin = Date.now();
    await one.publish('/lazy/a', 1);
    await one.publish('/lazy/a', 2);
    assert.deepEqual(await other.reach('/lazy/a', 2), [1, 2]);
    const waited = other.on('/lazy/a')[0].at - begin;
    assert.ok(waited >= 795 && waited < 1_500, `waited for ${waited} ms`);
    assert.equal(pending(other).length, 1, 'the connect is still held');
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
    // Any reply will do.
    await one.publish('/lazy/a', 3);
    await other.publish('/elsewhere', {});
    assert.deepEqual(await other.reach('/lazy/a', 2), [1, 3]);
  });
});

describe('WebSocket that ends', { concurrency: true }, () => {
  /** Somebody who publishes numbers on `/numbers` one after another, and the session's fate as others see it. */
  async function steady(server, subscriber) {
    const [publisher, observer] = [await tab(server), await tab(server)];
    await observer.subscribe('/events');
    await subscriber.subscribe('/numbers');
    let [count, going] = [0, true];
    const publishing = (async () => {
      while (going) assert.equal((await publisher.publish('/numbers', count++)).successful, true);
    })();
    return {
      get count() {
        return count;
      },
      async stop() {
        going = false;
        await publishing;
        await settle(publisher, subscriber);
        await settle(publisher, observer);
        assert.deepEqual(ends(observer), [], 'nobody was removed');
      },
    };
  }

  const increases = (list) => list.every((number, n) => n === 0 || number > list[n - 1]);

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
    const client = await tab(gateway);
    const { id } = client;
    const stream = await steady(server, client);
    for (const round of numbers(5)) {
      const already = client.data('/numbers').length;
      await client.reach('/numbers', already + 50);
      const returned = back(client);
      gateway.cut();
      await returned;
      assert.equal(client.sockets.length, round + 2);
      const from = stream.count;
      await until(() => client.data('/numbers').at(-1) > from + 20, 'the stream goes on');
      const behind = client.data('/numbers').filter((number) => number >= from);
      assert.deepEqual(behind, numbers(behind.length).map((n) => from + n), 'nothing is missing from then on');
    }
    await stream.stop();
    assert.ok(increases(client.data('/numbers')), 'in order, and nothing twice');
    assert.equal(client.data('/numbers').at(-1), stream.count - 1);
    assert.equal(client.id, id);
    assert.equal(client.on('/meta/handshake').length, 1);
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
    const client = await tab(gateway, { maxNetworkDelay: 500 });
    const { id } = client;
    const stream = await steady(server, client);
    await client.reach('/numbers', 50);
    const returned = back(client);
    gateway.freeze();
    await returned;
    assert.equal(client.sockets.length, 2);
    const from = stream.count;
    await until(() => client.data('/numbers').at(-1) > from + 20, 'the stream goes on');
    await stream.stop();
    const got = client.data('/numbers');
    assert.ok(increases(got), 'in order, and nothing twice');
    assert.ok(got.length < stream.count, 'what went into the dead connection is lost');
    const behind = got.filter((number) => number >= from);
    assert.deepEqual(behind, numbers(behind.length).map((n) => from + n), 'nothing is missing from then on');
    assert.equal(got.at(-1), stream.count - 1);
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

  for (const [how, stop] of [['a clean end', 'stop'], ['a crash', 'kill']]) {
    it(`costs sessions, which clients renew when the server is back after ${how}`, async (t) => {
      const server = await testbed(t);
      const clients = [new Tab(server, { transport: 'websocket' }), new Tab(server, { transport: 'websocket' })];
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
        assert.equal((await whoami(client)).transport, 'websocket');
      }
    });
  }
});
