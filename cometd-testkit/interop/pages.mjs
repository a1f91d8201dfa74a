// cometd.js where it is at home: the package's own files in a page of Chromium.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { chromium } from 'playwright-core';
import { SOON, until, within } from './waiting.mjs';

const PACKAGE = new URL('./node_modules/cometd/', import.meta.url);

/** CHROMIUM is the browser. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}

/** Connects as its fragment says, and lets the test know all about it through `report`. */
const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>cometd.js</title>
<link rel="icon" href="data:,">
<script type="module">
  import { CometD, ReloadExtension } from '/package/cometd.js';

  const news = [];
  let reporting = false;
  async function tell(list, value) {
    news.push([list, value]);
    if (reporting) return;
    reporting = true;
    // A report takes longer than a message; what comes meanwhile goes together.
    while (news.length > 0) await report(news.splice(0));
    reporting = false;
  }

  const { transports, channels, leave, ...config } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  const client = new CometD();
  window.client = client;
  tell('registered', client.getTransportTypes());
  for (const type of client.getTransportTypes()) {
    if (transports && !transports.includes(type)) client.unregisterTransport(type);
  }
  // Registered first, it sees what is sent last: what other extensions leave.
  client.registerExtension('record', {
    incoming: (message) => {
      tell('received', { ...message, at: Date.now() });
      return message;
    },
    outgoing: (message) => {
      tell('sent', { ...message });
      return message;
    },
  });
  client.addListener('/meta/unsuccessful', ({ channel, error }) => tell('failed', { channel, error }));
  client.addListener('/meta/handshake', ({ successful }) => {
    if (!successful) return;
    for (const channel of channels) client.subscribe(channel, ({ channel, data }) => tell('heard', { channel, data }));
  });
  if (leave) {
    client.registerExtension('reload', new ReloadExtension());
    addEventListener(leave, () => client.reload());
  }
  client.configure({ logLevel: 'warn', backoffIncrement: 100, maxBackoff: 500, ...config });
  client.handshake();
