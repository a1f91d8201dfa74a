// Acknowledged messages while connections are cut at every possible point of a delivery: whatever the network does, cometd.js
// sees each event once, in order, in the same session.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AckExtension } from 'cometd/AckExtension.js';
import { Cutter } from './cutter.mjs';
import { numbers, observed, told } from './sessions.mjs';
import { tab as open, Tab } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';
import { Wire } from './wire.mjs';

/** SplitMix32: the same seed gives the same cuts. */
function random(seed) {
  return (below) => {
    seed = (seed + 0x9e3779b9) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below;
  };
}

/** A subscriber behind a cutter, and a publisher that is not. */
async function world(t, transport, ...options) {
  const server = await testbed(t, '--max-interval', 20_000, ...options);
  const cutter = await Cutter.open(server);
  const subscriber = new Tab(cutter, { transport, backoffIncrement: 10, maxBackoff: 20, maxNetworkDelay: 400, logLevel: 'error' });
  subscriber.client.registerExtension('ack', new AckExtension());
  await subscriber.open();
  await subscriber.subscribe('/n');
  const publisher = await open(server, { transport: 'websocket' });
  let count = 0;
  return {
    server,
    cutter,
    subscriber,
    id: subscriber.id,
    get count() {
      return count;
    },
    /** Publishes so many events, which leave together. */
    publish(many = 1) {
      publisher.client.batch(() => {
        for (let left = many; left > 0; left--) publisher.client.publish('/n', `event ${count++}.`);
      });
    },
    async complete() {
      await until(() => subscriber.data('/n').length >= count, `${count} events have come, of which there are ${subscriber.data('/n').length}`);
      assert.deepEqual(subscriber.data('/n'), numbers(count).map((number) => `event ${number}.`));
      assert.equal(subscriber.id, this.id, 'it is still the same session');
    },
    /** A connect is held, and there is nothing to acknowledge. */
    async quiet() {
      const last = () => subscriber.on('/meta/connect').at(-1)?.ext?.ack;
      await until(() => subscriber.sent.filter(({ channel }) => channel === '/meta/connect').at(-1)?.ext.ack === last());
    },
  };
}

for (const transport of ['long-polling', 'websocket']) {
  // Where a batch of three events begins and ends, counted from the first one's data, with some bytes on each side: over HTTP
  // there is the head of the response in front of it.
  const [first, last] = transport === 'websocket' ? [-40, 260] : [-420, 260];

  describe(`connections that are cut over ${transport}`, { concurrency: true }, () => {
    const lanes = 4;
    for (const how of ['reset', 'end', 'swallow']) {
      for (const lane of numbers(lanes)) {
        it(`on the way down by ${how}, at every byte (part ${lane + 1})`, async (t) => {
          const all = await world(t, transport);
          // Each byte is some mode's, and the edges are everybody's.
          const step = lanes * (how === 'reset' ? 1 : 5);
          for (let offset = first + lane; offset <= last; offset += step) {
            await all.quiet();
            all.cutter.arm('down', `event ${all.count}.`, offset, how);
            all.publish(3);
            await all.complete();
            all.cutter.disarm();
          }
          assert.ok(all.cutter.cuts > 8, `${all.cutter.cuts} cuts`);
        });
      }

      it(`on the way up by ${how}, around the connect that acknowledges`, async (t) => {
        const all = await world(t, transport);
        // The frames of a WebSocket's client are masked: the next one that it sends acknowledges what it has received.
        const [text, from] = transport === 'websocket' ? ['', 0] : ['"channel":"/meta/connect"', -300];
        for (let offset = from; offset <= 220; offset += how === 'reset' ? 5 : 15) {
          await all.quiet();
          all.cutter.arm('up', text, offset, how);
          all.publish(2);
          await all.complete();
          // The connect behind it may be the one that is cut.
          all.publish(1);
          await all.complete();
          all.cutter.disarm();
        }
        assert.ok(all.cutter.cuts > 8, `${all.cutter.cuts} cuts`);
      });
    }

    for (const seed of [1, 2, 3, 4]) {
      it(`anywhere, in any way, while events go on (seed ${seed})`, async (t) => {
        const all = await world(t, transport);
        const dice = random(seed);
        for (let round = 0; round < 50; round++) {
          const offset = dice(700) - 350;
          const how = ['reset', 'end', 'swallow'][dice(3)];
          if (dice(3) === 0) all.cutter.arm('up', '', offset, how);
          else all.cutter.arm('down', `event ${all.count + dice(3)}.`, offset, how);
          all.publish(1 + dice(4));
          if (dice(2) === 0) await new Promise((resolve) => setTimeout(resolve, dice(30)));
        }
        all.cutter.disarm();
        await all.complete();
        assert.ok(all.cutter.cuts > 3, `${all.cutter.cuts} cuts`);
      });
    }

    it('lazy events come once, too', async (t) => {
      const all = await world(t, transport, '--max-lazy-timeout', 50);
      await all.subscriber.subscribe('/lazy/n');
      const publisher = await open(all.server, { transport: 'websocket' });
      for (const number of numbers(10)) {
        all.cutter.arm('down', `lazy ${number}.`, number * 3, 'reset');
        await publisher.publish('/lazy/n', `lazy ${number}.`);
        await all.subscriber.reach('/lazy/n', number + 1);
      }
      assert.deepEqual(all.subscriber.data('/lazy/n'), numbers(10).map((number) => `lazy ${number}.`));
      assert.ok(all.cutter.cuts >= 8, `${all.cutter.cuts} cuts`);
    });
  });
}

