// The streaming client of jsforce, as if the testbed were Salesforce.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import jsforce from 'jsforce';
import { behaviours } from './clients/behaviours.mjs';
import { here } from './clients/install.mjs';
import { Program } from './clients/remote.mjs';
import { tab } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { until } from './waiting.mjs';

behaviours({
  name: 'jsforce',
  transports: ['long-polling', 'websocket'],
  options: ['--path', '/cometd/60.0'],
  start: async () => new Program(process.execPath, here('jsforce', 'client.mjs')),
  cannot: {
    call: 'it has no calls',
    batch: { 'long-polling': 'jsforce has Faye send each message by itself' },
    farewell: 'Faye tells nobody that the server has ended the session',
    timesync: 'it has no such extension',
  },
});

it('jsforce gets the events of a topic', async (t) => {
  const server = await testbed(t, '--path', '/cometd/60.0');
  const publisher = await tab(server);
  const connection = new jsforce.Connection({ instanceUrl: new URL(server.url).origin, version: '60.0', accessToken: 'none' });
  const events = [];
  const { streaming } = connection;
  const subscription = streaming.topic('InvoiceUpdates').subscribe((event) => events.push(event));
  // There is no public way to close it.
  server.last(() => streaming._fayeClients.pushTopic.disconnect());
  await subscription;
  const event = { event: { type: 'updated', replayId: 1 }, sobject: { Id: 'a00', Status__c: 'Paid' } };
  await publisher.publish('/topic/InvoiceUpdates', event);
  await until(() => events.length > 0, 'the event');
  assert.deepEqual(events, [event]);
});
