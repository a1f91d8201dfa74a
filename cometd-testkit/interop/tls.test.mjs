// The server behind TLS, hosted by the example: https, HTTP/2, wss, and a peer that never shakes hands.
//
// TLS_COMMAND is the program, perhaps with arguments, that gets `--listen 127.0.0.1:0` appended.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http2 from 'node:http2';
import https from 'node:https';
import { connect } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { KEY, accepted, payload } from './frames.mjs';
import { SOON, within } from './waiting.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const [COMMAND, ...ARGUMENTS] = (process.env.TLS_COMMAND ?? '../../target/release/examples/tls').trim().split(/\s+/);
const HANDSHAKE = { channel: '/meta/handshake', version: '1.0' };

const ca = await readFile(new URL('../tls/certificate.pem', import.meta.url));
let child, port;

before(async () => {
  const program = COMMAND.includes('/') ? path.resolve(HERE, COMMAND) : COMMAND;
  child = spawn(program, [...ARGUMENTS, '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await within(SOON, once(createInterface({ input: child.stdout }), 'line'), 'the server is ready');
  port = Number(line.match(/^listening on https:\/\/127\.0\.0\.1:(\d+)\/cometd$/)[1]);
});

after(() => child.kill('SIGKILL'));

async function read(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces));
}

test('https', async () => {
  const request = https.request({ port, ca, method: 'POST', path: '/cometd', headers: { 'Content-Type': 'application/json' } });
  request.end(JSON.stringify([HANDSHAKE]));
  const [response] = await within(SOON, once(request, 'response'), 'a response');
  const [reply] = await read(response);
  assert.deepEqual([response.statusCode, reply.successful], [200, true]);
});

test('HTTP/2, which both sides choose while they shake hands', async () => {
  const client = http2.connect(`https://localhost:${port}`, { ca });
  const stream = client.request({ ':method': 'POST', ':path': '/cometd', 'content-type': 'application/json' });
  stream.end(JSON.stringify([HANDSHAKE]));
  const [headers] = await within(SOON, once(stream, 'response'), 'a response');
  const [reply] = await read(stream);
  assert.deepEqual([headers[':status'], reply.successful, client.alpnProtocol], [200, true, 'h2']);
  client.close();
});

test('wss', async () => {
  const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': KEY };
  const request = https.request({ port, ca, path: '/cometd', headers });
  request.end();
  const [response, socket] = await within(SOON, once(request, 'upgrade'), 'an upgrade');
  assert.equal(response.headers['sec-websocket-accept'], accepted(KEY));
  socket.write(payload(HANDSHAKE));
  const [frame] = await within(SOON, once(socket, 'data'), 'a frame');
  assert.equal(JSON.parse(frame.subarray(4))[0].successful, true);
  socket.destroy();
});

test('a peer that never shakes hands keeps nobody waiting', async () => {
  const mute = connect(port, '127.0.0.1');
  await once(mute, 'connect');
  const plain = connect(port, '127.0.0.1');
  plain.on('error', () => {}).resume().end('GET / HTTP/1.1\r\n\r\n');
  await within(SOON, once(plain, 'close'), 'the end of what is no TLS');
  const request = https.request({ port, ca, path: '/elsewhere' }).end();
  const [response] = await within(SOON, once(request, 'response'), 'a response');
  assert.equal(response.statusCode, 404);
  assert.ok(!mute.readableEnded);
  mute.destroy();
});