describe('connects that the network repeats', { concurrency: true }, () => {
  const isConnect = (chunk) => chunk.includes('"channel":"/meta/connect"');

  it('at once', async (t) => {
    const all = await world(t, 'long-polling');
    for (let round = 0; round < 10; round++) {
      await all.quiet();
      await all.cutter.repeat(all.cutter.sent.findLast(isConnect));
      all.publish(2);
      await all.complete();
    }
  });

  it('when they are old', async (t) => {
    const all = await world(t, 'long-polling');
    for (let round = 0; round < 10; round++) {
      all.publish(2);
      await all.complete();
      await all.quiet();
      const connects = all.cutter.sent.filter(isConnect);
      await all.cutter.repeat(connects.at(-1 - (round % 3) - 1));
    }
    all.publish(1);
    await all.complete();
  });
});

describe('numbers that make no sense', { concurrency: true }, () => {
  const post = async (wire, messages, cookie) => {
    const body = JSON.stringify(messages);
    const head = ['POST /cometd HTTP/1.1', 'Host: x', 'Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`];
    if (cookie) head.push(`Cookie: ${cookie}`);
    wire.send(`${head.join('\r\n')}\r\n\r\n${body}`);
    const response = await wire.response();
    return { messages: JSON.parse(response.body), cookie: response.headers['set-cookie']?.split(';')[0] };
  };

  /** A session by hand that wants acknowledgements and subscribes to `/n`. */
  async function session(t, ...options) {
    const server = await testbed(t, ...options);
    const wire = await Wire.open(server);
    const { messages, cookie } = await post(wire, [{ channel: '/meta/handshake', ext: { ack: true } }]);
    const { clientId } = messages[0];
    const ask = async (message) => (await post(wire, [{ clientId, ...message }], cookie)).messages;
    await ask({ channel: '/meta/subscribe', subscription: '/n' });
    const connect = (ack) => ask({ channel: '/meta/connect', ext: { ack }, advice: { timeout: 0 } });
    return { server, clientId, ask, connect };
  }

  it('lose nothing', async (t) => {
    const { ask, connect } = await session(t);
    await connect(0);
    await ask({ channel: '/n', data: 'one' });
    for (const absurd of [1, 0, -1, 1e300, 2 ** 31, 2 ** 32 + 1, 2 ** 53, 'one', true, null, {}, [2]]) {
      const [event] = await connect(absurd);
      assert.equal(event.data, 'one', `${JSON.stringify(absurd)}`);
    }
    const { ext } = (await connect(1)).at(-1);
    assert.equal((await connect(ext.ack)).length, 1, 'and the right one is believed');
  });

  it('end at the bound of the queue', async (t) => {
    const { server, ask, clientId, connect } = await session(t, '--max-queue', 5);
    const [observer] = await observed(() => open(server));
    await connect(0);
    for (const number of numbers(5)) {
      await ask({ channel: '/n', data: number });
      assert.equal((await connect(1)).length, number + 2, 'what is not acknowledged comes again');
    }
    await ask({ channel: '/n', data: 5 });
    await told(observer, 'overflowed', clientId);
    assert.equal((await connect(1))[0].error, '402::session_unknown');
  });
});
