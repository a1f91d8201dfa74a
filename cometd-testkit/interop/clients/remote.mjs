// Clients in other languages. Each has a small program in its language that does with the client what it is told, and
// tells what it hears: one JSON object a line, to its standard input and from its standard output.
//
//   { call, client, do, … }     to the program: the call's number, the client's number, what to do
//   { call, result }            from the program: it is done
//   { call, error }             it went wrong; the error as the client words it
//   { client, channel, data }   an event that the client hands to its application
//   { client, over }            the client has given up by itself, and why
//
// What there is to do:
//
//   open { url, transport, ext }                  makes the client, with these extensions, and connects it
//   subscribe, unsubscribe { channel }
//   publish { channel, data }
//   batch { channel, data: [ … ] }                publishes all of them in one go
//   call { target, data }                         the result is what the service answers
//   clock                                         the result is what timesync found out: { offset, lag }
//   close                                         ends the session in good order
//
// A program ends with its input.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { SOON, until, within } from '../waiting.mjs';

/** A first call waits for a virtual machine to start, and perhaps to compile the program. */
const FIRST = 30_000;

/** Whatever happens to a run, no program outlives it. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export class Program {
  #child;
  #calls = new Map();
  #clients = new Map();
  #last = 0;
  #ended;

  constructor(command, ...args) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    running.add(this.#child);
    this.#child.on('exit', () => running.delete(this.#child));
    for (const end of ['error', 'exit']) this.#child.on(end, (reason) => this.#fail(new Error(`${command} ended: ${reason}`)));
    // A program that is gone is reported by its end.
    this.#child.stdin.on('error', () => {});
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#hear(JSON.parse(line)));
  }

  /** A number for one more client, whose news go to the function. */
  enlist(hear) {
    const number = this.#clients.size;
    this.#clients.set(number, hear);
    return number;
  }

  async call(message) {
    if (this.#ended) throw this.#ended;
    const call = ++this.#last;
    const done = new Promise((resolve, reject) => this.#calls.set(call, { resolve, reject }));
    this.#child.stdin.write(`${JSON.stringify({ call, ...message })}\n`);
    return within(call === 1 ? FIRST : SOON, done, JSON.stringify(message));
  }

  #hear({ call, client, ...news }) {
    if (call === undefined) return this.#clients.get(client)(news);
    const { resolve, reject } = this.#calls.get(call);
    this.#calls.delete(call);
    if ('error' in news) reject(new Error(news.error));
    else resolve(news.result);
  }

  #fail(error) {
    this.#ended = error;
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }

  async end() {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.stdin.end();
    await within(SOON, exit, 'the program has ended').finally(() => this.#child.kill('SIGKILL'));
  }
}

/** One client of a program; for the rest of the suite much like a tab of cometd.js. */
export class Remote {
  /** Channel and data of each event, in the order of arrival. */
  events = [];
  /** Why the client has given up by itself, if it has. */
  over;
  #program;
  #number;
  #open = false;

  constructor(program) {
    this.#program = program;
    this.#number = program.enlist(({ over, channel, data }) => {
      if (over === undefined) this.events.push([channel, data]);
      else this.over = over;
    });
  }

  #do(what, args) {
    return this.#program.call({ client: this.#number, do: what, ...args });
  }

  async open(server, { transport, ext = [] }) {
    // A client that is out of order must not keep the rest from ending.
    server.last(() => this.close().catch(() => {}));
    this.#open = true;
    return this.#do('open', { url: server.url, transport, ext });
  }

  subscribe(channel) {
    return this.#do('subscribe', { channel });
  }

  unsubscribe(channel) {
    return this.#do('unsubscribe', { channel });
  }

  publish(channel, data) {
    return this.#do('publish', { channel, data });
  }

  batch(channel, data) {
    return this.#do('batch', { channel, data });
  }

  call(target, data) {
    return this.#do('call', { target, data });
  }

  clock() {
    return this.#do('clock');
  }

  async close() {
    if (!this.#open) return;
    this.#open = false;
    await this.#do('close');
  }

  data(channel) {
    return this.events.filter(([name]) => name === channel).map(([, data]) => data);
  }

  async reach(channel, count) {
    await until(() => this.data(channel).length >= count, `${count} events on ${channel}`);
    return this.data(channel);
  }
}