</script>
</html>
`;

/** An origin: serves the page and, if there is a server behind it, passes on to that what is meant for it. */
export class Site {
  #target;
  #listener = createServer((incoming, outgoing) => this.#serve(incoming, outgoing));
  #sockets = new Set();
  #tunnels = new Set();
  #gate;
  /** The status that upgrades are answered with; they are passed on if there is none. */
  refusal;
  /** All requests that were meant for the server: those that were answered have a `status` and an `answer`. */
  requests = [];
  /** How many requests and upgraded connections the server has not yet done with. */
  busy = 0;
  /** How many files of the package are being waited for. */
  waiting = 0;

  static async open(t, server) {
    const site = new Site(server);
    site.#listener.listen(0, '127.0.0.1');
    await once(site.#listener, 'listening');
    t.after(() => site.close());
    return site;
  }

  constructor(server) {
    this.#target = server;
    this.#listener.on('connection', (socket) => this.#keep(socket));
    this.#listener.on('upgrade', (incoming, near, head) => this.#upgrade(incoming, near, head));
  }

  get origin() {
    return `http://127.0.0.1:${this.#listener.address().port}`;
  }

  get url() {
    return `${this.origin}/cometd`;
  }

  /** The requests for upgrades. */
  get upgrades() {
    return this.requests.filter(({ upgrade }) => upgrade);
  }

  /** `METHOD status` of all other requests. */
  get others() {
    return this.requests.filter(({ upgrade }) => !upgrade).map(({ method, status }) => `${method} ${status}`);
  }

  /** Keeps the package's files back; a page that is loaded meanwhile does nothing until this is taken back. */
  hold() {
    let release;
    this.#gate = new Promise((resolve) => (release = resolve));
    return release;
  }

  /** Breaks what was upgraded, without a word on either side. */
  cut() {
    for (const [near, far] of this.#tunnels) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  async close() {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #keep(socket) {
    this.#sockets.add(socket);
    // A connection that is reset is closed, too.
    return socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
  }

  #serve(incoming, outgoing) {
    const { pathname } = new URL(incoming.url, this.origin);
    const file = pathname.match(/^\/package\/(\w+\.js)$/)?.[1];
    if (pathname === '/') this.#answer(outgoing, 'text/html', PAGE);
    else if (file) this.#file(outgoing, file);
    else if (this.#target && /^\/cometd(\/|$)/.test(pathname)) this.#forward(incoming, outgoing);
    else outgoing.writeHead(404).end();
  }

  #answer(outgoing, type, content) {
    outgoing.writeHead(200, { 'Content-Type': `${type}; charset=utf-8`, 'Cache-Control': 'no-store' }).end(content);
  }

  async #file(outgoing, file) {
    this.waiting += 1;
    await this.#gate;
    this.waiting -= 1;
    this.#answer(outgoing, 'text/javascript', await readFile(new URL(file, PACKAGE)));
  }

  /** A request to the server that is the same as the one that came, on a connection of its own. */
  #pass({ method, url, headers }, upgrade) {
    const entry = { method, path: url, headers, upgrade };
    this.requests.push(entry);
    this.busy += 1;
    const onward = request({ host: '127.0.0.1', port: this.#target.port, agent: false, method, path: url, headers });
    onward.on('socket', (socket) => this.#keep(socket).on('close', () => (this.busy -= 1)));
    const note = (answer) => Object.assign(entry, { status: answer.statusCode, answer: answer.headers });
    return onward.on('response', note).on('upgrade', note);
  }

  #forward(incoming, outgoing) {
    const onward = this.#pass(incoming, false);
    onward.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    // Whoever gives up waits no longer, but the server has not done with the request until it ends its side, too.
    outgoing.on('close', () => onward.socket?.end());
    incoming.pipe(onward);
  }

  #upgrade(incoming, near, head) {
    if (this.refusal) {
      const { method, url, headers } = incoming;
      this.requests.push({ method, path: url, headers, upgrade: true, status: this.refusal });
      near.end(`HTTP/1.1 ${this.refusal} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    const onward = this.#pass(incoming, true);
    const answered = (answer) => {
      const lines = answer.rawHeaders.map((text, n) => text + (n % 2 === 0 ? ': ' : '\r\n'));
      near.write(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n${lines.join('')}\r\n`);
    };
    onward.on('response', (answer) => {
      answered(answer);
      answer.pipe(near);
    });
    onward.on('upgrade', (answer, far, rest) => {
      answered(answer);
      near.write(rest);
      far.write(head);
      const tunnel = [near, far];
      this.#tunnels.add(tunnel);
      near.pipe(far).pipe(near);
      near.on('close', () => far.end());
      far.on('close', () => {
        this.#tunnels.delete(tunnel);
        near.destroy();
      });
    });
    onward.on('error', () => near.destroy());
    onward.end();
  }
}

/** A page with a client, in a tab of the browser context. */
export class Page {
  /** Every message from the server, in the order of arrival; each with a time. */
  received = [];
  /** Every message to the server. */
  sent = [];
  /** What the listeners of subscriptions were called with. */
  heard = [];
  /** What was not successful. */
  failed = [];
  /** The transports that a new client has, in its order; a list for each time that the page was loaded. */
  registered = [];
  /** The WebSockets that it has opened. */
  sockets = [];
  /** What a page must not do at all: throw, or open a dialog. */
  offences = [];

