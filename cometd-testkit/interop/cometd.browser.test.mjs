// cometd.js in a real browser: the package's own files in pages of Chromium, against the testbed.
//
//     TESTBED_COMMAND='../../target/release/examples/testbed' node --test cometd.browser.test.mjs
//
// CHROMIUM is the browser.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Page, Site, launch } from './pages.mjs';
import { tab } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

let chromium;
before(async () => {
  chromium = await launch();
});
after(() => chromium?.close());

/** Cookies and storage of their own; its pages are closed before the server ends. */
async function profile(server) {
  const context = await chromium.newContext();
  server.last(() => context.close());
  return context;
}

/** A page that has loaded; in a profile of its own unless told otherwise. */
async function visit(server, site, { context, ...options } = {}) {
  const page = await Page.open(context ?? (await profile(server)), site, options);
  server.last(() => assert.deepEqual(page.offences, []));
  return page;
}

/** The same, and its client is connected. */
async function open(server, site, options) {
  return (await visit(server, site, options)).connected();
}

/** Somebody who sees who comes and goes. */
async function watch(server) {
  const observer = await tab(server);
  await observer.subscribe('/events');
  return observer;
}

/** Whatever was to come on this page's session has come when this is over: events leave in order. */
async function settle(observer, page) {
  const already = page.data('/settle').length;
  await observer.publish('/service/deliver', { sessionId: page.id, channel: '/settle', data: 'settled' });
  await until(() => page.data('/settle').length > already, 'settled');
}

/** Messages from each page to all of them. */
async function converse(pages, channel) {
  const said = [];
  for (const [n, page] of pages.entries()) {
    said.push({ text: `${n}: ping – 你好 👋 </script>` });
    assert.equal(await page.publish(channel, said.at(-1)), true);
    for (const reader of pages) assert.deepEqual(await reader.reach(channel, said.length), said);
  }
}

describe('transport', () => {
  it('is a WebSocket if upgrades work', async (t) => {
    const server = await testbed(t);
    const site = await Site.open(t, server);
    const pages = [await open(server, site, { channels: ['/chat'] }), await open(server, site, { channels: ['/chat'] })];
    for (const page of pages) {
      assert.deepEqual(page.registered, [['websocket', 'long-polling', 'callback-polling']]);
      assert.deepEqual(page.sent[0].supportedConnectionTypes, page.registered[0]);
      assert.deepEqual(new Set(page.on('/meta/handshake')[0].supportedConnectionTypes), new Set(page.registered[0]));
      assert.equal(await page.transport(), 'websocket');
      assert.deepEqual(await page.whoami(), { sessionId: page.id, transport: 'websocket', subscriptions: ['/chat'] });
      const results = await Promise.all(numbers(10).map((n) => page.call('echo', { n })));
      assert.deepEqual(results, numbers(10).map((n) => ({ n })));
    }
    await converse(pages, '/chat');
    for (const page of pages) {
      assert.equal(await page.disconnect(), true);
      await page.status('disconnected');
      await until(() => page.sockets[0].isClosed(), 'closed');
      assert.equal(page.sockets.length, 1);
    }
    assert.deepEqual(site.upgrades.map(({ method, path, status }) => `${method} ${path} ${status}`), ['GET /cometd 101', 'GET /cometd 101']);
    assert.deepEqual(site.others, [], 'nothing went by other ways');
  });

  for (const refusal of [400, 403]) {
    it(`is long-polling if upgrades are answered with ${refusal}`, async (t) => {
      const server = await testbed(t);
      const site = await Site.open(t, server);
      site.refusal = refusal;
      const pages = [await open(server, site, { channels: ['/chat'] }), await open(server, site, { channels: ['/chat'] })];
      for (const page of pages) {
        assert.equal(await page.transport(), 'long-polling');
        assert.equal((await page.whoami()).transport, 'long-polling');
        assert.deepEqual(await page.call('echo', { a: 1 }), { a: 1 });
        assert.deepEqual(page.failed.map(({ channel }) => channel), ['/meta/handshake'], 'only the first attempt');
      }
      await converse(pages, '/chat');
      for (const page of pages) assert.equal(await page.disconnect(), true);
      assert.equal(site.upgrades.length, 2, 'no page tries again');
      await until(() => site.others.every((request) => request === 'POST 200'), 'all are answered');
    });
  }
});

