// What stands between a browser and the server: forwards HTTP as it is, and does with upgrades what it is told.

import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';

export class Proxy {
  /**
   * - `pass`: upgrades work;
   * - `refuse`: they are answered with 403;
   * - `strip`: they arrive as ordinary requests, because the headers that ask for them end here;
   * - `swallow`: they are never answered.
   */
  upgrades = 'pass';
  /** `METHOD /path` of all requests so far, of upgrades `UPGRADE /path`. */
  requests = [];
  #target;
  #server = createServer((incoming, outgoing) => this.#forward(incoming, outgoing));
  #sockets = new Set();
  #tunnels = new Set();

  /** Listens on a port of its own. */
  static async before(port) {
    const proxy = new Proxy(port);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.port = proxy.#server.address().port;
    return proxy;
  }

  constructor(port) {
    this.#target = { host: '127.0.0.1', port };
    this.#server.on('connection', (socket) => this.#keep(socket));
    this.#server.on('upgrade', (incoming, socket, head) => this.#upgrade(incoming, socket, head));
  }

  /** Breaks what was upgraded, on both sides. */
  cut() {
    for (const tunnel of this.#tunnels) tunnel.end();
  }

  /** Breaks what was upgraded as soon as its client says something, which is lost. */
  cutWhenUsed() {
    for (const tunnel of this.#tunnels) tunnel.fate = 'cut';
  }

  /** What was upgraded carries nothing from here on, and neither side learns of it. */
  freeze() {
    for (const tunnel of this.#tunnels) tunnel.fate = 'freeze';
  }

  async close() {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #keep(socket) {
    this.#sockets.add(socket);
    // A connection that is reset is closed, too.
    return socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
  }

  #forward(incoming, outgoing) {
    const { method, url, headers } = incoming;
    this.requests.push(`${method} ${url}`);
    const onward = request({ ...this.#target, agent: false, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on('error', () => (outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end()));
    outgoing.on('close', () => onward.destroy());
    incoming.pipe(onward);
  }

  #upgrade({ method, url, rawHeaders }, near, head) {
    this.requests.push(`UPGRADE ${url}`);
    if (this.upgrades === 'swallow') return;
    if (this.upgrades === 'refuse') {
      near.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    const headers = [];
    for (let i = 0; i < rawHeaders.length; i += 2) headers.push([rawHeaders[i], rawHeaders[i + 1]]);
    const strip = this.upgrades === 'strip';
    const kept = strip ? headers.filter(([name]) => !/^(upgrade|connection)$/i.test(name)) : headers;
    if (strip) kept.push(['Connection', 'close']);
    const far = this.#keep(connect(this.#target));
    far.write(`${method} ${url} HTTP/1.1\r\n${kept.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
    far.write(head);
    this.#tunnel(near, far);
  }

  #tunnel(near, far) {
    const tunnel = {
      fate: 'carry',
      end: () => {
        near.destroy();
        far.destroy();
      },
    };
    this.#tunnels.add(tunnel);
    near.on('data', (bytes) => {
      if (tunnel.fate === 'carry') far.write(bytes);
      if (tunnel.fate === 'cut') tunnel.end();
    });
    far.on('data', (bytes) => tunnel.fate !== 'freeze' && near.write(bytes));
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on('end', () => tunnel.fate !== 'freeze' && other.end());
      one.on('close', () => {
        this.#tunnels.delete(tunnel);
        if (tunnel.fate !== 'freeze') other.destroySoon();
      });
    }
  }
}
