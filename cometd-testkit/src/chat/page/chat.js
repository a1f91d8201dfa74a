/**
 * The chat: what the server means with its channels, and how that looks.
 *
 * | channel            | to the server                 | from the server                                        |
 * |--------------------|-------------------------------|--------------------------------------------------------|
 * | `/chat/ROOM`       | `{ text }`                    | `{ id, user, text, time }`                             |
 * | `/members/ROOM`    |                               | `{ room, members }`, then `{ room, joined }`, `{ room, left }` |
 * | `/service/history` |                               | `{ room, messages }` after `/chat/ROOM` is subscribed  |
 * | `/service/private` | `{ to, text }`                | `{ from, to, text, time }` or `{ to, error }`          |
 *
 * Whatever other people wrote gets into the page as text of a node, never as markup.
 */
import { BayeuxClient } from './bayeux.js';

const DEFAULT_ROOMS = ['lobby', 'rust', 'random'];
const ROOM = /^[a-z0-9-]{1,24}$/;
const TEXT_LIMIT = 2000;
/** Messages of one author closer than this share a heading. */
const GROUP_MS = 5 * 60_000;
/** Older ones leave the page: a tab may stay open for weeks. */
const ENTRY_LIMIT = 500;

const $ = (id) => document.getElementById(id);
const clone = (id) => $(id).content.firstElementChild.cloneNode(true);
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const canHover = matchMedia('(hover: hover)');

// What a reload of this tab shall find again. The storage may be forbidden: then the chat works without.

const memory = {
  get(name) {
    try {
      return JSON.parse(sessionStorage.getItem(`chat-${name}`));
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      sessionStorage.setItem(`chat-${name}`, JSON.stringify(value));
    } catch { /* nothing to do about it */ }
  },
};

let me = '';
let key = '';
let signedIn = false;
let state = { name: 'disconnected' };
let current = null;
let drafts = {};
/** Conversations by key: `#room` or `@name`. */
const conversations = new Map();

const client = new BayeuxClient({ url: '/cometd', onstate: stateChanged });
client.listen('/service/history', historyArrived);
client.listen('/service/private', privateArrived);

// Conversations.

class Conversation {
  constructor(kind, name) {
    this.kind = kind;
    this.name = name;
    this.key = kind === 'room' ? `#${name}` : `@${name}`;
    this.entries = [];
    this.outbox = [];
    this.seen = new Set();
    this.members = [];
    this.unread = 0;
    this.announced = false;
    this.atEnd = true;
    this.top = 0;

    this.scroll = clone('conversation-template');
    this.list = this.scroll.querySelector('.entries');
    this.outboxList = this.scroll.querySelector('.outbox');
    this.empty = this.scroll.querySelector('.empty');
    this.empty.textContent = kind === 'room' ? 'Nothing here yet. Say hello!' : `This is the beginning of your conversation with ${name}.`;
    this.scroll.setAttribute('aria-label', kind === 'room' ? `Messages in ${name}` : `Private messages with ${name}`);
    this.scroll.hidden = true;
    this.scroll.addEventListener('scroll', () => this.scrolled(), { passive: true });
    // The keyboard of a phone shrinks the log: what was at the end stays at the end.
    new ResizeObserver(() => this.follow()).observe(this.scroll);
    $('conversations').append(this.scroll);

    const place = clone('place-template');
    this.place = place;
    this.button = place.querySelector('button');
    place.querySelector('.mark').textContent = kind === 'room' ? '#' : '@';
    place.querySelector('.name').textContent = name;
    this.button.addEventListener('click', () => {
      show(this);
      closeSide();
    });
  }

  get shown() {
    return current === this;
  }

  scrolled() {
    if (!this.shown) return;
    this.top = this.scroll.scrollTop;
    this.atEnd = this.scroll.scrollHeight - this.top - this.scroll.clientHeight < 48;
    if (this.atEnd && document.visibilityState === 'visible') this.read();
  }

