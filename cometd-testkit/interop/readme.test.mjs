// The README's shell script for talking to the server by hand, run as it stands.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { testbed } from './testbed.mjs';

test('the script in the README is the whole life of a session', async (t) => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
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
