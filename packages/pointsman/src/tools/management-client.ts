// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { TransportError, loadTlsCredentials } from '@pointsman/transport';
import type { TlsCredentials } from '@pointsman/transport';
import { TYPE_PREFIX, decodeManagementResponse, encodeManagementRequest } from '@pointsman/management';
import type { ManagementResponse } from '@pointsman/management';
import { int } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { ClientError } from '../client/client-error.js';
import { connect } from '../client/client.js';
import type { Client, ConnectOptions } from '../client/client.js';
import { deferred, within } from '../client/deferred.js';
import type { Deferred } from '../client/deferred.js';
import type { Receiver } from '../client/receiver.js';
import type { Sender } from '../client/sender.js';
import type { ParsedArguments } from './arguments.js';
import type { BusAddress } from './bus-address.js';
import { plainOf } from './plain-value.js';
import type { Plain, Row } from './plain-value.js';
import { ToolError, statusError } from './tool-error.js';

const SECONDS_DEFAULT = 5;
/** Rows of one answer: more do not fit in what some peers take as a message. */
const PAGE_ROWS = 500;
/** Answers that are let in at a time; there is one request under way. */
const REPLY_CREDIT = 10;
const MAX_TIMEOUT_MS = 2_147_483_647;

/** What is asked of a management node. */
export interface ManagementRequest {
  readonly operation: string;
  /** Further application properties. Those that are undefined are left out. */
  readonly properties?: Readonly<Record<string, AmqpValue | undefined>>;
  readonly body?: AmqpValue;
  /** Status of success. Default: 200. */
  readonly expected?: number;
}

/** A connection to a router, to ask management nodes through. */
export class ManagementClient {
  readonly #client: Client;
  readonly #replies: Receiver;
  readonly #senders = new Map<string, Promise<Sender>>();
  /** Who waits for an answer, by correlation-id. */
  readonly #waiting: Map<string, Deferred<ManagementResponse>>;
  readonly #timeoutMs: number;
  readonly #url: string;
  #requests = 0;

  private constructor(
    client: Client,
    replies: Receiver,
    waiting: Map<string, Deferred<ManagementResponse>>,
    timeoutMs: number,
    url: string,
  ) {
    this.#client = client;
    this.#replies = replies;
    this.#waiting = waiting;
    this.#timeoutMs = timeoutMs;
    this.#url = url;
  }

  /** @throws ToolError what stands between the tool and the router */
  static async open(bus: BusAddress, args: ParsedArguments): Promise<ManagementClient> {
    const timeoutMs = Math.min(Math.max((args.number('timeout') ?? SECONDS_DEFAULT) * 1000, 1), MAX_TIMEOUT_MS);
    const url = urlOf(bus);
    const options = connectOptions(bus, args, timeoutMs);
    let client: Client | undefined;
    try {
      client = await connect(options);
      const waiting = new Map<string, Deferred<ManagementResponse>>();
      const replies = await client.receiver(undefined, { credit: REPLY_CREDIT }, (delivery) => {
        const response = decodeManagementResponse(delivery.bytes);
        waiting.get(String(response.correlationId))?.resolve(response);
      });
      return new ManagementClient(client, replies, waiting, timeoutMs, url);
    } catch (error) {
      await client?.close();
      throw connectionError(error, url, timeoutMs, options);
    }
  }