  follow() {
    if (this.shown && this.atEnd) this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  read() {
    this.unread = 0;
    this.firstUnread = null;
    refreshUnread();
  }

  /** Adds a message unless it is here already; true if it was new. */
  add(message, live) {
    const { id, time, user } = message;
    // The id alone is not enough: a restarted server counts from the beginning again.
    const mark = id === undefined ? null : `${id} ${time}`;
    if (mark && this.seen.has(mark)) return false;
    if (mark) this.seen.add(mark);
    if (user === me) this.settle(message.text, live);

    // History that arrives after a reconnect may have to go between what is here.
    const later = (entry) => entry.time > time || (entry.time === time && (entry.id ?? 0) > (id ?? 0));
    let index = this.entries.length;
    for (let i = this.entries.length - 1; i >= 0; i -= 1) {
      if (this.entries[i].system) continue;
      if (!later(this.entries[i])) break;
      index = i;
    }
    // Lines about joining stay below the messages that are older than them.
    if (!live && index === this.entries.length) {
      while (index > 0 && this.entries[index - 1].system) index -= 1;
    }
    this.insert(index, { ...message, mark, node: messageNode(message) });
    return true;
  }

  addSystem(name, text) {
    const node = clone('system-template');
    node.querySelector('bdi').textContent = name;
    node.querySelector('span').textContent = text;
    this.insert(this.entries.length, { system: true, node });
    this.follow();
  }

  insert(index, entry) {
    this.list.insertBefore(entry.node, this.entries[index]?.node ?? null);
    this.entries.splice(index, 0, entry);
    while (this.entries.length > ENTRY_LIMIT) {
      const gone = this.entries.shift();
      index -= 1;
      gone.node.remove();
      this.seen.delete(gone.mark);
    }
    this.empty.hidden = true;
    if (index < 0) return;
    this.decorate(index);
    const next = this.entries.findIndex((other, i) => i > index && !other.system);
    if (next >= 0) this.decorate(next);
  }

  /** Headings depend on what stands above: the day, and whether the author goes on talking. */
  decorate(index) {
    const entry = this.entries[index];
    if (entry.system) return;
    let above = index - 1;
    while (above >= 0 && this.entries[above].system) above -= 1;
    const previous = this.entries[above];
    const newDay = dayOf(previous?.time ?? Date.now()) !== dayOf(entry.time);
    const day = entry.node.querySelector('.day');
    day.hidden = !newDay;
    if (newDay) day.firstElementChild.textContent = dayName(entry.time);
    const close = previous?.user === entry.user && entry.time - previous.time < GROUP_MS;
    entry.node.classList.toggle('continued', !newDay && close && above === index - 1);
  }

  // The outbox: what the user has sent and the server has not shown yet.

  send(text) {
    const item = { text, fate: 'sending', node: clone('outbox-template') };
    item.node.querySelector('.text').textContent = text;
    item.node.querySelector('.retry').addEventListener('click', () => this.retry(item));
    item.node.querySelector('.discard').addEventListener('click', () => {
      this.drop(item);
      $('text').focus();
    });
    this.dispatch(item);
    this.atEnd = true;
    this.empty.hidden = true;
    this.follow();
  }

  retry(item) {
    this.outbox.splice(this.outbox.indexOf(item), 1);
    this.dispatch(item);
    $('text').focus();
  }

  dispatch(item) {
    this.outbox.push(item);
    this.outboxList.append(item.node);
    this.setFate(item, 'sending');
    const sent = this.kind === 'room'
      ? client.publish(`/chat/${this.name}`, { text: item.text })
      : client.publish('/service/private', { to: this.name, text: item.text });
    sent.then(() => {
      // A private message that cannot be delivered may have failed already: events come before replies.
      if (item.fate === 'sending') this.setFate(item, 'sent');
    }, (error) => this.fail(item, refusalText(error)));
  }

  fail(item, why) {
    if (!this.outbox.includes(item)) return;
    this.setFate(item, 'failed', why);
    announce(`Message not sent: ${why}`);
    this.follow();
  }

  setFate(item, fate, why = '') {
    item.fate = fate;
    item.why = why;
    this.refreshItem(item);
  }

  refreshItem({ fate, why, node }) {
    const waiting = fate === 'sending' && state.name !== 'connected';
    node.classList.toggle('failed', fate === 'failed');
    node.classList.toggle('waiting', waiting);
    let text = '';
    if (waiting) text = 'Waiting for the connection…';
    else if (fate === 'sending') text = 'Sending…';
    else if (fate === 'failed') text = `Not sent: ${why}.`;
    node.querySelector('.fate span').textContent = text;
    node.querySelector('.retry').hidden = fate !== 'failed';
    node.querySelector('.discard').hidden = fate !== 'failed';
  }

  /** The server shows one of our messages: it leaves the outbox, even if its reply was lost on the way. */
  settle(text, live) {
    const going = this.outbox.filter((item) => item.fate !== 'failed');
    const item = going.find((one) => one.text === text)
      ?? this.outbox.find((one) => one.text === text)
      ?? (live ? going.find((one) => one.fate === 'sent') : undefined);
    if (item) this.drop(item);
  }

  drop(item) {
    this.outbox = this.outbox.filter((other) => other !== item);
    item.node.remove();
  }

  remove() {
    conversations.delete(this.key);
    this.scroll.remove();
    this.place.remove();
  }
}

function messageNode({ user, text, time }) {
  const node = clone('message-template');
  node.classList.toggle('own', user === me);
  paintAvatar(node.querySelector('.avatar'), user);
  node.querySelector('.name').textContent = user === me ? 'You' : user;
  node.querySelector('.text').textContent = text;
  const stamp = node.querySelector('time');
  const date = new Date(time);
  stamp.dateTime = date.toISOString();
  stamp.textContent = clock.format(date);
  stamp.title = full.format(date);
  node.querySelector('.body').title = full.format(date);
  return node;
}

/** Colours are classes, because the content security policy of the page forbids inline styles. */
function paintAvatar(node, name) {
  let hash = 7;
  for (const char of name) hash = (Math.imul(hash, 31) + char.codePointAt(0)) >>> 0;
  node.className = `avatar hue-${hash % 8}`;
  node.textContent = [...name][0]?.toUpperCase() ?? '';
}

function dayOf(time) {
  return new Date(time).toDateString();
}

function dayName(time) {
  const now = new Date();
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayOf(time) === now.toDateString()) return 'Today';
  if (dayOf(time) === yesterday.toDateString()) return 'Yesterday';
  return calendar.format(time);
}

