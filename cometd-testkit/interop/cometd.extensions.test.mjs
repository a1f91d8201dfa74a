// cometd.js' own extensions, and remote calls, over both transports.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AckExtension } from 'cometd/AckExtension.js';
import { BinaryExtension } from 'cometd/BinaryExtension.js';
import { ReloadExtension } from 'cometd/ReloadExtension.js';
import { TimeStampExtension } from 'cometd/TimeStampExtension.js';
import { TimeSyncExtension } from 'cometd/TimeSyncExtension.js';
import { Gateway } from './gateway.mjs';
import { numbers, observed, told, whoami } from './sessions.mjs';
import { Tab } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

/** What a page leaves for the next one in the same tab. */
const storage = new Map();
window.sessionStorage = {
  getItem: (name) => storage.get(name) ?? null,
  setItem: (name, value) => storage.set(name, value),
  removeItem: (name) => storage.delete(name),
};

for (const transport of ['long-polling', 'websocket']) {
  /** A tab with extensions, not connected yet. */
  const unopened = (server, extensions, options) => {
    const tab = new Tab(server, { transport, backoffIncrement: 50, ...options });
    for (const [name, extension] of Object.entries(extensions)) tab.client.registerExtension(name, extension);
    return tab;
  };
  const open = async (server, extensions = {}, { props, ...options } = {}) => {
    const tab = unopened(server, extensions, options);
    await tab.open(props);
    return tab;
  };
  const acks = (tab) => tab.on('/meta/connect').map(({ ext }) => ext?.ack);

  describe(`acknowledgements over ${transport}`, { concurrency: true }, () => {
    it('count connect replies from one', async (t) => {
      const server = await testbed(t, '--timeout', 50);
      const tab = unopened(server, { ack: new AckExtension() });
      const reply = await tab.open();
      assert.deepEqual(reply.ext, { ack: true });
      await until(() => acks(tab).length >= 5);
      assert.deepEqual(acks(tab), numbers(acks(tab).length).map((number) => number + 1));
    });

    it('let events come with connect replies only, once', async (t) => {
      const server = await testbed(t);
      const tab = await open(server, { ack: new AckExtension() });
      await tab.subscribe('/a');
      for (const number of numbers(20)) await tab.publish('/a', number);
      assert.deepEqual(await tab.reach('/a', 20), numbers(20));
      const carrying = tab.responses.filter((one) => one.some(({ channel, data }) => channel === '/a' && data !== undefined));
      for (const response of carrying) {
        assert.ok(response.some(({ ext }) => ext?.ack > 1), 'a batch and its number come together');
      }
    });

    it('bring what was published while the client was away, in order', async (t) => {
      const server = await testbed(t);
      const gateway = await Gateway.open(server);
      const tab = await open(gateway, { ack: new AckExtension() });
      const { id } = tab;
      const other = await open(server);
      await tab.subscribe('/n');
      const publish = async (from, to) => {
        for (let number = from; number < to; number++) await other.publish('/n', number);
      };
      await publish(0, 5);
      gateway.open = false;
      gateway.cut();
      await publish(5, 10);
      gateway.open = true;
      await publish(10, 15);
      assert.deepEqual(await tab.reach('/n', 15), numbers(15));
      assert.equal(tab.id, id);
      await tab.publish('/n', 15);
      assert.deepEqual(await tab.reach('/n', 16), numbers(16));
    });

    it('are not for those who do not ask', async (t) => {
      const server = await testbed(t);
      const tab = await open(server);
      assert.deepEqual(acks(tab), [undefined]);
    });
  });

  describe(`time over ${transport}`, { concurrency: true }, () => {
    it('is synchronized', async (t) => {
      const server = await testbed(t, '--timeout', 50);
      const timesync = new TimeSyncExtension();
      const tab = await open(server, { timesync });
      await until(() => tab.on('/meta/connect').length >= 6);
      const [handshake] = tab.on('/meta/handshake');
      assert.deepEqual(Object.keys(handshake.ext.timesync).sort(), ['a', 'p', 'tc', 'ts']);
      // Both clocks are the same one.
      assert.ok(Math.abs(timesync.getTimeOffset()) < 100, `${timesync.getTimeOffset()}`);
      assert.ok(timesync.getNetworkLag() < 100, `${timesync.getNetworkLag()}`);
      assert.ok(Math.abs(timesync.getServerTime() - Date.now()) < 100);
      // The time that a connect was held does not count as the network's.
      const held = tab.on('/meta/connect').find(({ ext }) => ext?.timesync?.p >= 45);
      assert.ok(held || timesync.getNetworkLag() > 0, 'it was answered, or had no need to be');
    });

    it('stamps the messages of those who ask', async (t) => {
      const server = await testbed(t);
      const tab = await open(server, { timestamp: new TimeStampExtension() }, { props: { ext: { timestamp: true } } });
      const other = await open(server);
      await tab.subscribe('/a');
      await other.subscribe('/a');
      await other.publish('/a', 1);
      await tab.reach('/a', 1);
      await other.reach('/a', 1);
      const stamped = tab.received.filter(({ channel, data }) => channel.startsWith('/meta/') || data !== undefined);
      assert.ok(stamped.length >= 4);
      for (const { timestamp } of stamped) {
        assert.match(timestamp, /^\w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC \d{4}$/);
        assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000, timestamp);
      }
      assert.ok(other.received.every((message) => !('timestamp' in message)));
    });
  });

  describe(`binary data over ${transport}`, { concurrency: true }, () => {
    const bytes = (length) => Uint8Array.from({ length }, (_, at) => (at * 37 + length) & 255);

    it('arrives as it was sent, whatever its length', async (t) => {
      const server = await testbed(t);
      const binary = () => open(server, { binary: new BinaryExtension() }, { maxSendBayeuxMessageSize: 65_536 });
      const [from, to] = [await binary(), await binary()];
      await to.subscribe('/files');
      const lengths = [...numbers(10), 1_000, 40_001];
      for (const length of lengths) from.client.publishBinary('/files', bytes(length), length % 2 === 0, { length });
      const received = await to.reach('/files', lengths.length);
      for (const [at, length] of lengths.entries()) {
        const { data, last, meta } = received[at];
        assert.deepEqual([new Uint8Array(data), last, meta], [bytes(length), length % 2 === 0, { length }]);
      }
    });

    it('comes back from a remote call', async (t) => {
      const server = await testbed(t);
      const tab = await open(server, { binary: new BinaryExtension() });
      // The echo is of the data alone: what marks it as binary is the caller's.
      const result = await new Promise((done) => tab.client.remoteCallBinary('echo', bytes(9), true, { name: 'nine' }, 5_000, done));
      assert.deepEqual([result.successful, result.data.last, result.data.meta], [true, true, { name: 'nine' }]);
    });
  });

  describe(`a page that is reloaded over ${transport}`, () => {
    for (const ack of [false, true]) {
      it(`keeps its session${ack ? ', and gets what came meanwhile' : ''}`, async (t) => {
        const server = await testbed(t);
        const browser = new Map();
        const extensions = () => {
          const reload = new ReloadExtension({ name: `${t.name} ${transport}` });
          return ack ? { reload, ack: new AckExtension() } : { reload };
        };
        const before = await open(server, extensions(), { browser });
        const { id } = before;
        const other = await open(server);
        await before.subscribe('/n');
        await other.publish('/n', 0);
        await before.reach('/n', 1);
        // It has acknowledged that; and the server has heard it, as what comes behind is answered.
        const acknowledged = () => before.sent.some(({ ext }) => ext?.ack === before.on('/meta/connect').at(-1).ext.ack);
        if (ack) await until(acknowledged);
        await before.publish('/elsewhere', 0);
        before.client.reload();
        if (ack) await other.publish('/n', 1);
        const after = unopened(server, extensions(), { browser });
        const reply = await after.open();
        assert.deepEqual([reply.ext?.reload, after.id], [true, id]);
        assert.equal(after.sent.some(({ channel }) => channel === '/meta/handshake'), false);
        if (ack) assert.deepEqual(await after.reach('/n', 1), [1]);
        await other.publish('/n', 2);
        await until(() => after.data('/n').at(-1) === 2);
        assert.deepEqual((await whoami(after)).subscriptions, ['/n']);
      });
    }
  });

  describe(`activity over ${transport}`, { concurrency: true }, () => {
    it('keeps a session, and its want ends it', async (t) => {
      const server = await testbed(t, '--timeout', 100);
      const props = { ext: { testbed: { activity: 700 } } };
      // The observer is opened first, and has no such wish.
      let opened = 0;
      const [observer, tab] = await observed(() => open(server, {}, opened++ > 0 ? { props } : {}));
      // Longer than the time in all, each time less.
      for (const number of numbers(4)) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.equal((await tab.publish('/a', number)).successful, true);
      }
      const connects = tab.on('/meta/connect').length;
      await told(observer, 'removed', tab.id);
      await until(() => tab.status === 'disconnected');
      assert.ok(tab.on('/meta/connect').length > connects + 3, 'its heartbeat went on, and did not count');
      assert.equal(tab.on('/meta/disconnect').length, 1, 'it was told');
    });
  });

  describe(`remote calls over ${transport}`, { concurrency: true }, () => {
    for (const extensions of [{}, { ack: true }]) {
      it(`get their results${extensions.ack ? ' with acknowledgements' : ''}`, async (t) => {
        const server = await testbed(t);
        const tab = await open(server, extensions.ack ? { ack: new AckExtension() } : {});
        const results = await Promise.all(numbers(20).map((number) => tab.call('echo', { number })));
        assert.deepEqual(results.map(({ successful, data }) => [successful, data.number]), numbers(20).map((number) => [true, number]));
        assert.equal(new Set(results.map(({ id }) => id)).size, 20);
      });
    }

    it('time out on their side, which costs nothing else', async (t) => {
      const server = await testbed(t);
      const tab = await open(server);
      const late = await tab.call('delayed-echo', { delay: 300, value: 'late' }, 100);
      assert.equal(late.successful, false);
      assert.equal((await tab.call('echo', 1)).data, 1);
    });
  });
}
