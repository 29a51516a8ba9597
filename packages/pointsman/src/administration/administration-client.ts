// SPDX-License-Identifier: Apache-2.0
import { Agent, request } from 'node:http';
import type { ClientRequestArgs, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Secret, TokenError, withoutSecrets } from '@pointsman/azure';
import type { TokenProvider } from '@pointsman/azure';
import { XmlError, childOf, readXml } from '@pointsman/namespace';
import type { XmlElement } from '@pointsman/namespace';
import { TransportError, dialSocket, placeText } from '@pointsman/transport';
import type { DialOptions } from '@pointsman/transport';
import { within } from '../client/deferred.js';
import { entityDescriptionOf } from './entity-description.js';
import type { EntityDescription } from './entity-description.js';

export interface AdministrationOptions {
  /** How its HTTP port is reached; `mode` is `tls`, or `tcp` at an emulator. */
  readonly dial: Omit<DialOptions, 'signal'> & { readonly timeoutMs: number };
  /** Host name of the namespace. */
  readonly hostname: string;
  readonly identity: TokenProvider;
  /** Masked in what the service says. */
  readonly secrets: readonly Secret[];
}

/**
 * Why a request to the management API came to nothing. `unreachable`: there is no way there; `silent`: no answer in time;
 * `unauthorized`: the identity has no right Manage, or is none; `refused`: anything else that the service says; `unreadable`: what
 * answered is no management API.
 */
export type AdministrationFailure = 'unreachable' | 'silent' | 'unauthorized' | 'refused' | 'unreadable';

/** A request to the management API that came to nothing. The message is without secrets. */
export class AdministrationError extends Error {
  override readonly name = 'AdministrationError';
  readonly kind: AdministrationFailure;
  /** Of the HTTP answer, where there was one. */
  readonly status: number | undefined;

  constructor(kind: AdministrationFailure, message: string, status?: number, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.kind = kind;
    this.status = status;
  }
}

const API_VERSION = '2021-05';
/** Entries of a page; a hundred with many policies each are more elements than are read. */
const PAGE = 50;
/** A page of entities has a quarter of that. */
const BODY_BYTES_MAX = 1_048_576;
const SOCKETS_MAX = 4;
const SAID_MAX = 300;
/** Queues, topics, or subscriptions of one topic, that are listed at most: what a namespace can have. */
export const ENTITIES_MAX = 10_000;

/** Asks the management API of a namespace (ATOM over HTTP) about its entities. It only reads. */
export class AdministrationClient {
  readonly #options: AdministrationOptions;
  readonly #agent: DialingAgent;

  constructor(options: AdministrationOptions) {
    this.#options = options;
    this.#agent = new DialingAgent(options.dial);
  }