function refusalText(error) {
  if (error.code === 0 || error.code === undefined) return 'the connection failed';
  return (error.reason || error.text).replaceAll('_', ' ');
}

function announce(text) {
  $('announcer').textContent = text;
}

// Rooms.

function joinRoom(name) {
  const known = conversations.get(`#${name}`);
  if (known) return known;
  const room = new Conversation('room', name);
  conversations.set(room.key, room);
  client.subscribe(`/members/${name}`, (data) => membersArrived(room, data)).catch(() => {});
  client.subscribe(`/chat/${name}`, (data) => messageArrived(room, data)).catch((error) => {
    if (conversations.get(room.key) !== room) return;
    leaveRoom(room);
    $('join-error').textContent = `Cannot join ${name}: ${refusalText(error)}.`;
  });
  refreshPlaces();
  remember();
  return room;
}

function leaveRoom(room) {
  client.unsubscribe(`/chat/${room.name}`).catch(() => {});
  client.unsubscribe(`/members/${room.name}`).catch(() => {});
  forget(room);
}

function forget(conversation) {
  delete drafts[conversation.key];
  if (conversation.shown) {
    current = null;
    $('text').value = '';
  }
  conversation.remove();
  if (!current) show([...conversations.values()].find((other) => other.kind === 'room') ?? joinRoom(DEFAULT_ROOMS[0]));
  refreshPlaces();
  refreshUnread();
  remember();
}

function messageArrived(room, data) {
  if (!isMessage(data) || !room.add(data, true)) return;
  arrived(room, data.user !== me);
}