describe('page of another origin', () => {
  it('uses long-polling with credentials if its origin is listed', async (t) => {
    const site = await Site.open(t);
    const server = await testbed(t, '--allow-origin', site.origin);
    const gate = await Site.open(t, server);
    const transports = ['long-polling'];
    const [one, other] = [
      await open(server, site, { url: gate.url, transports, channels: ['/chat'] }),
      await open(server, site, { url: gate.url, transports, channels: ['/chat'] }),
    ];
    await converse([one, other], '/chat');
    assert.equal(await one.call('echo', 1), 1);
    assert.equal((await one.whoami()).transport, 'long-polling');

    const preflights = gate.requests.filter(({ method }) => method === 'OPTIONS');
    assert.ok(preflights.length > 0);
    for (const { headers, status, answer } of preflights) {
      assert.deepEqual([headers.origin, headers['access-control-request-method'], headers.cookie], [site.origin, 'POST', undefined]);
      assert.ok(status === 200 || status === 204, `status ${status}`);
      assert.deepEqual([answer['access-control-allow-origin'], answer['access-control-allow-credentials']], [site.origin, 'true']);
    }
    const posts = gate.requests.filter(({ method, status }) => method === 'POST' && status);
    assert.equal(preflights.length + posts.length + [one, other].length, gate.requests.length, 'all but the held ones are answered');
    for (const { headers, status, answer } of posts) {
      assert.deepEqual([headers.origin, status], [site.origin, 200]);
      assert.deepEqual([answer['access-control-allow-origin'], answer['access-control-allow-credentials']], [site.origin, 'true']);
    }
    // The browser keeps the cookie that comes with the session, and sends it with everything else.
    for (const page of [one, other]) {
      const [cookie, ...more] = await page.page.context().cookies(gate.url);
      assert.deepEqual([cookie.httpOnly, more], [true, []]);
      const sent = posts.filter(({ headers }) => headers.cookie === `${cookie.name}=${cookie.value}`);
      assert.ok(sent.length >= 4, `${sent.length} requests with the cookie`);
    }
    assert.equal(posts.filter(({ headers }) => !headers.cookie).length, 2, 'the handshakes');
  });

  it('uses a WebSocket if its origin is listed', async (t) => {
    const site = await Site.open(t);
    const server = await testbed(t, '--allow-origin', 'http://elsewhere.example', '--allow-origin', site.origin);
    const gate = await Site.open(t, server);
    const pages = [];
    for (const _ of numbers(2)) pages.push(await open(server, site, { url: gate.url, channels: ['/chat'] }));
    for (const page of pages) assert.equal((await page.whoami()).transport, 'websocket');
    await converse(pages, '/chat');
    assert.deepEqual(gate.upgrades.map(({ headers, status }) => [headers.origin, status]), [[site.origin, 101], [site.origin, 101]]);
    assert.deepEqual(gate.others, []);
  });

  it('gets no WebSocket if its origin is not listed', async (t) => {
    const [site, listed] = [await Site.open(t), await Site.open(t)];
    const server = await testbed(t, '--allow-origin', listed.origin);
    const gate = await Site.open(t, server);
    const observer = await watch(server);
    const page = await visit(server, site, { url: gate.url, transports: ['websocket'] });
    await until(() => page.failed.length > 0, 'refused');
    await page.status('disconnected');
    assert.deepEqual(page.failed.map(({ channel }) => channel), ['/meta/handshake']);
    assert.deepEqual(gate.requests.map(({ method, status }) => `${method} ${status}`), ['GET 403']);
    await observer.publish('/elsewhere', 0);
    assert.deepEqual(observer.data('/events'), []);
    // Others are not concerned.
    const other = await open(server, listed, { url: gate.url, transports: ['websocket'] });
    assert.equal(await other.call('echo', 1), 1);
  });

  it('gets nothing by long-polling if its origin is not listed', async (t) => {
    const [site, listed] = [await Site.open(t), await Site.open(t)];
    const server = await testbed(t, '--allow-origin', listed.origin);
    const gate = await Site.open(t, server);
    const observer = await watch(server);
    const page = await visit(server, site, { url: gate.url, transports: ['long-polling'] });
    await until(() => page.failed.length > 0, 'refused');
    await page.status('disconnected');
    assert.deepEqual(page.received, []);
    assert.deepEqual(gate.requests.map(({ method }) => method), ['OPTIONS'], 'the browser does not even ask');
    assert.equal('access-control-allow-origin' in gate.requests[0].answer, false);
    await observer.publish('/elsewhere', 0);
    assert.deepEqual(observer.data('/events'), []);
  });

  it('falls back until it comes to what needs no permission', async (t) => {
    const site = await Site.open(t);
    const server = await testbed(t);
    const gate = await Site.open(t, server);
    const page = await open(server, site, { url: gate.url, channels: ['/chat'] });
    assert.equal(await page.transport(), 'callback-polling');
    assert.equal((await page.whoami()).transport, 'callback-polling');
    assert.deepEqual(page.failed.map(({ channel }) => channel), ['/meta/handshake', '/meta/handshake']);
    await converse([page], '/chat');
    assert.deepEqual(gate.upgrades.map(({ status }) => status), [403]);
  });

  it('does everything by JSONP, too', async (t) => {
    const site = await Site.open(t);
    const server = await testbed(t);
    const gate = await Site.open(t, server);
    const observer = await watch(server);
    const transports = ['callback-polling'];
    const pages = [];
    for (const _ of numbers(2)) pages.push(await open(server, site, { url: gate.url, transports, channels: ['/chat'] }));
    for (const page of pages) {
      assert.deepEqual(await page.whoami(), { sessionId: page.id, transport: 'callback-polling', subscriptions: ['/chat'] });
      assert.deepEqual(await page.call('echo', { a: '\u2028\u2029"\\' }), { a: '\u2028\u2029"\\' });
    }
    await converse(pages, '/chat');
    // A message for a page whose connect is held.
    await observer.publish('/chat', 'out of the blue');
    for (const page of pages) assert.equal((await page.reach('/chat', 3))[2], 'out of the blue');
    for (const page of pages) {
      assert.equal(await page.disconnect(), true);
      await page.status('disconnected');
    }
    const events = ['added', 'added', 'removed', 'removed'].map((type, n) => ({ type, sessionId: pages[n % 2].id }));
    assert.deepEqual(await observer.reach('/events', 4), events);
    await until(() => gate.busy === 0, 'held connects are answered');
    assert.ok(gate.requests.every(({ method, headers, status }) => method === 'GET' && !headers.origin && status === 200));
    // Nothing of it is left in the page.
    for (const { page } of pages) {
      await page.waitForFunction(() => !document.querySelector('script[src]'), undefined, { polling: 10 });
      assert.deepEqual(await page.evaluate(() => Object.keys(window).filter((name) => name.startsWith('_cometd'))), []);
    }
  });
});

