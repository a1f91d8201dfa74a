// Sessions, as their clients and others see them: tabs of cometd.js, and clients of Faye where that is said.

import assert from 'node:assert/strict';
import { until } from './waiting.mjs';

export const numbers = (count) => Array.from({ length: count }, (_, number) => number);

/** What the server says about the session of a tab, or of Faye's client. */
export async function whoami(client) {
  const already = client.data('/service/whoami').length;
  // Faye shows its application only what that has subscribed to.
  if ('faye' in client && already === 0) await client.subscribe('/service/whoami');
  await client.publish('/service/whoami', {});
  return (await client.reach('/service/whoami', already + 1)).at(-1);
}

/** Waits until the observer of `/events`, with either client, was told that about a session. */
export function told(observer, type, sessionId) {
  return until(() => observer.data('/events').some((event) => event.type === type && event.sessionId === sessionId), `told that ${sessionId} was ${type}`);
}

/** An observer of `/events`, and a session that it was told of; both clients are made by the same function. */
export async function observed(connect) {
  const observer = await connect();
  await observer.subscribe('/events');
  const client = await connect();
  await told(observer, 'added', client.id);
  return [observer, client];
}

/** What the observer was told about sessions other than its own; of its own it may be told late. */
export const others = (observer) => observer.data('/events').filter(({ sessionId }) => sessionId !== observer.id);

/** Whose end the observer was told of, and how; that somebody was added may be told late. */
export const ends = (observer) => observer.data('/events').filter(({ type }) => type !== 'added');

/**
 * Somebody who publishes numbers on `/numbers`, one after another, for a subscriber whose connections may end, while
 * an observer of `/events` insists that no session does. For either client.
 */
export async function stream(publisher, subscriber, observer) {
  await observer.subscribe('/events');
  await subscriber.subscribe('/numbers');
  let [count, from, going] = [0, 0, true];
  const publishing = (async () => {
    // Faye gives no reply, but throws when there is an error.
    while (going) assert.equal((await publisher.publish('/numbers', count++))?.successful ?? true, true);
  })();
  const got = () => subscriber.data('/numbers');
  const complete = () => {
    const behind = got().filter((number) => number >= from);
    assert.deepEqual(behind, numbers(behind.length).map((n) => from + n), 'nothing is missing from then on');
  };
  return {
    get count() {
      return count;
    },
    /** Waits until that many more have come. */
    more: (many) => subscriber.reach('/numbers', got().length + many),
    /** Insists that the stream goes on, completely from now on. */
    async on() {
      from = count;
      await until(() => got().at(-1) > from + 20, 'the stream goes on');
      complete();
    },
    async stop() {
      going = false;
      await publishing;
      await until(() => got().at(-1) === count - 1, 'the last one');
      // What was to come before has come when these are answered.
      for (const client of [subscriber, observer]) await whoami(client);
      complete();
      assert.ok(got().every((number, n, all) => n === 0 || number > all[n - 1]), 'in order, and nothing twice');
      assert.equal(got().at(-1), count - 1);
      assert.deepEqual(ends(observer), [], 'nobody was removed');
    },
  };
}

/** Whatever was to come on this tab's session has come when this is over: events leave in order. */
export async function settle(from, to) {
  const channel = `/settle/${to.id}`;
  const already = to.data(channel).length;
  await from.publish('/service/deliver', { sessionId: to.id, channel, data: 'settled' });
  await to.reach(channel, already + 1);
}

/** The connects that either client sent and that were not answered. */
export function pending({ sent, received }) {
  const answered = received.filter(({ channel }) => channel === '/meta/connect').map(({ id }) => id);
  return sent.filter(({ channel, id }) => channel === '/meta/connect' && !answered.includes(id));
}

/** For how long each of a tab's connects was held, but for the first: its client asks for an answer at once. */
export function held(client) {
  const replies = client.on('/meta/connect');
  return replies.slice(1).map(({ at }, n) => at - replies[n].at);
}

/** Insists that a tab's connects are held for the timeout, and that the tab is not told to poll for the sake of others. */
export async function alwaysHeld(client, timeout) {
  await until(() => client.on('/meta/connect').length === 3);
  assert.ok(client.on('/meta/connect').every(({ advice }) => !advice?.['multiple-clients'] && !advice?.interval));
  for (const ms of held(client)) assert.ok(ms >= timeout - 10, `held for ${ms} ms`);
}

/** How Faye's client connects: `undefined` if it has not done that yet. */
export const connectionType = ({ sent }) => sent.findLast(({ channel }) => channel === '/meta/connect')?.connectionType;

/** Waits until Faye's client has a session that has moved on to the transport. The first messages may leave over HTTP. */
export async function connected(client, transport) {
  await client.publish('/elsewhere', {});
  await until(() => connectionType(client) === transport, `connected by ${transport}`);
  return client;
}