function historyArrived({ room: name, messages }) {
  const room = conversations.get(`#${name}`);
  if (!room || !Array.isArray(messages)) return;
  // A screen reader shall not read the whole past aloud.
  room.scroll.setAttribute('aria-busy', 'true');
  for (const message of messages) if (isMessage(message)) room.add(message, false);
  room.follow();
  setTimeout(() => room.scroll.removeAttribute('aria-busy'), 200);
}

function isMessage(data) {
  return typeof data?.user === 'string' && typeof data.text === 'string' && Number.isFinite(data.time);
}

function membersArrived(room, data) {
  if (Array.isArray(data?.members)) room.members = data.members.map(String);
  const { joined, left } = data ?? {};
  if (typeof joined === 'string' && !room.members.includes(joined)) {
    room.members = [...room.members, joined].sort();
    if (joined !== me) room.addSystem(joined, 'joined');
  }
  if (typeof left === 'string' && room.members.includes(left)) {
    room.members = room.members.filter((name) => name !== left);
    if (left !== me) room.addSystem(left, 'left');
  }
  if (!room.announced && room.members.includes(me)) {
    room.announced = true;
    room.addSystem('You', `joined ${room.name}`);
  }
  if (room.shown) refreshMembers();
}

// Private conversations.

function openPrivate(name) {
  let conversation = conversations.get(`@${name}`);
  if (!conversation) {
    conversation = new Conversation('private', name);
    conversations.set(conversation.key, conversation);
    refreshPlaces();
  }
  return conversation;
}

function privateArrived(data) {
  if (typeof data?.error === 'string') {
    const conversation = conversations.get(`@${data.to}`);
    const item = conversation?.outbox.find(({ fate }) => fate !== 'failed');
    const why = data.error === 'unknown user' ? `${data.to} is not here` : data.error;
    if (item) conversation.fail(item, why);
    return;
  }
  const { from, to, text, time } = data ?? {};
  if (typeof to !== 'string' || !isMessage({ user: from, text, time })) return;
  const conversation = openPrivate(from === me ? to : from);
  conversation.add({ user: from, text, time }, true);
  arrived(conversation, from !== me);
}

function arrived(conversation, foreign) {
  const unseen = !conversation.shown || !conversation.atEnd || document.visibilityState === 'hidden';
  if (foreign && unseen) conversation.unread += 1;
  conversation.follow();
  refreshUnread();
}

// The panels around the log.

function show(conversation) {
  if (current) current.scroll.hidden = true;
  current = conversation;
  const isRoom = conversation.kind === 'room';
  conversation.scroll.hidden = false;
  conversation.scroll.scrollTop = conversation.atEnd ? conversation.scroll.scrollHeight : conversation.top;
  conversation.read();
  $('title-mark').textContent = isRoom ? '#' : '@';
  $('title').textContent = conversation.name;
  $('leave').textContent = isRoom ? 'Leave' : 'Close';
  $('leave').setAttribute('aria-label', isRoom ? `Leave ${conversation.name}` : `Close the conversation with ${conversation.name}`);
  $('stage').classList.toggle('is-private', !isRoom);
  $('privacy').hidden = isRoom;
  $('privacy').textContent = isRoom ? '' : `Private: only you and ${conversation.name} see this.`;
  $('text').placeholder = isRoom ? `Message #${conversation.name}` : `Private message to ${conversation.name}`;
  $('text').value = drafts[conversation.key] ?? '';
  textChanged();
  refreshPlaces();
  refreshMembers();
  if (isRoom) history.replaceState(null, '', `#${conversation.name}`);
  if (canHover.matches) $('text').focus();
}

function refreshPlaces() {
  const all = [...conversations.values()];
  const rooms = all.filter(({ kind }) => kind === 'room');
  const offered = DEFAULT_ROOMS.filter((name) => !conversations.has(`#${name}`)).map(offeredPlace);
  arrange($('rooms'), [...rooms.map(({ place }) => place), ...offered]);
  const privates = all.filter(({ kind }) => kind === 'private');
  arrange($('privates'), privates.map(({ place }) => place));
  $('privates-section').hidden = privates.length === 0;
  // There is always a room to be in.
  $('leave').hidden = current?.kind === 'room' && rooms.length === 1;
  for (const conversation of all) {
    if (conversation.shown) conversation.button.setAttribute('aria-current', 'true');
    else conversation.button.removeAttribute('aria-current');
  }
}

