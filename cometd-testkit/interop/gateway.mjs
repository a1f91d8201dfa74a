// What stands between clients and servers out there: a proxy that loses connections, or upgrades.

import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

/** Resets a connection. Node cannot do that while it is ending one: it would never be done with the socket. */
function reset(socket) {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

/** Passes bytes on to a server, for as long as the test wants that. It can be used in the server's place. */
export class Gateway {
  #server;
  #listener;
  #pairs = new Set();
  /** Whether new connections are passed on; they are reset otherwise. */
  open = true;
  /** How many connections were passed on so far. */
  count = 0;

  static async open(server) {
    const gateway = new Gateway(server);
    gateway.#listener.listen(0, '127.0.0.1');
    await once(gateway.#listener, 'listening');
    server.last(() => gateway.close());
    return gateway;
  }

  constructor(server) {
    this.#server = server;
    this.#listener = net.createServer({ allowHalfOpen: true }, (near) => this.#pass(near.setNoDelay(true)));
  }

  get port() {
    return this.#listener.address().port;
  }

  get url() {
    return this.#server.url.replace(`:${this.#server.port}/`, `:${this.port}/`);
  }

  last(action) {
    this.#server.last(action);
  }

  #pass(near) {
    near.on('error', () => {});
    if (!this.open) return near.resetAndDestroy();
    this.count += 1;
    const far = net.connect({ port: this.#server.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    // Whether the end of one is no longer the end of the other.
    const pair = { near, far, apart: false };
    this.#pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on('error', () => {});
      from.on('close', () => {
        this.#pairs.delete(pair);
        if (!pair.apart) to.destroy();
      });
      from.pipe(to);
    }
  }

  #all() {
    const pairs = [...this.#pairs];
    this.#pairs.clear();
    return pairs;
  }

  /** Cuts all connections off, without a word on either side. */
  cut() {
    for (const { near, far } of this.#all()) {
      reset(near);
      reset(far);
    }
  }

  /** The same, and waits until the server knows: everything from then on is behind the cut for it. */
  async sever() {
    await Promise.all(
      this.#all().map(async (pair) => {
        const { near, far } = pair;
        pair.apart = true;
        near.unpipe(far);
        far.unpipe(near);
        reset(near);
        // The server ends its side when it is done with the connection.
        far.resume();
        const end = once(far, 'end');
        far.end();
        await end;
        far.destroy();
      }),
    );
  }

  /** Passes nothing on any more, and tells nobody. Connections that are made from now on are fine. */
  freeze() {
    for (const pair of this.#all()) {
      const { near, far } = pair;
      pair.apart = true;
      near.unpipe(far).resume();
      far.unpipe(near).resume();
      this.last(() => {
        near.destroy();
        far.destroy();
      });
    }
  }

  async close() {
    this.cut();
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    await closed;
  }
}

/** An HTTP proxy of the old kind: it has never heard of upgrades, and refuses them. */
export async function withoutUpgrades(server) {
  const proxy = http.createServer((request, response) => {
    const { method, url: path, headers } = request;
    const onward = http.request({ host: '127.0.0.1', port: server.port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  const refused = [];
  proxy.on('upgrade', (request, socket) => {
    refused.push(request.url);
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  server.last(async () => {
    const closed = once(proxy, 'close');
    proxy.close();
    proxy.closeAllConnections();
    await closed;
  });
  const url = server.url.replace(`:${server.port}/`, `:${proxy.address().port}/`);
  return { url, refused, last: (action) => server.last(action) };
}