  /**
   * Asks a node, and waits for its answer.
   *
   * @returns the body of the answer
   * @throws ToolError where the node refuses, or is silent
   */
  async request(address: string, request: ManagementRequest): Promise<AmqpValue> {
    const { operation, properties = {}, body, expected = 200 } = request;
    const given = Object.entries(properties).filter((entry): entry is [string, AmqpValue] => entry[1] !== undefined);
    const correlationId = String(++this.#requests);
    const answer = deferred<ManagementResponse>();
    this.#waiting.set(correlationId, answer);
    try {
      const sender = await this.#senderTo(address);
      const message = encodeManagementRequest({
        operation,
        properties: Object.fromEntries(given),
        ...(body === undefined ? {} : { body }),
        to: address,
        replyTo: this.#replies.address ?? '',
        correlationId,
      });
      const sent = sender.send(message).then((outcome) => {
        if (outcome.type === 'accepted') return;
        answer.reject(
          new ToolError(
            'LinkException',
            `${address} did not take the request (${outcome.type})`,
            'Check the id of the router, and that it is reachable from the one connected to.',
          ),
        );
      });
      sent.catch((error: Error) => answer.reject(error));
      const reply = await within(answer.promise, this.#timeoutMs, () => this.#silence(address));
      const { statusCode, statusDescription } = reply;
      if (statusCode !== expected) throw statusError(statusCode, statusDescription, expected);
      return reply.body;
    } catch (error) {
      throw connectionError(error, this.#url, this.#timeoutMs);
    } finally {
      this.#waiting.delete(correlationId);
    }
  }

  /**
   * All entities of a type, page by page.
   *
   * @param type - short name; undefined for all types
   * @param limit - most rows wanted; 0 for all
   * @param attributes - names of those wanted; none for all
   */
  async query(
    address: string,
    type: string | undefined,
    limit = 0,
    attributes: readonly string[] = [],
  ): Promise<Row[]> {
    const rows: Row[] = [];
    let before: AmqpValue | undefined;
    for (;;) {
      const count = limit > 0 ? Math.min(PAGE_ROWS, limit - rows.length) : PAGE_ROWS;
      // oxlint-disable-next-line no-await-in-loop
      const body = await this.request(address, {
        operation: 'QUERY',
        properties: {
          name: 'self',
          type: 'org.amqp.management',
          entityType: type === undefined ? undefined : fullTypeName(type),
          offset: int(rows.length),
          count: int(count),
        },
        body: new Map([['attributeNames', [...attributes]]]),
      });
      const page = pageOf(body);
      // An agent that does not know of pages answers each request with everything.
      const first = page.results[0];
      if (first !== undefined && before !== undefined && sameRow(first, before)) return rows;
      before = first;
      rows.push(...page.results.map((result) => rowOf(page.names, result)));
      if (limit > 0 && rows.length >= limit) return rows.slice(0, limit);
      if (page.results.length !== count) return rows;
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  #senderTo(address: string): Promise<Sender> {
    let sender = this.#senders.get(address);
    if (sender === undefined) {
      sender = this.#client.sender(address);
      this.#senders.set(address, sender);
    }
    return sender;
  }

  #silence(address: string): ToolError {
    return new ToolError(
      'Timeout',
      `Connection ${this.#url} timed out: no answer from ${address} within ${this.#timeoutMs / 1000} s`,
      'Give it more time with --timeout; check the id of the router where one is given.',
    );
  }
}

/** The full name of an entity type: names with a dot are left as they are, short ones get the prefix. */
export function fullTypeName(name: string): string {
  return name.startsWith(`${TYPE_PREFIX}.`) || name.startsWith('org.amqp.') ? name : `${TYPE_PREFIX}.${name}`;
}

function urlOf({ tls, host, port }: BusAddress): string {
  const shown = host.includes(':') ? `[${host}]` : host;
  return `${tls ? 'amqps' : 'amqp'}://${shown}:${port}`;
}

function connectOptions(bus: BusAddress, args: ParsedArguments, timeoutMs: number): ConnectOptions {
  const certFile = args.text('ssl-certificate');
  const trustFile = args.text('ssl-trustfile');
  const tls = bus.tls || certFile !== undefined || trustFile !== undefined;
  return {
    host: bus.host,
    port: bus.port,
    mode: tls ? 'tls' : 'tcp',
    tls: tls ? credentialsOf(certFile, trustFile, args) : undefined,
    verifyHostname: !args.has('ssl-disable-peer-name-verify'),
    sasl: saslOf(bus, args, tls, certFile !== undefined),
    timeoutMs,
  };
}

function credentialsOf(
  certFile: string | undefined,
  caCertFile: string | undefined,
  args: ParsedArguments,
): TlsCredentials {
  const password = args.text('ssl-password') ?? secretFrom(args.text('ssl-password-file'), '--ssl-password-file');
  try {
    return loadTlsCredentials({
      name: 'command line',
      caCertFile,
      certFile,
      privateKeyFile: args.text('ssl-key'),
      password,
      systemTrust: caCertFile === undefined,
    });
  } catch (error) {
    // It speaks of a profile in a configuration; here it is options.
    const text = (error instanceof Error ? error.message : String(error))
      .replaceAll(' of sslProfile command line', '')
      .replaceAll('sslProfile command line', 'The TLS options')
      .replaceAll('caCertFile', '--ssl-trustfile')
      .replaceAll('certFile', '--ssl-certificate')
      .replaceAll('privateKeyFile', '--ssl-key');
    throw new ToolError(
      'SSLException',
      text,
      'Check the files that the --ssl options name, and their password.',
      error,
    );
  }
}

function saslOf(bus: BusAddress, args: ParsedArguments, tls: boolean, hasCertificate: boolean): ConnectOptions['sasl'] {
  const username = args.text('sasl-username') ?? bus.user;
  const password =
    args.text('sasl-password') ?? secretFrom(args.text('sasl-password-file'), '--sasl-password-file') ?? bus.password;
  const named = args
    .text('sasl-mechanisms')
    ?.split(/[\s,]+/)
    .filter((one) => one !== '');
  if (!tls && username === undefined && named === undefined) return 'none';
  const fitting = [
    ...(hasCertificate ? ['EXTERNAL'] : []),
    ...(username !== undefined && password !== undefined ? ['PLAIN'] : []),
    'ANONYMOUS',
  ];
  return {
    mechanisms: named ?? fitting,
    username,
    password: password === undefined ? undefined : () => password,
  };
}

function secretFrom(path: string | undefined, option: string): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new ToolError(
      'FileNotFoundError',
      `${option}: cannot read '${path}'`,
      'Check the name of the file and who may read it.',
      error,
    );
  }
}

/** Words that scripts look for, and behind them what is wrong. */
function connectionError(error: unknown, url: string, timeoutMs: number, opening?: ConnectOptions): unknown {
  if (error instanceof TransportError) {
    if (error.kind === 'timed-out')
      return new ToolError(
        'Timeout',
        `Connection ${url} timed out: Opening connection: ${error.message}`,
        undefined,
        error,
      );
    const isTls = error.kind.startsWith('tls') || error.kind === 'not-tls' || error.message.includes('TLS handshake');
    const condition = isTls ? tlsText(error) : error.message;
    return new ToolError(
      'ConnectionException',
      `Connection ${url} disconnected: ${condition}`,
      HINTS[error.kind] ?? 'Check the host and the port that --bus names, and that the router runs.',
      error,
    );
  }
  if (!(error instanceof ClientError)) return error;
  if (error.condition === 'pointsman:timed-out')
    return new ToolError('Timeout', `Connection ${url} timed out after ${timeoutMs / 1000} s: ${error.description}`);
  if (error.scope === 'link')
    return new ToolError('LinkDetached', `${error.condition}: ${error.description} (${url})`, undefined, error);
  // With TLS 1.3 a server looks at the certificate of a client only after the client's handshake is done.
  const isBare = opening?.mode === 'tls' && opening.tls?.hasCertificate !== true;
  const isTls = isTlsFailure(error) || (isBare && error.condition === 'pointsman:lost');
  const failure = isTls ? `SSL Failure: ${error.description}` : error.message;
  const hint = isTls && isBare ? HINTS['tls-client-certificate'] : undefined;
  return new ToolError('ConnectionException', `Connection ${url} disconnected: ${failure}`, hint, error);
}

const HINTS: Readonly<Record<string, string>> = {
  'tls-unknown-issuer': "Name the file with the authority's certificate with --ssl-trustfile.",
  'tls-name-mismatch':
    'Use a host name that the certificate carries, or --ssl-disable-peer-name-verify where the router is known to be right.',
  'tls-client-certificate': 'Give a certificate that the router trusts with --ssl-certificate and --ssl-key.',
  'not-tls': 'Use amqp:// and no --ssl options, or the port on which the router takes TLS (usually 5671).',
  'tls-required': 'Use amqps://, and the --ssl options that the router asks for.',
};

function tlsText(error: TransportError): string {
  const { kind, message } = error;
  const isVerification =
    kind === 'tls-unknown-issuer' ||
    kind === 'tls-name-mismatch' ||
    kind === 'tls-expired' ||
    kind === 'tls-not-yet-valid';
  return `SSL Failure: ${isVerification ? 'certificate verify failed: ' : ''}${message}`;
}

function isTlsFailure(error: ClientError): boolean {
  for (let cause: unknown = error.cause; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof TransportError && cause.kind.startsWith('tls')) return true;
  }
  return false;
}

interface Page {
  readonly names: readonly string[];
  readonly results: readonly AmqpValue[][];
}

function pageOf(body: AmqpValue): Page {
  const names = body instanceof Map ? body.get('attributeNames') : undefined;
  const results = body instanceof Map ? body.get('results') : undefined;
  if (!Array.isArray(names) || !Array.isArray(results) || !results.every((row) => Array.isArray(row)))
    throw new ToolError('ValueError', 'Bad response: the answer to QUERY has no attributeNames or no results');
  return { names: names.map(String), results: results as AmqpValue[][] };
}

function rowOf(names: readonly string[], values: readonly AmqpValue[]): Row {
  const row = new Map<string, Plain>();
  names.forEach((name, index) => row.set(name, plainOf(values[index] ?? null)));
  return row;
}

function sameRow(a: AmqpValue, b: AmqpValue): boolean {
  const text = (row: AmqpValue): string =>
    JSON.stringify(plainOf(row), (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  return text(a) === text(b);
}