const offers = new Map();

function offeredPlace(name) {
  if (!offers.has(name)) {
    const place = clone('place-template');
    place.classList.add('offered');
    place.querySelector('.mark').textContent = '#';
    place.querySelector('.name').textContent = name;
    place.querySelector('button').setAttribute('aria-label', `Join ${name}`);
    place.querySelector('button').addEventListener('click', () => {
      show(joinRoom(name));
      closeSide();
    });
    offers.set(name, place);
  }
  return offers.get(name);
}

/** Makes the nodes the children of the list; touches only what differs, so that the focus stays where it is. */
function arrange(list, nodes) {
  for (const node of [...list.children]) if (!nodes.includes(node)) node.remove();
  nodes.forEach((node, index) => {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
}

const memberNodes = new Map();

function memberNode(name) {
  if (!memberNodes.has(name)) {
    const node = clone('member-template');
    const button = node.querySelector('button');
    paintAvatar(node.querySelector('.avatar'), name);
    node.querySelector('.name').textContent = name;
    button.addEventListener('click', () => {
      show(openPrivate(name));
      closeSide();
      $('text').focus();
    });
    memberNodes.set(name, node);
  }
  const node = memberNodes.get(name);
  const button = node.querySelector('button');
  button.disabled = name === me;
  button.title = name === me ? '' : `Write to ${name} privately`;
  node.querySelector('.note').textContent = name === me ? 'you' : '';
  return node;
}

function refreshMembers() {
  const isRoom = current.kind === 'room';
  const names = isRoom ? current.members : [me, current.name];
  arrange($('member-list'), names.map(memberNode));
  // Nodes of people who have gone would pile up.
  for (const name of [...memberNodes.keys()]) if (!names.includes(name)) memberNodes.delete(name);
  $('members-heading').textContent = isRoom ? `Members · ${names.length}` : 'In this conversation';
  $('members-note').textContent = isRoom ? 'Choose a name to write privately.' : 'Private messages are not kept: a reload of the page forgets them.';
  $('member-count').textContent = isRoom ? String(names.length) : '';
  $('open-members').setAttribute('aria-label', isRoom ? `Members: ${names.length}` : 'Members');
}

function refreshUnread() {
  let total = 0;
  let elsewhere = 0;
  for (const conversation of conversations.values()) {
    const { unread, button } = conversation;
    total += unread;
    if (!conversation.shown) elsewhere += unread;
    const badge = button.querySelector('.badge');
    badge.hidden = unread === 0;
    badge.textContent = unread > 99 ? '99+' : String(unread);
    if (unread > 0) button.setAttribute('aria-label', `${conversation.name}, ${unread} unread`);
    else button.removeAttribute('aria-label');
  }
  $('unread-elsewhere').hidden = elsewhere === 0;
  $('unread-elsewhere').textContent = elsewhere > 9 ? '9+' : String(elsewhere);
  $('newer').hidden = !current || current.unread === 0 || current.atEnd;
  $('newer').textContent = current?.unread === 1 ? '1 new message' : `${current?.unread ?? 0} new messages`;
  const where = current ? `${current.kind === 'room' ? '#' : ''}${current.name} · Chat` : 'Chat';
  document.title = total > 0 ? `(${total}) ${where}` : where;
}

$('newer').addEventListener('click', () => {
  current.atEnd = true;
  current.follow();
  current.read();
  $('text').focus();
});

document.addEventListener('visibilitychange', () => {
  if (document.visibilityState !== 'visible') return;
  client.wake();
  if (current?.atEnd) current.read();
});

// On a narrow screen the panels slide over the log, and the rest of the page is out of reach meanwhile.

let opener = null;

function openSide(button, side) {
  opener = button;
  button.setAttribute('aria-expanded', 'true');
  side.classList.add('open');
  $('backdrop').hidden = false;
  $('stage').inert = true;
  side.focus();
}

function closeSide() {
  if (!opener) return;
  for (const side of document.querySelectorAll('.side.open')) side.classList.remove('open');
  $('backdrop').hidden = true;
  $('stage').inert = false;
  opener.setAttribute('aria-expanded', 'false');
  opener.focus();
  opener = null;
}

$('open-places').addEventListener('click', () => openSide($('open-places'), $('places')));
$('open-members').addEventListener('click', () => openSide($('open-members'), $('members')));
$('backdrop').addEventListener('click', closeSide);
for (const button of document.querySelectorAll('[data-close]')) button.addEventListener('click', closeSide);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') closeSide();
});
// A window that grows turns the panels into columns again.
addEventListener('resize', () => {
  if (opener && getComputedStyle(opener).display === 'none') closeSide();
});

