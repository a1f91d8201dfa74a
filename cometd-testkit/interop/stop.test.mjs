// The server's end: what is open is answered, and clients are told when to come back.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { testbed } from './testbed.mjs';
import { SOON, until } from './waiting.mjs';
import { Peer, Wire, ask, head, post } from './wire.mjs';

describe('SIGTERM', () => {
  it('answers held connects with the advice to come back', async (t) => {
    const server = await testbed(t, '--max-lazy-timeout', 60_000);
    const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.handshake(server)));
    await peers[0].send(peers[0].subscribe('/lazy/a'));
    const wires = await Promise.all(peers.map((peer) => peer.hold()));
    // By another connection, and so likely behind the connects; one that comes late is answered the same.
    await Promise.all(peers.map((peer) => peer.send(peer.publish('/elsewhere', 1))));
    await peers[1].send(peers[1].publish('/lazy/a', 'on the way out'));
    assert.ok(wires.every((wire) => wire.silent), 'all are held');

    const begin = Date.now();
    server.terminate();
    const answers = await Promise.all(wires.map((wire) => wire.response()));
    const replies = answers.map(({ status, body }) => {
      assert.equal(status, 200);
      return JSON.parse(body).find(({ channel }) => channel === '/meta/connect');
    });
    for (const { successful, advice } of replies) {
      assert.deepEqual([successful, advice.reconnect], [true, 'retry']);
      assert.ok(advice.interval >= 0 && advice.interval <= 2_000, `interval ${advice.interval}`);
    }
    assert.ok(new Set(replies.map(({ advice }) => advice.interval)).size > 10, 'not all at the same time');
    assert.equal(JSON.parse(answers[0].body)[0].data, 'on the way out', 'what is queued goes along');

    await server.stop();
    assert.ok(Date.now() - begin < 3_000, 'ended soon');
    await until(() => wires.every((wire) => wire.ended), 'connections are closed');
    await assert.rejects(Wire.open(server), 'nobody listens any more');
  });

  it('does not wait for connections that ask for nothing', async (t) => {
    const server = await testbed(t);
    const idle = await Wire.open(server);
    const used = await Wire.open(server);
    assert.equal((await used.send(post([], { type: 'text/html' })).response()).status, 415);
    const begin = Date.now();
    await server.stop();
    assert.ok(Date.now() - begin < 3_000, 'ended soon');
    await until(() => idle.ended && used.ended);
  });

  it('lets what is being processed come to its end', async (t) => {
    const server = await testbed(t);
    const peer = await Peer.handshake(server);
    const wire = await Wire.open(server);
    const publish = peer.publish('/service/delayed-echo', { delay: 600, value: 'done' });
    wire.send(peer.request(publish));
    // Behind it on another connection.
    await peer.send(peer.publish('/elsewhere', 1));
    server.terminate();
    const messages = JSON.parse((await wire.response()).body);
    assert.equal(messages.find(({ id }) => id === publish.id).successful, true);
    assert.equal(messages.find(({ data }) => data)?.data, 'done');
    await server.stop();
  });
});

describe('restart', () => {
  it('forgets all sessions', async (t) => {
    const server = await testbed(t);
    const peer = await Peer.handshake(server);
    await server.stop();
    await server.start();
    const [reply] = await peer.send(peer.connect());
    assert.deepEqual([reply.error, reply.advice], ['402::session_unknown', { reconnect: 'handshake', interval: 0 }]);
    assert.equal((await ask(server, head('GET', '/'), SOON)).status, 404);
  });
});