  /** Where it asks: `HOST:PORT`. */
  get place(): string {
    return placeText(this.#options.dial);
  }

  /**
   * @param path - of a queue, topic or subscription
   * @returns undefined where there is no such entity
   * @throws AdministrationError
   */
  async entity(path: string): Promise<EntityDescription | undefined> {
    const { status, root } = await this.#get(path, '');
    // The service says it in either way.
    if (status === 404 || root?.name === 'feed') return undefined;
    const mark = path.toLowerCase().lastIndexOf('/subscriptions/');
    const entity =
      root?.name === 'entry' ? entityDescriptionOf(root, mark < 0 ? undefined : path.slice(0, mark)) : undefined;
    if (entity === undefined) throw this.#unreadable('an entity');
    return entity;
  }

  /** @throws AdministrationError */
  queues(): Promise<EntityDescription[]> {
    return this.#list('$Resources/Queues');
  }

  /** @throws AdministrationError */
  topics(): Promise<EntityDescription[]> {
    return this.#list('$Resources/Topics');
  }

  /** @throws AdministrationError */
  subscriptions(topic: string): Promise<EntityDescription[]> {
    return this.#list(`${topic}/Subscriptions`, topic);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #list(path: string, parent?: string): Promise<EntityDescription[]> {
    const found: EntityDescription[] = [];
    for (let skip = 0; skip < ENTITIES_MAX; skip += PAGE) {
      // oxlint-disable-next-line no-await-in-loop
      const { status, root } = await this.#get(path, `&$skip=${skip}&$top=${PAGE}`);
      if (status === 404) return found;
      if (root?.name !== 'feed') throw this.#unreadable('a list');
      const entries = root.children.filter(({ name }) => name === 'entry');
      for (const entry of entries) {
        const entity = entityDescriptionOf(entry, parent);
        if (entity !== undefined) found.push(entity);
      }
      if (entries.length < PAGE) break;
    }
    return found;
  }

  async #get(path: string, query: string): Promise<{ readonly status: number; readonly root: XmlElement | undefined }> {
    const { identity, hostname, secrets, dial } = this.#options;
    const target = `/${path.split('/').map(encoded).join('/')}`;
    let authorization: Secret;
    try {
      const asked = identity.get({ audience: `https://${hostname}/${path}`, newerThanMs: 0 });
      const { kind, text } = await within(
        asked,
        dial.timeoutMs,
        () => new TokenError('passing', `There was no token within ${dial.timeoutMs} ms (${identity.name}).`),
      );
      authorization = kind === 'jwt' ? new Secret(`Bearer ${text.reveal()}`) : text;
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      throw new AdministrationError('unauthorized', error.message, undefined, error);
    }
    const { status, body } = await this.#request(
      `${target}?api-version=${API_VERSION}${query}`,
      authorization.reveal(),
    );
    if (status === 404) return { status, root: undefined };
    let root: XmlElement | undefined;
    try {
      root = readXml(body);
    } catch (error) {
      if (!(error instanceof XmlError)) throw error;
      if (status === 200) throw this.#unreadable('XML', error);
    }
    if (status === 200) return { status, root };
    const detail = root === undefined ? '' : (childOf(root, 'Detail')?.text ?? '');
    // Some show the request in their answer, whole or in parts.
    const said = withoutSecrets(detail.replaceAll(/\s+/gu, ' ').trim(), [...secrets, authorization])
      .replaceAll(/\bsig=[^&\s]+/giu, 'sig=[secret]')
      .slice(0, SAID_MAX);
    throw new AdministrationError(
      status === 401 || status === 403 ? 'unauthorized' : root === undefined ? 'unreadable' : 'refused',
      `${this.place} answered with status ${status}${said === '' ? '' : `: ${said}`}`,
      status,
    );
  }

  #request(target: string, authorization: string): Promise<{ readonly status: number; readonly body: string }> {
    const { timeoutMs } = this.#options.dial;
    return new Promise((resolve, reject) => {
      const asking = request(
        {
          agent: this.#agent,
          path: target,
          // For everything: who answers a byte at a time does not hold us up.
          signal: AbortSignal.timeout(timeoutMs),
          headers: { host: this.#options.hostname, accept: 'application/atom+xml', authorization },
        },
        (response) => {
          this.#bodyOf(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
        },
      );
      asking.on('error', (error) => reject(this.#errorOf(error)));
      asking.end();
    });
  }

  #bodyOf(response: IncomingMessage): Promise<string> {
    const parts: Buffer[] = [];
    let size = 0;
    return new Promise((resolve, reject) => {
      response.on('data', (part: Buffer) => {
        size += part.length;
        parts.push(part);
        if (size <= BODY_BYTES_MAX) return;
        reject(this.#unreadable(`an answer of less than ${BODY_BYTES_MAX} bytes`));
        response.destroy();
      });
      response.on('end', () => resolve(Buffer.concat(parts).toString('utf8')));
      response.on('error', (error) => reject(this.#errorOf(error)));
    });
  }

  #errorOf(error: Error): AdministrationError {
    if (error instanceof TransportError) return new AdministrationError('unreachable', error.message, undefined, error);
    const { timeoutMs } = this.#options.dial;
    if (error.name === 'AbortError' || error.name === 'TimeoutError')
      return new AdministrationError('silent', `${this.place} gave no answer within ${timeoutMs} ms`, undefined, error);
    return new AdministrationError(
      'unreadable',
      `${this.place} did not answer in HTTP (${'code' in error ? String(error.code) : error.message})`,
      undefined,
      error,
    );
  }

  #unreadable(what: string, cause?: Error): AdministrationError {
    const why = cause === undefined ? '' : ` (${cause.message})`;
    return new AdministrationError(
      'unreadable',
      `What ${this.place} answers is not ${what} of a management API${why}`,
      200,
      cause,
    );
  }
}

/** Clients of the service leave the dollar sign of `$Resources` as it is. */
function encoded(part: string): string {
  return encodeURIComponent(part).replaceAll('%24', '$');
}

/** Keeps sockets that were made the way that AMQP goes: through the same proxy, with the same TLS. */
class DialingAgent extends Agent {
  readonly #dial: AdministrationOptions['dial'];

  constructor(options: AdministrationOptions['dial']) {
    super({ keepAlive: true, maxSockets: SOCKETS_MAX });
    this.#dial = options;
  }

  override createConnection(_: ClientRequestArgs, done?: (error: Error | null, stream: Duplex) => void): undefined {
    void this.#connect(done);
  }

  async #connect(done: ((error: Error | null, stream: Duplex) => void) | undefined): Promise<void> {
    let socket: Socket;
    try {
      socket = await dialSocket(this.#dial);
    } catch (error) {
      // Types have a stream beside the error, which nobody looks at.
      (done as ((error: unknown) => void) | undefined)?.(error);
      return;
    }
    done?.(null, socket);
  }
}
