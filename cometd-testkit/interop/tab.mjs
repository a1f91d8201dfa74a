// cometd.js in Node, as a tab of a browser.

import { adapt } from 'cometd-nodejs-client';
import { CometD } from 'cometd';
import { called, SOON, until } from './waiting.mjs';

// The adapter's own cookie jar is keyed by host name and shared by the whole process, ports and clients
// alike, which makes all clients tabs of one browser. These hooks give each tab the browser that it belongs
// to: a plain map from cookie names to cookies. `storeCookie` is not told the context, but it gets the same
// URL object as `retrieveCookies` before it.
const browsers = new WeakMap();
adapt({
  cookies: {
    retrieveCookies(browser, url, done) {
      browsers.set(url, browser);
      done(null, [...browser.values()]);
    },
    storeCookie(url, header, done) {
      const [cookie] = header.split(';');
      browsers.get(url).set(cookie.split('=')[0].trim(), cookie.trim());
      done();
    },
  },
});

/** The tab that is sending, and may open a WebSocket for that. */
let opener;
window.WebSocket = class extends window.WebSocket {
  constructor(url, protocols) {
    // Browsers send cookies along with an upgrade; this client does not.
    const cookies = [...opener.browser.values()].join('; ');
    super(url, protocols, cookies ? { headers: { Cookie: cookies } } : {});
    opener.sockets.push(this);
    this.addEventListener('close', ({ code }) => (this.code = code));
  }
};

export class Tab {
  /** Every message from the server, in the order of arrival; connect replies with a time. */
  received = [];
  /** Every message to the server. */
  sent = [];
  /** The same, one array for each HTTP response, or for each frame. */
  responses = [];
  /** The WebSockets that it has opened; those that are closed have a `code`. */
  sockets = [];

  /** `transport` is the one and only, or `any`: WebSocket, with long-polling to fall back to. */
  constructor(server, { browser = new Map(), transport = 'long-polling', ...config } = {}) {
    this.browser = browser;
    this.client = new CometD();
    for (const type of ['websocket', 'long-polling', 'callback-polling']) {
      if (transport === 'any' ? type === 'callback-polling' : type !== transport) this.client.unregisterTransport(type);
    }
    const transports = this.client.getTransportTypes().map((type) => this.client.findTransport(type));
    transports.forEach((one) => this.#watch(one));
    [this.transport] = transports;
    this.client.registerExtension('record', {
      incoming: (message) => {
        this.received.push(Object.assign(message, { at: Date.now() }));
        return message;
      },
      outgoing: (message) => {
        this.sent.push(message);
        return message;
      },
    });
    this.client.configure({ url: server.url, logLevel: 'warn', backoffIncrement: 100, maxBackoff: 500, ...config });
    // A client whose server is gone for good would try again for ever.
    server.last(() => this.disconnect());
  }

  #watch(transport) {
    transport.context = this.browser;
    const convert = transport.convertToMessages.bind(transport);
    transport.convertToMessages = (text) => {
      const messages = convert(text);
      this.responses.push(messages);
      return messages;
    };
    const send = transport.send.bind(transport);
    transport.send = (...args) => {
      opener = this;
      send(...args);
    };
  }

  get id() {
    return this.client.getClientId();
  }

  get status() {
    return this.client.getStatus();
  }

  /** The messages of one channel so far. */
  on(channel) {
    return this.received.filter((message) => message.channel === channel);
  }

  /** The data of the events of one channel so far; publish replies have none. */
  data(channel) {
    return this.on(channel).filter((message) => 'data' in message).map((message) => message.data);
  }

  /** Waits until that many events came on the channel, and returns their data. */
  async reach(channel, count, ms) {
    await until(() => this.data(channel).length >= count, `${count} events on ${channel}`, ms);
    return this.data(channel);
  }

  handshake(props) {
    return called((done) => this.client.handshake(props, done), 'handshake reply');
  }

  /** Handshakes, and waits until a connect is on its way that the server may hold. */
  async open(props) {
    const reply = await this.handshake(props);
    await until(() => this.on('/meta/connect').length > 0, 'first connect reply');
    return reply;
  }

  subscribe(channel, listener = () => {}) {
    return called((done) => (this.subscription = this.client.subscribe(channel, listener, done)), `subscribe reply for ${channel}`);
  }

  unsubscribe(subscription) {
    return called((done) => this.client.unsubscribe(subscription, done), 'unsubscribe reply');
  }

  publish(channel, data, ms = SOON) {
    return called((done) => this.client.publish(channel, data, done), `publish reply for ${channel}`, ms);
  }

  call(target, data, ms = SOON) {
    return called((done) => this.client.remoteCall(target, data, ms, done), `result of ${target}`, 2 * ms);
  }

  async disconnect() {
    if (this.client.isDisconnected()) return;
    await called((done) => this.client.disconnect(done), 'disconnect reply');
    await until(() => this.status === 'disconnected');
  }
}

/** A tab that is connected; a browser of its own unless told otherwise. */
export async function tab(server, options) {
  const it = new Tab(server, options);
  await it.open();
  return it;
}
