// A network that fails at a chosen byte. It parses nothing: it looks for a text in what passes, and counts from there.

import { once } from 'node:events';
import net from 'node:net';

/** Passes bytes on to a server until a trap is sprung. It can be used in the server's place. */
export class Cutter {
  #server;
  #listener;
  #pairs = new Set();
  #trap;
  /** How often a trap was sprung. */
  cuts = 0;
  /** Every chunk that went to the server, in its order. */
  sent = [];

  static async open(server) {
    const cutter = new Cutter(server);
    cutter.#listener.listen(0, '127.0.0.1');
    await once(cutter.#listener, 'listening');
    server.last(() => cutter.close());
    return cutter;
  }

  constructor(server) {
    this.#server = server;
    this.#listener = net.createServer((near) => this.#pass(near.setNoDelay(true)));
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

  /**
   * Cuts the connection on which `text` passes next, `down` to the client or `up` to the server, `offset` bytes behind
   * its beginning, or in front of it as far as that was not passed on already. `how`:
   *
   * - `reset`: both sides are reset;
   * - `end`: both sides see an orderly end;
   * - `swallow`: the client is reset, and the server goes on as if all were well until it is done.
   */
  arm(direction, text, offset, how = 'reset') {
    this.#trap = { direction, text: Buffer.from(text), offset, how };
  }

  disarm() {
    this.#trap = undefined;
  }

  /** Sends to the server once more what was sent before, on a connection of its own, and forgets the answer. */
  async repeat(chunk) {
    const far = net.connect(this.#server.port, '127.0.0.1');
    far.on('error', () => {});
    await once(far, 'connect');
    far.resume();
    far.write(chunk);
    this.last(() => far.destroy());
  }

  #pass(near) {
    const far = net.connect({ port: this.#server.port, host: '127.0.0.1', noDelay: true });
    const pair = { near, far, dead: false };
    this.#pairs.add(pair);
    this.#carry(pair, near, far, 'up');
    this.#carry(pair, far, near, 'down');
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on('error', () => {});
      one.on('end', () => pair.dead || other.end());
      one.on('close', () => {
        this.#pairs.delete(pair);
        if (!pair.dead) other.destroy();
      });
    }
  }

  #carry(pair, from, to, direction) {
    // What has passed of the text when a chunk ends.
    let before = Buffer.alloc(0);
    from.on('data', (chunk) => {
      if (pair.dead) return;
      if (direction === 'up') this.sent.push(chunk);
      const trap = this.#trap;
      if (trap?.direction !== direction) return to.write(chunk);
      const at = Buffer.concat([before, chunk]).indexOf(trap.text);
      if (at < 0 && trap.found === undefined) {
        before = Buffer.concat([before, chunk]).subarray(-trap.text.length + 1);
        return to.write(chunk);
      }
      // Counted from the beginning of this chunk; of a text that was found before, what is left.
      const cut = trap.found === undefined ? at - before.length + trap.offset : trap.left;
      if (trap.found !== undefined && trap.found !== pair) return to.write(chunk);
      if (cut > chunk.length) {
        Object.assign(trap, { found: pair, left: cut - chunk.length });
        return to.write(chunk);
      }
      this.#trap = undefined;
      this.#cut(pair, to, chunk.subarray(0, Math.max(cut, 0)), trap.how);
    });
  }

  #cut(pair, to, rest, how) {
    this.cuts += 1;
    pair.dead = true;
    const { near, far } = pair;
    const cut = () => {
      if (how === 'end') {
        near.end();
        far.end();
      } else {
        near.resetAndDestroy();
        if (how === 'reset') far.resetAndDestroy();
        else this.last(() => far.destroy());
      }
      near.resume();
      far.resume();
    };
    // The bytes in front of the cut arrive; a reset at once might overtake them.
    if (rest.length > 0) to.write(rest, () => setTimeout(cut, 2));
    else cut();
  }

  async close() {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    await closed;
  }
}
