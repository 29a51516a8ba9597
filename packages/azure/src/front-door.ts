// SPDX-License-Identifier: Apache-2.0
import { ReceiverLink } from '@pointsman/engine';
import type { Clock, Connection, Link, SenderLink } from '@pointsman/engine';
import type { AmqpErrorFields, Attach } from '@pointsman/wire';
import { CbsNode } from './cbs-node.js';
import type { CbsAnswer } from './cbs-links.js';
import { entityAddressOf } from './entity-address.js';
import { parseSasToken, verifySasToken, withoutLastSlashes } from './sas-token.js';
import type { Secret } from './secret.js';

export interface FrontDoorOptions {
  /**
   * Keys of a shared access policy by its name: whoever has made a token of one is let in, where the token says. Undefined: the
   * connection was let in already, and its tokens are taken without a look.
   */
  readonly keysOf: ((policy: string) => readonly Secret[]) | undefined;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Link routes are configured for what clients call `$management`: the node of a namespace of event hubs, not the router's. */
  readonly routesManagement?: () => boolean;
  /** What was decided of a token, for a log; without the token. @param isLast - refusals of later ones are not told any more */
  readonly onToken?: (audience: string, answer: CbsAnswer, isLast: boolean) => void;
}

/** Tokens that one connection may hold, as at the service. */
const TOKENS_MAX = 1000;
/** An audience or a policy is repeated in texts up to this length. */
const SHOWN_MAX = 200;
/** Refusals of one connection that are told: who asks without end is not to fill a log. */
const REFUSALS_TOLD_MAX = 100;
/** Longest delay that timers of all platforms bear. */
const DELAY_MAX_MS = 2_147_483_647;

/** Links from which on it is looked at which of them are gone. */
const LOOK_MIN = 64;

/** Characters of a path. Those of queues have 260 at the most, those of subscriptions' dead letters some dozens more. */
const PATH_MAX = 1024;

/** Where all event hubs of a namespace are asked about. Clients come with a token for `<hub>/$management`. */
const HUBS = '$management';

/**
 * Nodes of the router itself are no entities, and no token opens them; nor what may be another entity to whoever reads the path anew: a
 * router cuts off what looks like scheme and host (`orders/x:/$management`), a service may resolve steps upwards (`orders/../bills`).
 */
const NO_ENTITY = /^[$_/]|^amqp:|:\/|(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/\\]|%2f|%5c)/iu;

const TEXTS = {
  malformed: 'MalformedToken: The token is malformed.',
  'unknown-policy': 'InvalidSignature: The token has an invalid signature.',
  'bad-signature': 'InvalidSignature: The token has an invalid signature.',
  expired: 'ExpiredToken: The token is expired.',
  'other-resource': 'InvalidAudience: The token does not cover the audience.',
} as const;

/** Those that connections came through whose requests bring tokens of their own. */
const DOORS = new WeakMap<Connection, FrontDoor>();

/** The front door that a connection came through to what is asked about event hubs. */
export function doorOf(connection: Connection): FrontDoor | undefined {
  return DOORS.get(connection);
}

/**
 * What a client of Service Bus finds at one connection to us: the node `$cbs`, and links that are let through as far as its tokens
 * go.
 */
