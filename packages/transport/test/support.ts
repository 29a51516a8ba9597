// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { keep } from '@pointsman/engine';
import type { ProtocolEndpoint } from '@pointsman/engine';
import { TransportError, dial, issueCertificate, loadTlsCredentials, sharedDriver } from '../src/index.js';
import type {
  CertificateIssuer,
  CertificateRequest,
  DialOptions,
  DrivenConnection,
  Listener,
  StreamInfo,
  TlsCredentials,
  TlsProfile,
  TransportErrorKind,
} from '../src/index.js';

/** An endpoint that keeps what it receives, and sends it back where it was made to. */
export class TestEndpoint implements ProtocolEndpoint {
  wake: (() => void) | undefined;
  congested = false;
  done = false;
  dueAt: number | undefined;
  readonly received: Uint8Array[] = [];
  receivedBytes = 0;
  readonly ends: (Error | undefined)[] = [];
  /** Batches that were taken and not released. */
  readonly taken: Uint8Array[][] = [];
  readonly released: Uint8Array[][] = [];
  ticks = 0;
  takes = 0;
  readonly #echo: boolean;
  #output: Uint8Array[] = [];
  #awake = false;
  readonly #waiting = new Set<() => void>();

  constructor(echo = false) {
    this.#echo = echo;
  }

  /** Bytes that the driver has not taken. */
  get waitingBytes(): number {
    return this.#output.reduce((sum, one) => sum + one.length, 0);
  }

  get text(): string {
    return Buffer.concat(this.received).toString('latin1');
  }

  send(bytes: Uint8Array | string): void {
    this.#output.push(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    this.poke();
  }

  finish(): void {
    this.done = true;
    this.poke();
  }

  poke(): void {
    if (this.#awake) return;
    this.#awake = true;
    this.wake?.();
  }

  /** Resolves once `condition` holds; it is looked at after each call of the driver. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  receive(bytes: Uint8Array): void {
    const kept = keep(bytes);
    this.received.push(kept);
    this.receivedBytes += kept.length;
    if (this.#echo) this.send(kept);
    this.#look();
  }

  receiveEnd(_now: number, cause?: Error): void {
    this.ends.push(cause);
    this.done = true;
    this.#look();
  }

  takeOutput(): Uint8Array[] | undefined {
    this.takes++;
    this.#awake = false;
    if (this.#output.length === 0) return undefined;
    const batch = this.#output;
    this.#output = [];
    this.taken.push(batch);
    this.#look();
    return batch;
  }

  releaseOutput(buffers: Uint8Array[]): void {
    assert.equal(this.taken.shift(), buffers, 'batches come back in the order in which they were taken, each once');
    this.released.push(buffers);
    this.#look();
  }

  deadline(): number | undefined {
    return this.dueAt;
  }

  tick(): void {
    this.ticks++;
    this.dueAt = undefined;
    this.#look();
  }

  #look(): void {
    // One that is content takes itself out, which a set allows while it is walked.
    for (const look of this.#waiting) look();
  }
}

/** Endpoints of the connections that a listener accepted, in order. */
export class Accepted {
  readonly endpoints: TestEndpoint[] = [];
  readonly infos: StreamInfo[] = [];
  readonly make = (info: StreamInfo): TestEndpoint => {
    const endpoint = new TestEndpoint(true);
    this.endpoints.push(endpoint);
    this.infos.push(info);
    return endpoint;
  };
}

/** Dials and puts an endpoint onto the stream. */
export async function connectTo(
  listener: { readonly port: number },
  options: Partial<DialOptions> = {},
): Promise<{ endpoint: TestEndpoint; connection: DrivenConnection }> {
  const stream = await dial({ host: '127.0.0.1', port: listener.port, mode: 'tcp', ...options });
  const endpoint = new TestEndpoint();
  return { endpoint, connection: sharedDriver.drive(endpoint, stream) };
}

/** Sends `text` to an endpoint that echoes, and waits for it to come back. */
export async function assertEchoes(endpoint: TestEndpoint, text = 'AMQP\0\x01\0\0 hello'): Promise<void> {
  endpoint.send(text);
  await endpoint.until(() => endpoint.receivedBytes >= text.length || endpoint.ends.length > 0);
  assert.equal(endpoint.text, text);
}

/** Runs `body` with a server that does what `onSocket` says, and closes it and its sockets. */
export async function withServer(
  onSocket: (socket: Socket) => void,
  body: (port: number) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await body((server.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

export async function withListener(
  listener: Promise<Listener>,
  body: (listener: Listener) => Promise<void>,
): Promise<void> {
  const open = await listener;
  try {
    await body(open);
  } finally {
    await open.close();
  }
}

/** Asserts that `promise` fails with a TransportError of `kind` whose message has all of `words`, and that it has a hint. */
export async function assertFails(
  promise: Promise<unknown>,
  kind: TransportErrorKind,
  ...words: string[]
): Promise<TransportError> {
  let failure: unknown;
  await promise.catch((error: unknown) => {
    failure = error;
  });
  assertTransportError(failure, kind, ...words);
  return failure as TransportError;
}

export function assertTransportError(failure: unknown, kind: TransportErrorKind, ...words: string[]): void {
  assert.ok(failure instanceof TransportError, `a TransportError was expected, not ${String(failure)}`);
  assert.equal(failure.kind, kind, failure.message);
  for (const word of words) assert.ok(failure.message.includes(word), `"${word}" is missing in: ${failure.message}`);
  assert.ok(failure.hint.length > 10);
}

const DAY_MS = 86_400_000;

/** An authority for tests, and what it issues. */
export class TestAuthority {
  readonly issuer: CertificateIssuer;

  constructor(commonName = 'Test Root', organization = 'Contoso Ltd') {
    this.issuer = issueCertificate({ commonName, organization, ...days(-10, 10), authority: true });
  }

  issue(request: Partial<CertificateRequest> = {}): CertificateIssuer {
    return issueCertificate(
      { commonName: 'localhost', names: ['localhost'], ips: ['127.0.0.1'], ...days(-1, 1), ...request },
      this.issuer,
    );
  }

  /** Credentials of a server with a certificate of this authority, which also checks its clients. */
  server(request: Partial<CertificateRequest> = {}, profile: TlsProfile = {}): TlsCredentials {
    const { cert, key } = this.issue(request);
    return credentialsOf(
      { 'ca.pem': this.issuer.cert, 'cert.pem': cert, 'key.pem': key },
      {
        caCertFile: 'ca.pem',
        certFile: 'cert.pem',
        privateKeyFile: 'key.pem',
        ...profile,
      },
    );
  }

  /** Credentials of a client that trusts this authority. */
  client(profile: TlsProfile = {}): TlsCredentials {
    return credentialsOf({ 'ca.pem': this.issuer.cert }, { caCertFile: 'ca.pem', ...profile });
  }
}

export function days(from: number, to: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() + from * DAY_MS), notAfter: new Date(Date.now() + to * DAY_MS) };
}

export function credentialsOf(files: Readonly<Record<string, string>>, profile: TlsProfile): TlsCredentials {
  return loadTlsCredentials(profile, {
    readFile(path) {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return Buffer.from(text);
    },
  });
}
