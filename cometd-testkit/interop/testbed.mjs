// The server under test: the testbed application in a process of its own.
//
// TESTBED_COMMAND is the program, perhaps with arguments, that gets `--listen 127.0.0.1:PORT` and the
// test's own options appended. A path in it is meant relative to this folder.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './waiting.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const [COMMAND, ...ARGUMENTS] = (process.env.TESTBED_COMMAND ?? '../../target/release/examples/testbed').trim().split(/\s+/);
const PROGRAM = COMMAND.includes('/') ? path.resolve(HERE, COMMAND) : COMMAND;
/** The command may be one that builds first. */
const START = 60_000;
/** Longer than it ever takes, shorter than the time after which the server cuts connections off. */
const STOP = 8_000;

/** Whatever happens to a run, no server outlives it. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export class Testbed {
  #options;
  #child;
  #last = [];
  /** The port, once the operating system has picked it; a restart takes the same. */
  port = 0;
  url;

  constructor(options) {
    this.#options = options;
  }

  async start() {
    const child = spawn(PROGRAM, [...ARGUMENTS, '--listen', `127.0.0.1:${this.port}`, ...this.#options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    running.add(child);
    child.on('exit', () => running.delete(child));
    this.lines = [];
    const ready = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (status, signal) => reject(new Error(`the server ended with ${status ?? signal}`)));
      createInterface({ input: child.stdout }).on('line', (line) => resolve(this.lines.push(line)));
    });
    try {
      await within(START, ready, 'the server is ready');
      const [, url, port] = this.lines[0].match(/^listening on (http:\/\/127\.0\.0\.1:(\d+)\/\S*)$/) ?? assert.fail(this.lines[0]);
      this.url = url;
      this.port = Number(port);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    return this;
  }

  /** Asks the server to end, and does not wait. */
  terminate() {
    this.#child.kill('SIGTERM');
  }

  /** Stops the server and insists on a clean end. */
  async stop() {
    const child = this.#child;
    try {
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit');
        child.kill('SIGTERM');
        await within(STOP, exit, 'the server has ended');
      }
      assert.deepEqual([child.exitCode, child.signalCode], [0, null], 'exit status and signal');
      assert.equal(this.lines.length, 1, 'one line on standard output');
    } finally {
      child.kill('SIGKILL');
    }
  }

  /** Ends the server without giving it a chance to say goodbye. */
  async kill() {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await within(STOP, exit, 'the server has ended');
  }

  /** What is to be done before the server is stopped at the end of a test, last one first. */
  last(action) {
    this.#last.push(action);
  }

  async end() {
    try {
      while (this.#last.length > 0) await this.#last.pop()();
    } finally {
      await this.stop();
    }
  }
}

/** A server for one test. Its options are those of the testbed's command line. */
export async function testbed(t, ...options) {
  const server = await new Testbed(options.map(String)).start();
  t.after(() => server.end());
  return server;
}