  /**
   * Options are those of the client, and
   * - `transports`: all that it may use; what it has by itself if not given;
   * - `channels`: what it subscribes to in each session;
   * - `leave`: the event that makes it save its session for its next load.
   */
  static async open(context, site, { url = site.url, channels = [], ...options } = {}) {
    const page = await context.newPage();
    const self = new Page(page);
    page.setDefaultTimeout(SOON);
    page.on('websocket', (socket) => self.sockets.push(socket));
    page.on('pageerror', (error) => self.offences.push(error.message));
    page.on('dialog', (dialog) => {
      self.offences.push(dialog.message());
      return dialog.dismiss();
    });
    await page.exposeBinding('report', (_, news) => news.forEach(([list, value]) => self.#told(list, value)));
    const fragment = encodeURIComponent(JSON.stringify({ url, channels, ...options }));
    // By JSONP, the page is not loaded as long as its connect is held.
    await page.goto(`${site.origin}/#${fragment}`, { waitUntil: 'commit' });
    return self;
  }

  constructor(page) {
    this.page = page;
  }

  #told(list, value) {
    this[list].push(value);
    if (list !== 'received' || value.channel !== '/meta/connect') return;
    // After a reload, identifiers are used again.
    const connect = this.#connects.findLast(({ id }) => id === value.id);
    if (connect) connect.answer = value;
  }

  get #connects() {
    return this.sent.filter(({ channel }) => channel === '/meta/connect');
  }

  /** The messages of one channel so far. */
  on(channel) {
    return this.received.filter((message) => message.channel === channel);
  }

  /** The data of the messages that came on one channel so far. */
  data(channel) {
    return this.on(channel).filter((message) => 'data' in message).map((message) => message.data);
  }

  /** The data that the listeners of one channel have got so far. */
  heardOn(channel) {
    return this.heard.filter((message) => message.channel === channel).map((message) => message.data);
  }

  /** Waits until the channel's listeners have got that much, and returns it. */
  async reach(channel, count, ms) {
    await until(() => this.heardOn(channel).length >= count, `${count} messages on ${channel}`, ms);
    return this.heardOn(channel);
  }

  /** The session that it has got last. */
  get id() {
    return this.on('/meta/handshake').findLast(({ successful }) => successful)?.clientId;
  }

  /** Whether a connect is on its way. */
  get waits() {
    const connect = this.#connects.at(-1);
    return connect !== undefined && !connect.answer;
  }

  /** Waits until the first connect is answered, subscriptions are made, and another connect has arrived. */
  async connected(ms) {
    await until(() => this.waits && this.#connects.some(({ answer }) => answer?.successful), 'connected', ms);
    await this.publish('/elsewhere', 0);
    return this;
  }

  /** Waits until a connect is answered that was sent from now on. */
  async back(ms) {
    const already = this.#connects.length;
    await until(() => this.#connects.slice(already).some(({ answer }) => answer?.successful), 'connected again', ms);
  }

  /** Runs in the page, where `client` is the client. */
  run(action, argument, what = String(action)) {
    return within(SOON, this.page.evaluate(action, argument), what);
  }

  /** Gives whether the server has taken it. */
  publish(channel, data) {
    const action = ([channel, data]) => new Promise((resolve) => client.publish(channel, data, ({ successful }) => resolve(successful)));
    return this.run(action, [channel, data], `publish reply for ${channel}`);
  }

  call(target, data) {
    const action = ([target, data]) => new Promise((resolve) => client.remoteCall(target, data, 5_000, ({ data }) => resolve(data)));
    return this.run(action, [target, data], `result of ${target}`);
  }

  disconnect() {
    const action = () => new Promise((resolve) => client.disconnect(({ successful }) => resolve(successful)));
    return this.run(action, undefined, 'disconnect reply');
  }

  /** What the server says about the session. */
  async whoami() {
    const already = this.data('/service/whoami').length;
    await this.publish('/service/whoami', {});
    await until(() => this.data('/service/whoami').length > already, 'whoami');
    return this.data('/service/whoami').at(-1);
  }

  /** The type of the transport in use; `undefined` if there is none. */
  transport() {
    return this.run(() => client.getTransport()?.type);
  }

  /** Waits until the client has that status. */
  async status(status) {
    await this.page.waitForFunction((status) => client.getStatus() === status, status, { polling: 10 });
  }
}