describe('page that is reloaded', () => {
  for (const [transport, leave] of [
    ['websocket', 'beforeunload'],
    ['websocket', 'pagehide'],
    ['long-polling', 'beforeunload'],
    ['long-polling', 'pagehide'],
  ]) {
    it(`goes on with its session over ${transport} if it has saved it on ${leave}`, async (t) => {
      const server = await testbed(t);
      const site = await Site.open(t, server);
      const page = await open(server, site, { transports: [transport], channels: ['/news'], leave });
      const observer = await watch(server);
      const { id } = page;
      await observer.publish('/news', 'before');
      assert.deepEqual(await page.reach('/news', 1), ['before']);
      await until(() => page.waits);

      const release = site.hold();
      const reloaded = page.page.reload();
      await until(() => site.waiting > 0 && site.busy === 0, 'the page is gone, and the server knows');
      const already = page.received.length;
      const sent = page.sent.length;
      for (const n of numbers(3)) await observer.publish('/news', n);
      release();
      await reloaded;
      assert.deepEqual(await page.reach('/news', 4), ['before', 0, 1, 2], 'what was published in between has waited');
      const [handshake] = page.received.slice(already);
      assert.deepEqual([handshake.channel, handshake.clientId, handshake.ext], ['/meta/handshake', id, { reload: true }]);
      assert.equal(page.registered.length, 2);
      await observer.publish('/news', 'after');
      await page.reach('/news', 5);
      await settle(observer, page);
      assert.deepEqual(page.heardOn('/news'), ['before', 0, 1, 2, 'after']);
      assert.equal(await page.call('echo', 1), 1);
      assert.deepEqual(await page.whoami(), { sessionId: id, transport, subscriptions: ['/news'] });
      assert.equal(await page.transport(), transport);
      assert.ok(page.sent.slice(sent).every(({ channel, clientId }) => channel !== '/meta/handshake' && clientId === id));
      assert.deepEqual(observer.data('/events'), [], 'nobody has noticed');
    });
  }

  it('begins another session if it has saved nothing', async (t) => {
    const server = await testbed(t);
    const site = await Site.open(t, server);
    const page = await open(server, site, { channels: ['/news'] });
    const observer = await watch(server);
    const { id } = page;
    await page.page.reload();
    await until(() => page.id !== id, 'another session');
    assert.deepEqual(await observer.reach('/events', 1), [{ type: 'added', sessionId: page.id }]);
  });
});