export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #node: CbsNode;
  /** Ms since 1970 at which a token ends, by the resource that it opens. */
  readonly #grants = new Map<string, number>();
  /** Links that were let through, by what they are of. Some may be gone: nobody tells of that, so now and then all are looked at. */
  readonly #links = new Map<string, Set<Link>>();
  #count = 0;
  #refusals = 0;
  #lookAt = LOOK_MIN;
  #cancel: (() => void) | undefined;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.#node = new CbsNode((type, audience, token) => {
      const answer = this.#judge(type, audience, token);
      const isRefused = answer.status !== 202;
      if (isRefused) this.#refusals += 1;
      const isLast = isRefused && this.#refusals === REFUSALS_TOLD_MAX;
      if (!isRefused || this.#refusals <= REFUSALS_TOLD_MAX) options.onToken?.(shown(audience), answer, isLast);
      return answer;
    });
  }

  /** Takes or refuses a link that the peer attaches. @returns false where it is let through */
  take(link: SenderLink | ReceiverLink, attach: Attach): boolean {
    const terminus = link instanceof ReceiverLink ? attach.target : attach.source;
    const isNode = terminus !== undefined && 'address' in terminus && terminus.dynamic !== true;
    const address = isNode ? terminus.address : undefined;
    const entity = address === undefined ? undefined : entityAddressOf(address);
    if (entity?.kind === 'cbs') {
      this.#node.take(link, attach);
      return true;
    }
    if (this.#options.keysOf === undefined) return false;
    // Work in a transaction is judged link by link.
    const isCoordinator = terminus !== undefined && 'type' in terminus && terminus.type === 'coordinator';
    if (isCoordinator && this.#hasToken) return false;
    const path = entity?.path ?? '';
    const right = link instanceof ReceiverLink ? 'Send' : 'Listen';
    const isEntity = path !== '' && !NO_ENTITY.test(path);
    if ((isEntity || (path === HUBS && this.#options.routesManagement?.() === true)) && this.#mayAttach(path)) {
      this.#remember(link, path);
      if (path === HUBS) DOORS.set(link.session.connection, this);
      return false;
    }
    link.refuse({
      condition: 'amqp:unauthorized-access',
      description: `Unauthorized access. '${right}' claim(s) are required to perform this operation. Resource: '${shown(path)}'. No token for it was put to $cbs of this connection.`,
    });
    return true;
  }

  /** The connection is gone. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#links.clear();
    this.#count = 0;
    this.#grants.clear();
  }

  /**
   * Why nothing is told of an event hub; undefined where it is.
   *
   * @param token - that comes with the request, for the hub under whatever host; without one, those that were put at `$cbs` count
   */
  refusalOf(hub: string, token: Secret | undefined): string | undefined {
    const { keysOf } = this.#options;
    if (keysOf === undefined) return undefined;
    if (token === undefined)
      return this.#mayAttach(`${hub}/${HUBS}`)
        ? undefined
        : `Unauthorized access. No token for '${shown(hub)}' was put to $cbs of this connection.`;
    const [host = ''] = /^(?:[a-z]+:\/\/)?[^/]*/iu.exec(parseSasToken(token)?.resource ?? '') ?? [];
    const verdict = this.#verdict(keysOf, 'jwt', `${host}/${hub}`, token);
    return 'status' in verdict ? verdict.description : undefined;
  }

  #judge(type: string, audience: string, token: Secret): CbsAnswer {
    const { keysOf } = this.#options;
    if (keysOf === undefined) return { status: 202, description: 'Accepted' };
    const verdict = this.#verdict(keysOf, type, audience, token);
    if ('status' in verdict) return verdict;
    const resource = pathOf(audience);
    if (!this.#grants.has(resource) && this.#grants.size >= TOKENS_MAX) {
      this.#forgetExpired();
      if (this.#grants.size >= TOKENS_MAX)
        return {
          status: 403,
          description: `The maximum number of '${TOKENS_MAX}' tokens per connection has been reached.`,
        };
    }
    this.#grants.set(resource, verdict.expiresAtSeconds * 1000);
    this.#watch();
    return { status: 202, description: 'Accepted' };
  }

  /** @returns until when it is good, or why it is not */
  #verdict(
    keysOf: (policy: string) => readonly Secret[],
    type: string,
    audience: string,
    token: Secret,
  ): CbsAnswer | { readonly expiresAtSeconds: number } {
    const { nowMs } = this.#options;
    const claims = parseSasToken(token);
    // The client for Python calls every token a jwt; the text tells what it is.
    if (type !== 'servicebus.windows.net:sastoken' && !(type === 'jwt' && claims !== undefined)) {
      return {
        status: 401,
        description: `Tokens of type '${shown(type)}' cannot be judged here: this router knows shared access keys alone.`,
      };
    }
    const keys = keysOf(claims?.keyName ?? '');
    const verdicts = keys.map((key) => verifySasToken(token, audience, () => key, nowMs()));
    // Of several keys that of the signature decides; what else is wrong is worth more than that the others do not fit.
    const verdict =
      verdicts.find(({ ok }) => ok) ??
      verdicts.find((one) => !one.ok && one.reason !== 'bad-signature') ??
      verdicts[0] ??
      verifySasToken(token, audience, () => undefined, nowMs());
    return verdict.ok ? verdict : { status: 401, description: TEXTS[verdict.reason] };
  }

  get #hasToken(): boolean {
    const now = this.#options.nowMs();
    return [...this.#grants.values()].some((expiresAtMs) => expiresAtMs > now);
  }

  #mayAttach(path: string): boolean {
    const now = this.#options.nowMs();
    const isGranted = (resource: string): boolean => (this.#grants.get(resource) ?? 0) > now;
    if (isGranted('')) return true;
    // There is no entity of such a name, and each of its parts would be looked up.
    if (path.length > PATH_MAX) return false;
    // A token is for its resource and all that lies below.
    const whole = path.toLowerCase();
    for (let end = whole.length; end > 0; end = whole.lastIndexOf('/', end - 1))
      if (isGranted(whole.slice(0, end))) return true;
    if (path !== HUBS) return false;
    // Of one hub of them: requests say which, and are judged. Clients for Python come with a token for the hub alone.
    for (const resource of this.#grants.keys()) if (isGranted(resource)) return true;
    return false;
  }

  #remember(link: Link, path: string): void {
    if (this.#count >= this.#lookAt) {
      this.#forgetDetached();
      this.#lookAt = Math.max(LOOK_MIN, 2 * this.#count);
    }
    const links = this.#links.get(path) ?? new Set();
    this.#links.set(path, links.add(link));
    this.#count += 1;
  }

  #forgetExpired(): void {
    const now = this.#options.nowMs();
    for (const [resource, expiresAtMs] of this.#grants) if (expiresAtMs <= now) this.#grants.delete(resource);
  }

  #forgetDetached(): void {
    this.#count = 0;
    for (const [path, links] of this.#links) {
      for (const link of links) if (link.state === 'detached') links.delete(link);
      if (links.size === 0) this.#links.delete(path);
      this.#count += links.size;
    }
  }

  /** Wakes up when the next token ends. */
  #watch(): void {
    const { clock, nowMs } = this.#options;
    this.#cancel?.();
    const next = Math.min(...this.#grants.values());
    if (next === Infinity) return;
    this.#cancel = clock.after(Math.min(Math.max(0, next - nowMs()), DELAY_MAX_MS), () => this.#expire());
  }

  /** Links that no token stands for any more end, as they do at the service. */
  #expire(): void {
    this.#cancel = undefined;
    this.#forgetExpired();
    this.#forgetDetached();
    for (const [path, links] of this.#links) {
      if (this.#mayAttach(path)) continue;
      this.#links.delete(path);
      this.#count -= links.size;
      const error: AmqpErrorFields = {
        condition: 'amqp:link:detach-forced',
        description: `The link is force detached. Code: RenewToken. Details: Unauthorized access. The token for '${shown(path)}' has expired.`,
      };
      for (const link of links) {
        const handler = link.commonHandler;
        link.detach(error);
        // Whoever serves the link has to hear of it: to them it is as if the peer had gone.
        handler.onDetach(link, error, true);
      }
    }
    this.#watch();
  }
}

/** Path of an audience, '' for the whole namespace. The host is not looked at: the client knows this router by another. */
function pathOf(audience: string): string {
  const path = audience.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/iu, '').replace(/^\/+/u, '');
  return withoutLastSlashes(path).toLowerCase();
}

function shown(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.slice(0, SHOWN_MAX).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/gu, ' ');
}
