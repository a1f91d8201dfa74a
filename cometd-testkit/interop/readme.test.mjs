// The README's shell script for talking to the server by hand, and its client, run as they stand.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { testbed } from './testbed.mjs';
import { SOON } from './waiting.mjs';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');

test('the script in the README is the whole life of a session', async (t) => {
  const script = readme.match(/```sh\n(bayeux\(\)[^]*?)```/)[1];
  const folder = await mkdtemp(path.join(os.tmpdir(), 'readme-'));
  t.after(() => rm(folder, { recursive: true }));
  const server = await testbed(t);
  const here = script.replaceAll('http://127.0.0.1:8080/cometd', server.url);
  assert.notEqual(here, script);
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', here], { cwd: folder });
  const replies = stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(replies.length, 5);
  for (const reply of replies.flat()) assert.notEqual(reply.successful, false);
  assert.deepEqual(replies[3][0], { channel: '/news/local', data: { headline: 'It works' } });
});

test('the client in the README gets its own message, over WebSocket', async (t) => {
  const program = readme.match(/```js\n(import \{ adapt \}[^]*?)```/)[1];
  const server = await testbed(t);
  // It would run for ever. The folder is this one, so that it finds the packages.
  const here = program
    .replaceAll('http://127.0.0.1:8080/cometd', server.url)
    .replace('console.log(message.data)', '{ console.log(JSON.stringify([message.data, cometd.getTransport().type])); process.exit(); }');
  assert.notEqual(here, program);
  const file = fileURLToPath(new URL(`./readme-${process.pid}.tmp.mjs`, import.meta.url));
  await writeFile(file, here);
  t.after(() => rm(file));
  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: SOON });
  assert.deepEqual(JSON.parse(stdout), [{ text: 'hello' }, 'websocket']);
});