describe('WebSocket of a page', () => {
  it('is replaced when it is cut in the middle of a stream', async (t) => {
    const server = await testbed(t);
    const site = await Site.open(t, server);
    const page = await open(server, site, { channels: ['/numbers'] });
    const publisher = await tab(server, { transport: 'websocket' });
    const observer = await watch(server);
    const { id } = page;
    let [count, going] = [0, true];
    const publishing = (async () => {
      while (going) assert.equal((await publisher.publish('/numbers', count++)).successful, true);
    })();
    server.last(() => {
      going = false;
      return publishing;
    });
    for (const round of numbers(4)) {
      await page.reach('/numbers', page.heardOn('/numbers').length + 30);
      await until(() => page.waits);
      const returned = page.back();
      site.cut();
      await returned;
      assert.equal(page.sockets.length, round + 2);
      const from = count;
      await until(() => page.heardOn('/numbers').at(-1) > from + 20, 'the stream goes on');
      const behind = page.heardOn('/numbers').filter((number) => number >= from);
      assert.deepEqual(behind, numbers(behind.length).map((n) => from + n), 'nothing is missing from then on');
    }
    going = false;
    await publishing;
    await settle(observer, page);
    const heard = page.heardOn('/numbers');
    assert.ok(heard.every((number, n) => n === 0 || number > heard[n - 1]), 'in order, and nothing twice');
    assert.equal(heard.at(-1), count - 1);
    assert.deepEqual(await page.whoami(), { sessionId: id, transport: 'websocket', subscriptions: ['/numbers'] });
    assert.equal(page.on('/meta/handshake').length, 1);
    assert.deepEqual(observer.data('/events'), []);
    assert.deepEqual(site.others, []);
  });

  for (const [how, stop] of [['a clean end', 'stop'], ['a crash', 'kill']]) {
    it(`is replaced by one of another session when the server is back after ${how}`, async (t) => {
      const server = await testbed(t);
      const site = await Site.open(t, server);
      const pages = [await open(server, site, { channels: ['/news'] }), await open(server, site, { channels: ['/news'] })];
      const [one, other] = pages;
      const ids = pages.map(({ id }) => id);
      await one.publish('/news', 'before');
      await other.reach('/news', 1);
      await server[stop]();
      await until(() => pages.every(({ sockets }) => sockets[0].isClosed()), 'closed');
      await server.start();
      for (const page of pages) {
        await until(() => page.on('/meta/subscribe').length === 2, 'subscribed again', 10_000);
        assert.ok(!ids.includes(page.id));
      }
      await one.publish('/news', 'after');
      for (const page of pages) {
        assert.deepEqual(await page.reach('/news', 2), ['before', 'after']);
        assert.equal(await page.call('echo', 1), 1);
        assert.equal((await page.whoami()).transport, 'websocket');
      }
      assert.deepEqual(site.others, [], 'no page has fallen back');
    });
  }

  it('is used no longer when the server ends the session', async (t) => {
    const server = await testbed(t);
    const site = await Site.open(t, server);
    const page = await open(server, site);
    const observer = await watch(server);
    const { id } = page;
    await page.run(() => client.publish('/service/disconnect', {}));
    await page.status('disconnected');
    await until(() => page.on('/meta/disconnect').length > 0);
    assert.deepEqual(page.on('/meta/disconnect').map(({ successful, id }) => ({ successful, id })), [{ successful: true, id: undefined }]);
    assert.deepEqual(await observer.reach('/events', 1), [{ type: 'removed', sessionId: id }]);
    // Nor does the client come back by itself: back-off would take it a tenth of a second.
    await observer.publish('/service/delayed-echo', { delay: 500, value: 'later' });
    await page.status('disconnected');
    assert.deepEqual([page.sockets.length, site.requests.length, page.on('/meta/handshake').length], [1, 1, 1]);
    assert.equal(observer.data('/events').length, 1);
    // It does when it is asked to.
    await page.run(() => client.handshake());
    await until(() => page.id !== id && page.waits, 'another session');
    assert.equal(await page.call('echo', 1), 1);
    assert.deepEqual((await observer.reach('/events', 2))[1], { type: 'added', sessionId: page.id });
  });
});

