// The chat example in a real browser: Chromium against the example's own page and server.
//
//     CHAT_COMMAND='../../target/release/examples/chat' node --test chat.browser.test.mjs
//
// CHAT_COMMAND is the program, perhaps with arguments, that gets `--max-sessions-per-browser 1 --listen 127.0.0.1:PORT` appended. CHROMIUM
// is the browser. Screenshots of phone and desktop, light and dark, are left in ./out/.
//
// Pages use WebSocket, unless a test takes it away from them: `POLLING` does, and so do proxies.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { Proxy } from './proxy.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const OUT = path.join(HERE, 'out');
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const DESKTOP = { viewport: { width: 1280, height: 800 } };
/** A browser that knows no WebSocket. */
const POLLING = { ...DESKTOP, polling: true };
/** An event takes milliseconds; one that a polling tab fetches takes up to its interval of two seconds. */
const SOON = 5_000;
/** Back-off, handshake and subscriptions after a restart. */
const RECOVERY = 20_000;
const WORDS = (process.env.CHAT_COMMAND ?? '../../target/release/examples/chat').trim().split(/\s+/);
// A path is meant relative to this file; a bare word is looked up in PATH.
const PROGRAM = WORDS[0].includes('/') ? path.resolve(HERE, WORDS[0]) : WORDS[0];

let port;
let server = null;
let browser;
let contexts = [];
let proxies = [];
/** What a page must not do at all: throw, offend its content security policy, open a dialog. */
let offences = [];

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port: free } = probe.address();
  probe.close();
  await once(probe, 'close');
  return free;
}

