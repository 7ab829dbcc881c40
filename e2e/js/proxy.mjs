// A TCP proxy on loopback that can be cut: what a phone in a tunnel sees.
import net from 'node:net';
import { once } from 'node:events';

export class Proxy {
  #server;
  #pairs = new Set();
  #cut = false;

  /** Starts a proxy to `port` on loopback. */
  static async to(port) {
    const proxy = new Proxy();
    proxy.#server = net.createServer((client) => proxy.#join(client, port));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port() {
    return this.#server.address().port;
  }

  /** Connections that are open now. */
  get open() {
    return this.#pairs.size;
  }

  /** Breaks every connection and refuses new ones until `mend`. */
  cut() {
    this.#cut = true;
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
    this.#pairs.clear();
  }

  mend() {
    this.#cut = false;
  }

  async close() {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client, port) {
    if (this.#cut) {
      client.resetAndDestroy();
      return;
    }
    const server = net.connect(port, '127.0.0.1');
    const pair = [client, server];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const [from, to] of [[client, server], [server, client]]) {
      from.on('error', end);
      from.on('close', end);
      from.pipe(to);
    }
  }
}