$('leave').addEventListener('click', () => (current.kind === 'room' ? leaveRoom(current) : forget(current)));

$('join').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('join-room').value.trim().toLowerCase().replace(/^#/, '').replace(/\s+/g, '-');
  if (!ROOM.test(name)) {
    $('join-error').textContent = name ? 'Use a to z, 0 to 9 and -, at most 24.' : '';
    $('join-room').focus();
    return;
  }
  $('join-error').textContent = '';
  $('join-room').value = '';
  show(joinRoom(name));
  closeSide();
});

// The composer.

function textChanged() {
  const { value } = $('text');
  if (current) drafts[current.key] = value;
  const left = TEXT_LIMIT - value.length;
  $('left').textContent = left < 200 ? `${left} characters left.` : '';
  $('composer').classList.toggle('has-text', value.trim() !== '');
  remember();
}

$('text').addEventListener('input', textChanged);

$('text').addEventListener('keydown', (event) => {
  // While an input method composes a character, Enter belongs to it.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('composer').requestSubmit();
});

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (text === '' || !current) return;
  current.send(text);
  $('text').value = '';
  textChanged();
  $('text').focus();
});

// Signing in and out.

/** One per tab: with it a tab gets its name back after a crash, and nobody else does. */
async function tabKey() {
  const kept = memory.get('key');
  const duplicate = kept && (await isUsedByAnotherTab(kept));
  const token = kept && !duplicate ? kept : newKey();
  // A duplicated tab begins with a copy of the storage. It is somebody else from now on.
  if (duplicate) memory.set('visit', null);
  memory.set('key', token);
  answerOtherTabs(token);
  return token;
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const tabs = 'BroadcastChannel' in window ? new BroadcastChannel('chat-tabs') : null;

function isUsedByAnotherTab(token) {
  if (!tabs) return false;
  return new Promise((resolve) => {
    tabs.onmessage = ({ data }) => data?.used === token && resolve(true);
    tabs.postMessage({ ask: token });
    setTimeout(() => resolve(false), 150);
  });
}

function answerOtherTabs(token) {
  if (tabs) tabs.onmessage = ({ data }) => data?.ask === token && tabs.postMessage({ used: token });
}

function remember() {
  if (!signedIn) return;
  const rooms = [...conversations.values()].filter(({ kind }) => kind === 'room').map(({ name }) => name);
  memory.set('visit', { user: me, rooms, current: current?.key, drafts });
}

function signIn(name) {
  me = name;
  $('login-error').textContent = '';
  client.connect({ chat: { user: name, key } });
}

function clearConversations() {
  for (const conversation of [...conversations.values()]) {
    if (conversation.kind === 'room') {
      client.unsubscribe(`/chat/${conversation.name}`).catch(() => {});
      client.unsubscribe(`/members/${conversation.name}`).catch(() => {});
    }
    conversation.remove();
  }
  current = null;
}

function enter() {
  signedIn = true;
  $('login').hidden = true;
  $('app').hidden = false;
  paintAvatar($('me-avatar'), me);
  $('me-name').textContent = me;
  memberNodes.clear();
  if (current) {
    refreshMembers();
    return;
  }
  const visit = memory.get('visit');
  const mine = visit?.user === me ? visit : null;
  drafts = { ...mine?.drafts };
  const hash = location.hash.slice(1);
  const wanted = new Set((mine?.rooms ?? []).filter((name) => ROOM.test(name)));
  if (ROOM.test(hash)) wanted.add(hash);
  if (wanted.size === 0) wanted.add(DEFAULT_ROOMS[0]);
  for (const name of wanted) joinRoom(name);
  show(conversations.get(ROOM.test(hash) ? `#${hash}` : mine?.current) ?? conversations.values().next().value);
}

function toLogin(text) {
  signedIn = false;
  closeSide();
  $('app').hidden = true;
  $('login').hidden = false;
  $('name').value = me;
  $('login-error').textContent = text;
  $('name').setAttribute('aria-invalid', String(text !== ''));
  document.title = 'Chat';
  $('name').focus();
  $('name').select();
}

$('login-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (state.name !== 'disconnected') return;
  const name = $('name').value.trim();
  if (name === '') {
    $('login-error').textContent = 'Please enter a name.';
    $('name').focus();
    return;
  }
  // Whoever is quick, on a page that was reloaded, signs in before the tab knows its key.
  ready.then(() => state.name === 'disconnected' && signIn(name));
});

