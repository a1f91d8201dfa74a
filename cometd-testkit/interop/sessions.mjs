// Sessions, as their clients and others see them: tabs of cometd.js, and clients of Faye where that is said.

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

/** What the observer was told about sessions other than its own; of its own it may be told late. */
export const others = (observer) => observer.data('/events').filter(({ sessionId }) => sessionId !== observer.id);

/** Whose end the observer was told of, and how; that somebody was added may be told late. */
export const ends = (observer) => observer.data('/events').filter(({ type }) => type !== 'added');

/** Whatever was to come on this tab's session has come when this is over: events leave in order. */
export async function settle(from, to) {
  const channel = `/settle/${to.id}`;
  const already = to.data(channel).length;
  await from.publish('/service/deliver', { sessionId: to.id, channel, data: 'settled' });
  await to.reach(channel, already + 1);
}

/** The connects that a tab sent and that were not answered. */
export function pending(client) {
  const answered = client.on('/meta/connect').map(({ id }) => id);
  return client.sent.filter(({ channel, id }) => channel === '/meta/connect' && !answered.includes(id));
}

/** For how long each of a tab's connects was held, but for the first: its client asks for an answer at once. */
export function held(client) {
  const replies = client.on('/meta/connect');
  return replies.slice(1).map(({ at }, n) => at - replies[n].at);
}

/** How Faye's client connects: `undefined` if it has not done that yet. */
export const connectionType = ({ sent }) => sent.findLast(({ channel }) => channel === '/meta/connect')?.connectionType;

/** Waits until Faye's client has a session that has moved on to the transport. The first messages may leave over HTTP. */
export async function connected(client, transport) {
  await client.publish('/elsewhere', {});
  await until(() => connectionType(client) === transport, `connected by ${transport}`);
  return client;
}
