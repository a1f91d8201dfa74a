// The testbed's contract, line by line: where each is tested, and here what is tested nowhere else.
//
// "both" means over long-polling and over WebSocket.
//
// | line | tests |
// | --- | --- |
// | the ready line, and nothing else on standard output | testbed.mjs, for every server of the suite |
// | SIGTERM, SIGINT, exit status 0 | testbed.mjs for every server; stop, frames: "SIGTERM"; here: SIGINT |
// | held connects are answered, sockets closed | stop: "answers held connects…"; frames: "has held connects answered…" |
// | `--listen` | testbed.mjs; a restart takes the port again |
// | `--path` | here |
// | `--timeout` | cometd (both): "is held for the timeout, again and again" |
// | `--interval` | cometd (both): "begins with a handshake" |
// | `--max-interval` | cometd: "a session expires…"; frames: "expires when its time is over…"; cometd.websocket: "for good…" |
// | `--max-lazy-timeout` | cometd (both): "lets a lazy message wait for its timeout" |
// | `--max-message-size` | cometd (both): "takes what is as large as allowed, and no more"; raw, frames: "is not too large…" |
// | `--max-queue` | cometd (both): "is ended when its queue overflows…"; cometd.cuts: "end at the bound…"; here (both): unlimited |
// | `--max-sessions-per-browser`, `--multi-session-interval` | cometd: "a connect is held for…"; cometd.websocket: "…all tabs…" |
// | `--sweep` | free to choose: used by cometd, frames |
// | `--allow-origin` | raw: "is told to other origins…"; frames: "is for pages of this server…"; cometd.browser: "page of another origin" |
// | `--log` | here |
// | acknowledged messages | cometd.extensions (both): "acknowledgements"; cometd.cuts |
// | timesync, timestamp | cometd.extensions (both): "time" |
// | activity | cometd.extensions (both): "activity" |
// | `ext.testbed.deny` | cometd (both): "is not given to whom the policy denies it" |
// | `ext.testbed.delay` | cometd (both): "may be decided about slowly, which holds up nobody else" |
// | `/denied/`, `/readonly/`, `/writeonly/`, `/**` | cometd (both): "is refused by the rules" |
// | everything else is allowed | cometd (both): "carries messages both ways…" |
// | `/service/echo` | cometd (both): "answers the sender alone", "gives remote calls their results" |
// | `/service/delayed-echo` | cometd (both): "may take its time, which holds up nobody else" |
// | `/service/whoami` | cometd (both): "begins with a handshake", "is matched by wildcards…" |
// | `/service/publish` | cometd (both): "publishes in the name of the sender" |
// | `/service/deliver` | cometd (both): "delivers to another session" |
// | `/service/batch` | cometd (both): "delivers a batch in order and in one go" |
// | `/service/disconnect` | cometd (both): "is ended by the server" |
// | `/service/fail` | cometd (both): "may fail without harm" |
// | `/veto/**` | cometd (both): "stops a message" |
// | `/lazy/**` | cometd (both): "lets a lazy message wait…", "…leave with the next one that is not" |
// | `/quiet/**` | cometd (both): "keeps messages from their publisher" |
// | `/replace/**` | cometd (both): "replaces the data" |
// | `/events` | added, removed: cometd (both): "ends with a disconnect"; expired: as `--max-interval`; overflowed: as `--max-queue` |

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Gateway } from './gateway.mjs';
import { tab } from './tab.mjs';
import { testbed } from './testbed.mjs';
import { within } from './waiting.mjs';

const [COMMAND, ...ARGUMENTS] = (process.env.TESTBED_COMMAND ?? '../../target/release/examples/testbed').trim().split(/\s+/);
const PROGRAM = COMMAND.includes('/') ? path.resolve(path.dirname(fileURLToPath(import.meta.url)), COMMAND) : COMMAND;

/** A testbed that is started and watched by hand. */
async function raw(t, ...options) {
  const child = spawn(PROGRAM, [...ARGUMENTS, '--listen', '127.0.0.1:0', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  const [line] = await within(60_000, once(createInterface({ input: child.stdout }), 'line'), 'the ready line');
  const port = Number(line.match(/:(\d+)\//)[1]);
  return {
    url: line.replace('listening on ', ''),
    port,
    last: (action) => t.after(action),
    errors: () => errors,
    async end(signal) {
      const exit = once(child, 'exit');
      child.kill(signal);
      return within(8_000, exit, 'the end');
    },
  };
}

describe('the testbed', { concurrency: true }, () => {
  it('ends cleanly on SIGINT, too', async (t) => {
    const server = await raw(t);
    for (const transport of ['long-polling', 'websocket']) await tab(server, { transport });
    assert.deepEqual(await server.end('SIGINT'), [0, null]);
  });

  it('is mounted where it is said', async (t) => {
    const server = await testbed(t, '--path', '/some/where');
    assert.match(server.url, /\/some\/where$/);
    for (const transport of ['long-polling', 'websocket']) {
      const client = await tab(server, { transport });
      assert.equal((await client.publish('/a', 1)).successful, true);
    }
    assert.equal((await fetch(server.url.replace('/some/where', '/cometd'), { method: 'POST' })).status, 404);
  });

  it('logs to standard error what is asked for', async (t) => {
    for (const [level, expected] of [['off', false], ['warn', true]]) {
      const server = await raw(t, '--log', level);
      const client = await tab(server);
      await client.publish('/service/fail', {});
      assert.deepEqual(await server.end('SIGTERM'), [0, null]);
      assert.equal(/failed on request/.test(server.errors()), expected, server.errors());
    }
  });

  it('refuses options that it does not know', async () => {
    for (const options of [['--timeout', 'soon'], ['--nonsense']]) {
      const child = spawn(PROGRAM, [...ARGUMENTS, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
      let [out, errors] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
      child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
      const [status] = await within(8_000, once(child, 'close'), 'the end');
      assert.ok(status > 0);
      assert.equal(out, '');
      assert.ok(errors.includes(options[0]), errors);
    }
  });

  for (const transport of ['long-polling', 'websocket']) {
    it(`keeps as many messages for a session over ${transport} as there are, unless told otherwise`, async (t) => {
      const server = await testbed(t, '--max-interval', 30_000);
      const gateway = await Gateway.open(server);
      const [away, publisher] = [await tab(gateway, { transport }), await tab(server)];
      const { id } = away;
      await away.subscribe('/many');
      gateway.open = false;
      await gateway.sever();
      // More than the bound that there is by default.
      for (let sent = 0; sent < 12_000; sent += 400) {
        await publisher.client.batch(() => {
          for (let number = sent; number < sent + 400; number++) publisher.client.publish('/many', number);
        });
        await publisher.publish('/elsewhere', sent);
      }
      gateway.open = true;
      const received = await away.reach('/many', 12_000, 20_000);
      assert.deepEqual([received[0], received.at(-1), received.length, away.id], [0, 11_999, 12_000, id]);
    });
  }
});