$('cancel').addEventListener('click', () => client.disconnect());

$('sign-out').addEventListener('click', () => {
  client.disconnect();
  clearConversations();
  drafts = {};
  memory.set('visit', null);
  history.replaceState(null, '', location.pathname);
});

function denial({ reason, error }) {
  if (reason === 'client') return '';
  if (error?.reason === 'name_taken') return `“${me}” is taken. Please choose another name.`;
  if (error?.reason === 'name_invalid') return 'The server does not accept this name. Use letters, digits, spaces or . _ -';
  if (reason === 'denied') return `The server refused: ${error ? refusalText(error) : 'no reason given'}.`;
  if (reason === 'unsupported') return 'The server speaks neither WebSocket nor long-polling.';
  return 'The server ended your session. Perhaps you signed in somewhere else.';
}

function stateChanged(name, detail) {
  const before = state.name;
  state = { name, ...detail };
  document.body.dataset.state = name;
  if (name === 'connected') document.body.dataset.transport = client.transport;
  else delete document.body.dataset.transport;
  const connecting = name === 'connecting';
  $('sign-in').disabled = connecting;
  $('sign-in').textContent = connecting ? 'Joining…' : 'Join';
  $('cancel').hidden = !connecting;
  $('name').readOnly = connecting;
  if (connecting) $('login-error').textContent = detail.failures > 0 ? 'No connection yet. Trying again…' : '';
  if (name === 'connected' && !signedIn) enter();
  // Whoever leaves the page sees nothing of it; whoever comes back to it is signed in again.
  if (name === 'disconnected' && !leaving) toLogin(denial(detail));

  let text = { connecting: 'Connecting…', connected: 'Connected', reconnecting: 'Reconnecting…', disconnected: 'Disconnected' }[name];
  if (name === 'connected' && detail.shared) text = 'Connected, with a short delay';
  // Setting the same text again would make screen readers repeat it.
  if ($('status').textContent !== text) $('status').textContent = text;
  $('status').title = detail.shared ? 'Another tab of this browser holds the live connection; this one looks every few seconds.' : '';
  $('retry-now').hidden = name !== 'reconnecting' || detail.failures < 3;
  if (before !== name) {
    for (const conversation of conversations.values()) {
      for (const item of conversation.outbox) conversation.refreshItem(item);
    }
  }
}

$('retry-now').addEventListener('click', () => {
  client.wake();
  $('text').focus();
});
addEventListener('online', () => client.wake());

// The server shall not have to wait for a timeout to learn that somebody has gone.

let leaving = false;

addEventListener('pagehide', () => {
  leaving = true;
  client.disconnect();
});

addEventListener('pageshow', ({ persisted }) => {
  leaving = false;
  if (persisted && me && !$('app').hidden) client.connect({ chat: { user: me, key } });
});

const ready = tabKey().then((token) => {
  key = token;
});

ready.then(() => {
  const visit = memory.get('visit');
  if (visit?.user) {
    $('name').value = visit.user;
    signIn(visit.user);
  } else {
    $('name').focus();
  }
});
