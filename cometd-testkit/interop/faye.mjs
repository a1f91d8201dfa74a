// Faye's client, with a look at what it sends and gets.

import faye from 'faye';
import { until, within, SOON } from './waiting.mjs';

// Faye takes a proxy from these for local addresses, too, and knows no `no_proxy`.
for (const name of ['http_proxy', 'HTTP_PROXY']) delete process.env[name];

// Not what is looked at here, or not for Node.
const OTHERS = ['in-process', 'eventsource', 'cross-origin-long-polling', 'callback-polling'];

export class Client {
  received = [];
  sent = [];
  /** What the subscriptions' callbacks got, as pairs of channel and data. */
  events = [];

  constructor(server, { ext, transport = 'long-polling' } = {}) {
    // `retry` is the pause after a failed request, in seconds.
    this.faye = new faye.Client(server.url, { retry: 0.1 });
    // Faye prefers WebSocket, but shakes hands over long-polling in any case.
    for (const other of transport === 'websocket' ? OTHERS : ['websocket', ...OTHERS]) this.faye.disable(other);
    this.faye.addExtension({
      incoming: (message, next) => next((this.received.push(message), message)),
      outgoing: (message, next) => {
        if (ext && message.channel === '/meta/handshake') message.ext = ext;
        this.sent.push(message);
        next(message);
      },
    });
    server.last(() => this.close());
  }

  /** The session's id, once there is one. */
  get id() {
    return this.received.findLast(({ channel, successful }) => channel === '/meta/handshake' && successful)?.clientId;
  }

  data(channel) {
    return this.events.filter(([name]) => name === channel).map(([, data]) => data);
  }

  async reach(channel, count) {
    await until(() => this.data(channel).length >= count, `${count} events on ${channel}`);
    return this.data(channel);
  }

  // Subscriptions and publications are like promises, but lack most of a promise's methods.
  subscribe(channel) {
    this.subscription = this.faye.subscribe(channel).withChannel((name, data) => this.events.push([name, data]));
    return within(SOON, settled(this.subscription), `subscribed to ${channel}`);
  }

  publish(channel, data) {
    return within(SOON, settled(this.faye.publish(channel, data)), `published on ${channel}`);
  }

  async close() {
    const closing = this.faye.disconnect();
    // A session that the server has ended is no failure here.
    if (closing) await within(SOON, settled(closing).catch(() => {}), 'disconnected');
    // Requests that failed are repeated for ever otherwise; there is no public way to stop that.
    this.faye._dispatcher.close();
  }
}

function settled(deferred) {
  return new Promise((resolve, reject) => void deferred.then(() => resolve(), reject));
}

/** A roundtrip: what was to come before has come when it is over. */
export async function settle(client) {
  for (const channel of ['/settle/one', '/settle/two', '/settle/three']) await client.publish(channel, {});
}

/** Whether an error is the one that is expected. */
export const denied = (pattern) => (error) => pattern.test(`${error.code}:${error.params.join()}:${error.message}`);