describe('tab', () => {
  for (const transport of ['websocket', 'long-polling']) {
    it(`that is closed without goodbye costs its session over ${transport}`, async (t) => {
      const server = await testbed(t, '--max-interval', 1_000, '--sweep', 50);
      const site = await Site.open(t, server);
      const page = await open(server, site, { transports: [transport] });
      const observer = await watch(server);
      const { id } = page;
      await page.page.close();
      const closed = Date.now();
      await until(() => site.busy === 0, 'the server knows');
      assert.deepEqual(await observer.reach('/events', 1), [{ type: 'expired', sessionId: id }]);
      const expired = observer.on('/events')[0].at - closed;
      assert.ok(expired >= 900 && expired < 2_500, `expired after ${expired} ms`);
      assert.ok(page.sent.every(({ channel }) => channel !== '/meta/disconnect'));
    });
  }

  it('is not told to poll over WebSocket because of another one', async (t) => {
    const server = await testbed(t, '--timeout', 500, '--multi-session-interval', 100);
    const site = await Site.open(t, server);
    const context = await profile(server);
    // Only over HTTP does a browser get its cookie, which it sends with its upgrades, too.
    const polling = await open(server, site, { context, transports: ['long-polling'] });
    const pages = [await open(server, site, { context }), await open(server, site, { context })];
    const [{ name, value }] = await context.cookies();
    assert.deepEqual(site.upgrades.map(({ headers }) => headers.cookie), numbers(2).map(() => `${name}=${value}`));
    for (const page of [polling, ...pages]) {
      await until(() => page.on('/meta/connect').length >= 4);
      const replies = page.on('/meta/connect');
      assert.ok(replies.every(({ successful, advice }) => successful && !advice?.['multiple-clients'] && !advice?.interval));
      replies.slice(1).forEach(({ at }, n) => {
        const held = at - replies[n].at;
        assert.ok(held >= 490 && held < 1_000, `held for ${held} ms`);
      });
    }
  });

  it('is told to poll over long-polling while another one is held', async (t) => {
    // Longer than it takes until the first tab is closed: between two of its connects its place is anybody's.
    const server = await testbed(t, '--multi-session-interval', 300, '--timeout', 3_000);
    const site = await Site.open(t, server);
    const context = await profile(server);
    const options = { context, transports: ['long-polling'], channels: ['/news'] };
    const first = await open(server, site, options);
    const second = await visit(server, site, options);
    await until(() => second.on('/meta/connect').length >= 3, 'polls');
    const replies = second.on('/meta/connect');
    assert.deepEqual([replies[0].successful, replies[0].advice['multiple-clients'], replies[0].advice.interval], [true, true, 300]);
    replies.slice(1).forEach(({ at }, n) => {
      const pause = at - replies[n].at;
      assert.ok(pause >= 290, `comes back after ${pause} ms`);
    });
    assert.ok(first.on('/meta/connect').every(({ advice }) => !advice?.['multiple-clients']));
    await first.publish('/news', 'to the tab that polls');
    assert.deepEqual(await second.reach('/news', 1), ['to the tab that polls']);
    // The place is free when the first tab is closed, and the advice to poll is taken back.
    await first.page.close();
    await until(() => second.on('/meta/connect').at(-1).advice?.interval === 0, 'told to stop polling');
    assert.equal('multiple-clients' in second.on('/meta/connect').at(-1).advice, false);
    await second.connected();
    assert.equal(await second.call('echo', 1), 1);
  });
});
