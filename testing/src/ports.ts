// SPDX-License-Identifier: Apache-2.0
import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';

/** A port of 127.0.0.1 that was free just now: for programs of others, which cannot be given port 0. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}

/** Below those that systems give to connections and to port 0: nobody takes one of these between our look and its use. */
const FIRST_PORT = 12_000;
const LAST_PORT = 32_000;

/** Different ports that were free just now, all bound at once, so that none comes twice. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  while (servers.length < count) {
    const server = await boundTo(randomInt(FIRST_PORT, LAST_PORT));
    if (server !== undefined) servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** @returns undefined where the port is taken */
function boundTo(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined);
      else reject(error);
    });
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

const AMQP_HEADER = Buffer.from('AMQP\u0003\u0001\u0000\u0000', 'latin1');

/** Whether somebody on the port answers the SASL header of AMQP 1.0 in kind. Never throws. */
export function speaksAmqp(port: number, timeoutMs = 5_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    let heard = Buffer.alloc(0);
    socket.setTimeout(timeoutMs, () => end(false));
    socket.on('error', () => end(false));
    socket.on('close', () => end(false));
    socket.on('connect', () => socket.write(AMQP_HEADER));
    socket.on('data', (bytes) => {
      heard = Buffer.concat([heard, bytes]);
      if (heard.length >= AMQP_HEADER.length) end(heard.subarray(0, AMQP_HEADER.length).equals(AMQP_HEADER));
    });
  });
}