async function startServer() {
  const child = spawn(PROGRAM, [...WORDS.slice(1), '--max-sessions-per-browser', '1', '--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'inherit', 'inherit'] });
  server = child;
  let failure = null;
  child.on('error', (error) => (failure = error));
  child.on('exit', (code) => (failure ??= new Error(`the server ended with ${code}`)));
  for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(50)) {
    if (failure) throw failure;
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
  }
  throw new Error('the server does not answer');
}

async function killServer() {
  const child = server;
  server = null;
  if (!child || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

// A test run that is itself ended must not leave the server behind.
process.on('exit', () => server?.kill('SIGKILL'));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

async function newContext({ polling = false, ...options } = DESKTOP) {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  if (polling) await context.addInitScript('delete window.WebSocket');
  contexts.push(context);
  return context;
}

async function newProxy(upgrades = 'pass') {
  const proxy = await Proxy.before(port);
  proxies.push(proxy);
  proxy.upgrades = upgrades;
  return proxy;
}

async function newPage(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(SOON);
  page.on('pageerror', (error) => offences.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    offences.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) offences.push(message.text());
  });
  return page;
}

async function signIn(page, name, hash = '', at = port) {
  await page.goto(`http://127.0.0.1:${at}/${hash}`);
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
}

/** A page in the chat; `proxy` is what it reaches the server through. */
async function join(name, { context, options, hash, proxy } = {}) {
  const page = await newPage(context ?? (await newContext(options)));
  const traffic = recorded(page);
  await signIn(page, name, hash, proxy?.port);
  await page.locator('#composer').waitFor({ timeout: RECOVERY });
  await connected(page);
  return Object.assign(page, { traffic });
}

/** What the page says to the server, by kind: requests, sockets, and the messages of these. */
function recorded(page) {
  const traffic = { posts: [], sockets: [], sent: [], received: [] };
  page.on('request', (it) => it.method() === 'POST' && traffic.posts.push(new URL(it.url()).pathname));
  page.on('websocket', (socket) => {
    traffic.sockets.push(socket.url());
    socket.on('framesent', ({ payload }) => traffic.sent.push(...JSON.parse(payload)));
    socket.on('framereceived', ({ payload }) => traffic.received.push(...JSON.parse(payload)));
  });
  return traffic;
}

const on = (messages, channel) => messages.filter((message) => message.channel === channel);
/** Connects that the server may hold, each of which means that the page has nothing else to do. */
const held = ({ traffic }) => on(traffic.sent, '/meta/connect').filter(({ advice }) => advice?.timeout !== 0);

const connected = (page, timeout = SOON) => page.locator('body[data-state="connected"]').waitFor({ timeout });
const transport = (page) => page.locator('body').getAttribute('data-transport');
const reconnecting = (page, timeout = SOON) => page.locator('body[data-state="reconnecting"]').waitFor({ timeout });

async function say(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
}

/** The visible log, without what still waits to be sent. */
const log = (page) => page.locator('.scroll:visible .entries');
const line = (page, text) => log(page).locator('.message .text').getByText(text, { exact: true });
const systemLine = (page, text) => log(page).locator('.system').filter({ hasText: text });
const outbox = (page) => page.locator('.scroll:visible .outbox .message');

async function sees(page, text, timeout = SOON) {
  await line(page, text).waitFor({ timeout });
  assert.equal(await line(page, text).count(), 1, `"${text}" is there once`);
}

async function until(what, condition, timeout = SOON) {
  for (const deadline = Date.now() + timeout; Date.now() < deadline; await sleep(50)) if (await condition()) return;
  assert.fail(`not within ${timeout} ms: ${what}`);
}

const members = async (page) => page.locator('#member-list .name').allTextContents();
const shot = (page, name) => page.screenshot({ path: path.join(OUT, `${name}.png`) });

describe('chat example', { timeout: 300_000 }, () => {
  before(async () => {
    mkdirSync(OUT, { recursive: true });
    if (PROGRAM.includes('/')) assert.ok(existsSync(PROGRAM), `${PROGRAM} does not exist: build it or set CHAT_COMMAND`);
    port = await freePort();
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
    });
  });

  after(async () => {
    await browser?.close();
    await killServer();
  });

  // Each test has a server of its own, so that names, rooms and history are fresh.
  beforeEach(async () => {
    offences = [];
    await startServer();
  });

  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
    await killServer();
    assert.deepEqual(offences, []);
  });

  it('serves the page under a strict content security policy', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    assert.match(answer.headers.get('content-type'), /^text\/html/);
    assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'self'/);
    await answer.arrayBuffer();
  });

  it('tells Prometheus what happens', async () => {
    const figures = async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
      assert.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
      const samples = (await answer.text()).split('\n').filter((line) => /^[^#]/.test(line));
      return new Map(samples.map((line) => [line.replace(/ \S+$/, ''), Number(line.match(/\S+$/)[0])]));
    };
    const held = 'bayeux_sessions{transport="websocket",state="held"}';
    assert.equal((await figures()).get(held), 0);
    const ann = await join('Ann');
    await join('Bob');
    await say(ann, 'counted');
    await until('both are held', async () => (await figures()).get(held) === 2);
    // What was queued a moment ago may still be on its way out.
    let now;
    await until('each event that was queued has left', async () => {
      now = await figures();
      return now.get('bayeux_delivery_seconds_count') === now.get('bayeux_events_queued_total');
    });
    assert.equal(now.get('bayeux_sessions_added_total'), 2);
    assert.ok(now.get('bayeux_events_sent_total') >= 2);
  });

  for (const [kind, options] of [['websocket', DESKTOP], ['long-polling', POLLING]]) {
    it(`lets two browsers chat over ${kind}, and shows who joins and leaves`, async () => {
      const ann = await join('Ann', { options });
      const bob = await join('Bob', { options });
      assert.deepEqual([await transport(ann), await transport(bob)], [kind, kind]);
      await systemLine(ann, 'Bob joined').waitFor();
      await until('both see both', async () => `${await members(ann)}` === 'Ann,Bob' && `${await members(bob)}` === 'Ann,Bob');

      await say(ann, 'Good morning');
      await sees(bob, 'Good morning');
      await sees(ann, 'Good morning');
      await say(bob, 'two\nlines');
      await sees(ann, 'two\nlines');
      assert.equal(await outbox(ann).count(), 0);

      // A tab that goes says so itself: nobody waits for its session to expire.
      await bob.goto('about:blank');
      await systemLine(ann, 'Bob left').waitFor();
      await until('Ann is alone', async () => `${await members(ann)}` === 'Ann');
    });

    it(`survives a restart of the server over ${kind}`, async () => {
      const ann = await join('Ann', { options });
      const bob = await join('Bob', { options });
      await say(ann, 'before');
      await sees(bob, 'before');

      await killServer();
      await Promise.all([reconnecting(ann), reconnecting(bob)]);
      assert.equal(await ann.locator('#status').textContent(), 'Reconnecting…');
      await say(ann, 'meanwhile');
      await outbox(ann).getByText('Waiting for the connection').waitFor();
      await bob.getByLabel('Message', { exact: true }).fill('half a sent');
      await shot(ann, `reconnecting-${kind}`);

      await startServer();
      await Promise.all([connected(ann, RECOVERY), connected(bob, RECOVERY)]);
      await sees(ann, 'meanwhile');
      assert.equal(await outbox(ann).count(), 0);
      assert.equal(await bob.getByLabel('Message', { exact: true }).inputValue(), 'half a sent');
      await sees(bob, 'meanwhile');
      await until('both are members again', async () => `${await members(ann)}` === 'Ann,Bob' && `${await members(bob)}` === 'Ann,Bob');
      await say(bob, 'after');
      await sees(ann, 'after');
      await sees(ann, 'before');
      // A server that is down is no reason to give WebSocket up.
      assert.deepEqual([await transport(ann), await transport(bob)], [kind, kind]);
    });
  }

  it('holds the connects of two tabs of one browser, over a socket each', async () => {
    const context = await newContext();
    const ann = await join('Ann', { context });
    const bob = await join('Bob', { context });
    await until('both are held', () => held(ann).length > 0 && held(bob).length > 0);
    await say(ann, 'from Ann');
    await sees(bob, 'from Ann');
    await say(bob, 'from Bob');
    await sees(ann, 'from Bob');
    for (const page of [ann, bob]) {
      assert.equal(await page.locator('#status').textContent(), 'Connected');
      assert.equal(held(page).length, 1, 'no event ends the connect');
      assert.equal(page.traffic.received.some(({ advice }) => advice?.['multiple-clients']), false);
    }
  });

  it('works with two tabs of one browser that poll', async () => {
    const context = await newContext(POLLING);
    const ann = await join('Ann', { context });
    const bob = await join('Bob', { context });
    for (const turn of [1, 2, 3]) {
      await say(ann, `from Ann ${turn}`);
      await sees(bob, `from Ann ${turn}`);
      await say(bob, `from Bob ${turn}`);
      await sees(ann, `from Bob ${turn}`);
    }
    // Whichever tab had to poll takes the connect over when the other one goes.
    await ann.close({ runBeforeUnload: false });
    await until('Bob is no longer told to poll', async () => (await bob.locator('#status').textContent()) === 'Connected', 60_000);
  });

  it('delivers the history once, before what is new', async () => {
    const ann = await join('Ann');
    for (const text of ['first', 'second', 'third']) await say(ann, text);
    await sees(ann, 'third');
    const bob = await join('Bob');
    await sees(bob, 'third');
    await say(ann, 'fourth');
    await sees(bob, 'fourth');
    assert.deepEqual(await log(bob).locator('.message .text').allTextContents(), ['first', 'second', 'third', 'fourth']);

    await bob.reload();
    await connected(bob);
    await sees(bob, 'fourth');
    assert.deepEqual(await log(bob).locator('.message .text').allTextContents(), ['first', 'second', 'third', 'fourth']);
  });

  it('keeps rooms apart, and lets one leave them', async () => {
    const ann = await join('Ann');
    const bob = await join('Bob', { hash: '#den' });
    await ann.getByLabel('Name of another room').fill('den');
    await ann.keyboard.press('Enter');
    await systemLine(bob, 'Ann joined').waitFor();
    await say(ann, 'in the den');
    await sees(bob, 'in the den');

    await ann.locator('#rooms').getByText('lobby', { exact: true }).click();
    assert.equal(await line(ann, 'in the den').count(), 0);
    await say(bob, 'anybody?');
    await ann.locator('#rooms .badge').getByText('1', { exact: true }).waitFor();
    await ann.locator('#rooms').getByText('den', { exact: true }).click();
    await sees(ann, 'anybody?');
    await ann.getByRole('button', { name: 'Leave den' }).click();
    await systemLine(bob, 'Ann left').waitFor();
    await until('Bob is alone in the den', async () => `${await members(bob)}` === 'Bob');
  });

  it('carries private messages to the two ends only', async () => {
    const [ann, bob, eve] = [await join('Ann'), await join('Bob'), await join('Eve')];
    await ann.locator('#member-list').getByRole('button', { name: 'Bob' }).click();
    await ann.locator('#privacy').getByText('only you and Bob').waitFor();
    await say(ann, 'psst');
    await sees(ann, 'psst');
    await bob.locator('#privates').getByRole('button', { name: 'Ann' }).click();
    await sees(bob, 'psst');
    await say(bob, 'yes?');
    await sees(ann, 'yes?');
    assert.equal(await eve.getByText('psst').count(), 0);
    assert.equal(await eve.locator('#privates .name').count(), 0);

    await bob.getByRole('button', { name: 'Sign out' }).click();
    await ann.locator('#rooms').getByText('lobby', { exact: true }).click();
    await systemLine(ann, 'Bob left').waitFor();
    await ann.locator('#privates').getByRole('button', { name: 'Bob' }).click();
    await say(ann, 'still there?');
    await outbox(ann).getByText('Bob is not here').waitFor();
    await outbox(ann).getByRole('button', { name: 'Discard' }).click();
    assert.equal(await outbox(ann).count(), 0);
  });

  it('treats markup in messages and names as text', async () => {
    const ann = await join('Ann');
    const bob = await join('Bob', { options: POLLING });
    for (const text of ['<img src=x onerror="alert(1)">', '<script>alert(2)</script>', '<b>bold</b> & &amp;', '</li></ol><h1>out</h1>']) {
      await say(ann, text);
      await sees(bob, text);
    }
    assert.equal(await bob.locator('.entries :is(img, script, b, h1)').count(), 0);

    // Such names the server refuses; the page must not rely on it.
    const mallory = await newPage(await newContext());
    await signIn(mallory, '<i>Mallory</i>');
    await mallory.locator('#login-error').getByText('does not accept this name').waitFor();
    await bob.route('**/cometd/connect', async (route) => {
      const answer = await route.fetch();
      const messages = await answer.json();
      messages.unshift(
        { channel: '/members/lobby', data: { room: 'lobby', joined: '<i>x</i>' } },
        { channel: '/chat/lobby', data: { id: 9_000, user: '<i>x</i>', text: '<u>y</u>', time: Date.now() } },
      );
      await route.fulfill({ json: messages }).catch(() => {});
    }, { times: 1 });
    await say(ann, 'wakes the connect');
    await say(ann, 'and the next one');
    await sees(bob, '<u>y</u>');
    assert.equal(await bob.locator('#app :is(i, u)').count(), 0);
    await bob.unrouteAll({ behavior: 'ignoreErrors' });
  });

  it('denies a name that is taken, in words', async () => {
    await join('Ann');
    const other = await newPage(await newContext());
    await signIn(other, 'Ann');
    await other.locator('#login-error').getByText('is taken').waitFor();
    assert.equal(await other.locator('#app').isVisible(), false);
    await shot(other, 'denied-desktop-light');
    await other.getByLabel('Your name').fill('Anna');
    await other.keyboard.press('Enter');
    await connected(other);
    await until('both are members', async () => `${await members(other)}` === 'Ann,Anna');
  });

  it('gives a name back to the tab that had it', async () => {
    const proxy = await newProxy();
    const ann = await join('Ann', { proxy });
    const bob = await join('Bob', { options: POLLING });
    // As after a crash: the pages go without a disconnect.
    proxy.freeze();
    await bob.route('**/cometd/disconnect', (route) => route.abort());
    for (const page of [ann, bob]) {
      await page.reload();
      await connected(page);
      await until('both are members', async () => `${await members(page)}` === 'Ann,Bob');
    }
  });

  it('marks a message whose request failed, and sends it again on demand', async () => {
    const proxy = await newProxy();
    const ann = await join('Ann', { proxy });
    const bob = await join('Bob', { options: POLLING });
    await until('Ann is idle', () => held(ann).length > 0);
    proxy.cutWhenUsed();
    await bob.route('**/cometd', (route) => route.abort(), { times: 1 });
    for (const [page, other, text] of [[ann, bob, 'stubborn'], [bob, ann, 'also stubborn']]) {
      await say(page, text);
      await outbox(page).getByText('Not sent').waitFor();
      await connected(page, RECOVERY);
      await outbox(page).getByRole('button', { name: 'Retry' }).click();
      await sees(other, text);
      await sees(page, text);
      assert.equal(await outbox(page).count(), 0);
    }
    assert.equal(await transport(ann), 'websocket');
  });

  it('needs one socket, and no request', async () => {
    const ann = await join('Ann');
    await say(ann, 'hello');
    await sees(ann, 'hello');
    await ann.getByRole('button', { name: 'Sign out' }).click();
    await ann.getByLabel('Your name').waitFor();
    const { posts, sockets, sent } = ann.traffic;
    assert.deepEqual([posts, sockets], [[], [`ws://127.0.0.1:${port}/cometd`]]);
    assert.deepEqual(sent[0].supportedConnectionTypes, ['websocket', 'long-polling']);
    assert.equal(on(sent, '/meta/connect').every(({ connectionType }) => connectionType === 'websocket'), true);
    await until('the farewell is sent', () => sent.at(-1).channel === '/meta/disconnect');
    // Signing in again is a beginning.
    await ann.getByRole('button', { name: 'Join', exact: true }).click();
    await connected(ann);
    await say(ann, 'hello again');
    await sees(ann, 'hello again');
    assert.deepEqual([posts.length, sockets.length], [0, 2]);
  });

  for (const upgrades of ['refuse', 'strip', 'swallow']) {
    it(`falls back to long-polling behind a proxy that would ${upgrades} upgrades`, async () => {
      const proxy = await newProxy(upgrades);
      const ann = await join('Ann', { proxy });
      const bob = await join('Bob');
      assert.deepEqual([await transport(ann), await transport(bob)], ['long-polling', 'websocket']);
      for (const turn of [1, 2]) {
        await say(ann, `from Ann ${turn}`);
        await sees(bob, `from Ann ${turn}`);
        await say(bob, `from Bob ${turn}`);
        await sees(ann, `from Bob ${turn}`);
      }
      assert.equal(await ann.locator('#status').textContent(), 'Connected');
      assert.equal(proxy.requests.filter((it) => it.startsWith('UPGRADE')).length, 1, 'once is enough');
      assert.equal(ann.traffic.posts.filter((it) => it === '/cometd/handshake').length, 1);
      assert.equal(await outbox(ann).count(), 0);
      await ann.goto('about:blank');
      await systemLine(bob, 'Ann left').waitFor();
    });
  }

  it('can be cancelled while it looks for a way', async () => {
    const proxy = await newProxy('swallow');
    const ann = await newPage(await newContext());
    const { posts, sent } = recorded(ann);
    await signIn(ann, 'Ann', '', proxy.port);
    await until('a socket is opening', () => proxy.requests.includes('UPGRADE /cometd'));
    await ann.getByRole('button', { name: 'Cancel' }).click();
    proxy.upgrades = 'pass';
    await ann.getByRole('button', { name: 'Join', exact: true }).click();
    await connected(ann);
    assert.deepEqual([await transport(ann), posts.length, on(sent, '/meta/handshake').length], ['websocket', 0, 1]);
  });

  it('takes its leave of a session that it gets after all', async () => {
    const ann = await newPage(await newContext());
    const sent = [];
    let late = null;
    await ann.routeWebSocket('**/cometd', (socket) => {
      const onward = socket.connectToServer();
      socket.onMessage((text) => {
        sent.push(...JSON.parse(text));
        onward.send(text);
      });
      onward.onMessage((text) => (late ??= () => socket.send(text)));
    });
    await signIn(ann, 'Ann');
    await until('the handshake is answered', () => late);
    await ann.getByRole('button', { name: 'Cancel' }).click();
    late();
    await until('the session is ended', () => on(sent, '/meta/disconnect').length === 1);
    // Without that the name would still be taken.
    await join('Ann');
  });

  it('goes on with its session over another socket', async () => {
    const proxy = await newProxy();
    const ann = await join('Ann', { proxy });
    const bob = await join('Bob');
    const said = [];
    const tell = async (text) => {
      await say(bob, text);
      said.push(text);
    };
    for (const turn of [1, 2, 3]) {
      await tell(`before cut ${turn}`);
      await sees(ann, `before cut ${turn}`);
      // A socket that worked once is tried again, even if that fails at first.
      if (turn === 3) proxy.upgrades = 'refuse';
      const count = proxy.requests.length;
      proxy.cut();
      await reconnecting(ann);
      await tell(`during cut ${turn}`);
      if (turn === 3) {
        await until('an upgrade was refused', () => proxy.requests.length > count);
        proxy.upgrades = 'pass';
      }
      await connected(ann, RECOVERY);
      await tell(`after cut ${turn}`);
      await sees(ann, `after cut ${turn}`);
      await say(ann, `from Ann ${turn}`);
      said.push(`from Ann ${turn}`);
      await sees(bob, `from Ann ${turn}`);
    }
    for (const page of [ann, bob]) {
      await until('all is there once, in order', async () => {
        const texts = await log(page).locator('.message .text').allTextContents();
        return JSON.stringify(texts) === JSON.stringify(said);
      });
    }
    const { posts, sockets, sent } = ann.traffic;
    assert.deepEqual([posts.length, sockets.length], [0, 5]);
    assert.equal(on(sent, '/meta/handshake').length, 1);
    assert.equal(new Set(sent.slice(1).map(({ clientId }) => clientId)).size, 1);
    assert.equal(await transport(ann), 'websocket');
    assert.equal(await systemLine(bob, 'Ann').count(), 0, 'nobody noticed');
  });

  it('notices that its socket has died in silence', async () => {
    const proxy = await newProxy();
    const ann = await newPage(await newContext());
    await ann.clock.install();
    Object.assign(ann, { traffic: recorded(ann) });
    await signIn(ann, 'Ann', '', proxy.port);
    await connected(ann);
    const bob = await join('Bob');
    await until('Ann is idle', () => held(ann).length > 0);
    await systemLine(ann, 'Bob joined').waitFor();

    proxy.freeze();
    await say(bob, 'into the void');
    // Longer than the server holds a connect and the client waits for the answer.
    await ann.clock.fastForward(41_000);
    await reconnecting(ann);
    await connected(ann, RECOVERY);
    await say(bob, 'out of it');
    await sees(ann, 'out of it');
    assert.deepEqual([ann.traffic.posts.length, ann.traffic.sockets.length], [0, 2]);
  });

  it('moves on to long-polling when its socket breaks and upgrades stay blocked', async () => {
    const proxy = await newProxy();
    const ann = await join('Ann', { proxy });
    const bob = await join('Bob');
    assert.equal(await transport(ann), 'websocket');
    proxy.upgrades = 'refuse';
    proxy.cut();
    await reconnecting(ann);
    await say(ann, 'meanwhile');
    await until('Ann is connected', async () => {
      // Cuts the pauses between the attempts short.
      await ann.evaluate(() => dispatchEvent(new Event('online')));
      return (await ann.locator('body').getAttribute('data-state')) === 'connected';
    });
    assert.equal(await transport(ann), 'long-polling');
    await sees(bob, 'meanwhile');
    await sees(ann, 'meanwhile');
    await say(bob, 'welcome back');
    await sees(ann, 'welcome back');
    await until('both are members', async () => `${await members(ann)}` === 'Ann,Bob' && `${await members(bob)}` === 'Ann,Bob');
  });

  it('looks right on phone and desktop, in light and dark', async () => {
    const ann = await join('Ann');
    const zoe = await join('Zoë Lindqvist');
    const bob = await join('bob_42');
    await say(bob, 'Does anybody know why my long poll comes back at once?');
    await sees(zoe, 'Does anybody know why my long poll comes back at once?');
    await say(zoe, 'Two tabs in one browser? Then the second one is told to poll every two seconds.');
    await say(zoe, 'It takes over as soon as the first tab is closed.');
    await sees(ann, 'It takes over as soon as the first tab is closed.');
    for (const [size, options] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
      for (const colorScheme of ['light', 'dark']) {
        const suffix = `${size}-${colorScheme}`;
        const page = await newPage(await newContext({ ...options, colorScheme }));
        await page.goto(`http://127.0.0.1:${port}/`);
        await shot(page, `login-${suffix}`);
        await signIn(page, `Mia ${suffix}`);
        await connected(page);
        await say(page, 'Ah, that explains it. Thank you both!');
        await sees(bob, 'Ah, that explains it. Thank you both!').catch(() => {});
        await sees(page, 'It takes over as soon as the first tab is closed.');
        await until('settled', async () => (await outbox(page).count()) === 0);
        await shot(page, `room-${suffix}`);
        // Nothing may stick out sideways.
        const excess = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok((await excess()) <= 0, 'no horizontal scrolling');
        if (size === 'phone') {
          await page.getByRole('button', { name: /^Members/ }).click();
          await sleep(300);
          await shot(page, `members-${suffix}`);
        }
        await page.locator('#member-list').getByRole('button', { name: 'Zoë' }).click();
        await say(page, 'May I ask you something about back-off?');
        await sees(page, 'May I ask you something about back-off?');
        await sleep(300);
        await shot(page, `private-${suffix}`);
        if (size === 'phone') {
          await page.getByRole('button', { name: 'Rooms' }).click();
          await sleep(300);
          await shot(page, `rooms-${suffix}`);
          await page.keyboard.press('Escape');
          assert.equal(await page.getByRole('button', { name: 'Rooms' }).evaluate((node) => node === document.activeElement), true);
        }
        await page.context().close();
      }
    }
  });

  it('can be used with the keyboard alone', async () => {
    const page = await newPage(await newContext());
    await page.goto(`http://127.0.0.1:${port}/`);
    await until('the name has the focus', () => page.getByLabel('Your name').evaluate((node) => node === document.activeElement));
    await page.keyboard.type('Ann');
    await page.keyboard.press('Enter');
    await connected(page);
    await until('the composer has the focus', () => page.locator('#text').evaluate((node) => node === document.activeElement));
    await page.keyboard.type('one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('two');
    await page.keyboard.press('Enter');
    await sees(page, 'one\ntwo');
    assert.equal(await page.locator('.scroll:visible').getAttribute('role'), 'log');
    assert.equal(await page.locator('#status').getAttribute('aria-live'), 'polite');
  });
});
