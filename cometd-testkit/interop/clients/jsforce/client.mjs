// Drives the streaming client of jsforce, which is Faye's with some settings; see remote.mjs for what it reads and writes.

import { createInterface } from 'node:readline';
import jsforce from 'jsforce';

// Faye takes a proxy from these for local addresses, too, and knows no `no_proxy`.
for (const name of ['http_proxy', 'HTTP_PROXY']) delete process.env[name];

const say = (line) => console.log(JSON.stringify(line));

/** Acknowledged messages; Faye has no such extension of its own. */
class Ack {
  #enabled = false;
  #batch = 0;

  outgoing(message, next) {
    if (message.channel === '/meta/handshake') message.ext = { ...message.ext, ack: true };
    if (message.channel === '/meta/connect' && this.#enabled) message.ext = { ...message.ext, ack: this.#batch };
    next(message);
  }

  incoming(message, next) {
    const ack = message.ext?.ack;
    if (message.channel === '/meta/handshake') this.#enabled = ack === true;
    if (message.channel === '/meta/connect' && ack !== undefined) this.#batch = ack;
    next(message);
  }
}

class Session {
  #client;
  #hear;
  #subscriptions = new Map();

  async open({ client, url, transport, ext }) {
    const { origin, pathname } = new URL(url);
    // The URL of the service is made of these: `<instanceUrl>/cometd/<version>`.
    const connection = new jsforce.Connection({ instanceUrl: origin, version: pathname.split('/').at(-1), accessToken: 'none' });
    this.#client = connection.streaming.createClient(ext.includes('ack') ? [new Ack()] : []);
    this.#hear = (channel, data) => say({ client, channel, data });
    // Seconds until it repeats a request that has failed. jsforce has no setting for that, and Faye's own is 5.
    this.#client._dispatcher.retry = 0.1;
    // jsforce selects long-polling, but Faye selects again, among all that the server offers, after its handshake.
    if (transport === 'long-polling') this.#client.disable('websocket');
    // It connects when it first has something to send. An application sees only what it has subscribed to.
    await this.#client.subscribe('/service/*').withChannel(this.#hear);
  }

  async subscribe({ channel }) {
    const subscription = this.#client.subscribe(channel).withChannel(this.#hear);
    this.#subscriptions.set(channel, subscription);
    await subscription;
  }

  /** Faye tells nobody when it has unsubscribed; but its messages leave in order, or wait for each other's replies. */
  async unsubscribe({ channel }) {
    const gone = new Promise((resolve) => {
      this.#client.addExtension({
        incoming(message, next) {
          if (message.channel === '/meta/unsubscribe' && message.subscription === channel) resolve();
          next(message);
        },
      });
    });
    this.#subscriptions.get(channel).cancel();
    await gone;
  }

  async publish({ channel, data }) {
    await this.#client.publish(channel, data);
  }

  async batch({ channel, data }) {
    await Promise.all(data.map((each) => this.#client.publish(channel, each)));
  }

  async close() {
    await this.#client.disconnect();
  }
}

const sessions = new Map();

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { call, do: what, ...args } = JSON.parse(line);
    try {
      if (what === 'open') sessions.set(args.client, new Session());
      await sessions.get(args.client)[what](args);
      say({ call, result: null });
    } catch (error) {
      const { code, params, message } = error;
      say({ call, error: code ? `${code}:${params}:${message}` : String(error) });
    }
  })
  .on('close', () => process.exit());
