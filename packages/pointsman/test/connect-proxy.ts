// SPDX-License-Identifier: Apache-2.0
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface ProxyRules {
  /** User and password as `name:password`. Default: anybody may ask. */
  readonly credentials?: string;
  /** Ports that it makes tunnels to. Default: all. */
  readonly ports?: readonly number[];
}

/** An HTTP proxy that makes tunnels (CONNECT) to this machine, whatever name it is asked for. */
export class ConnectProxy {
  /** What it was asked for, in order: `host:port`. */
  readonly asked: string[] = [];
  readonly #rules: ProxyRules;
  readonly #server = createServer();
  readonly #sockets = new Set<Socket>();

  private constructor(rules: ProxyRules) {
    this.#rules = rules;
    this.#server.on('connect', (request, socket: Socket, head: Buffer) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      this.#answer(request.url ?? '', request.headers['proxy-authorization'], socket, head);
    });
  }

  static async open(rules: ProxyRules = {}): Promise<ConnectProxy> {
    const proxy = new ConnectProxy(rules);
    await new Promise<void>((resolve) => {
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #answer(target: string, authorization: string | undefined, socket: Socket, head: Buffer): void {
    this.asked.push(target);
    const { credentials, ports } = this.#rules;
    const expected = `Basic ${Buffer.from(credentials ?? '').toString('base64')}`;
    if (credentials !== undefined && authorization !== expected) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="unit"\r\n\r\n');
      return;
    }
    const port = Number(/:(\d+)$/u.exec(target)?.[1]);
    if (ports?.includes(port) === false) {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\nnot to that port');
      return;
    }
    const there = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      if (head.length > 0) there.write(head);
      socket.pipe(there).pipe(socket);
    });
    this.#sockets.add(there);
    there.on('error', () => socket.destroy());
  }
}
