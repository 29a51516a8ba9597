// SPDX-License-Identifier: Apache-2.0
import { isServiceBusHost } from './host.js';
import { Secret } from './secret.js';

/** How TLS begins: with the first byte, by the AMQP TLS protocol header, or never. */
export type TlsMode = 'first' | 'in-band' | 'none';

/** What a connection string says, checked. Keys and signatures are wrapped: printing this shows none. */
export interface ConnectionString {
  /** Host of the endpoint, lower case, without port; an IPv6 address without its brackets. */
  readonly host: string;
  /** Port to connect to: that of the endpoint, or what follows from the rest. */
  readonly port: number;
  readonly tls: TlsMode;
  /** Name of the shared access policy. Present exactly where `key` is. */
  readonly keyName?: string;
  readonly key?: Secret;
  /** A ready-made `SharedAccessSignature sr=…` token. Excludes `keyName` and `key`. */
  readonly signature?: Secret;
  /** The one entity that the string is limited to. */
  readonly entityPath?: string;
  /** `UseDevelopmentEmulator=true`: plain TCP. */
  readonly emulator: boolean;
  /** `TransportType=AmqpWebSockets`. */
  readonly webSockets: boolean;
}

/** What a connection string means for a connector that leaves all of it open. */
export interface ImpliedConnector {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  /** Name for SNI, for the certificate check and for the `hostname` of `open` and `sasl-init`. */
  readonly hostname: string;
  readonly verifyHostname: boolean;
  /** `idle-time-out` as it should stand in our `open`, in milliseconds. */
  readonly idleTimeOutMs: number;
  readonly authentication: ImpliedAuthentication;
  /** AMQP is to travel in a WebSocket. */
  readonly webSockets: boolean;
}

export type ImpliedAuthentication =
  | { readonly mechanism: 'PLAIN'; readonly username: string; readonly password: Secret }
  /** A ready-made token can only be put to `$cbs`, on a connection that begins with ANONYMOUS. */
  | { readonly mechanism: 'ANONYMOUS'; readonly token: Secret };

/**
 * A connection string that cannot be used. The message says which part is wrong and how to write it, and quotes
 * nothing that could be a key: parts are named by position unless their name is known.
 */
export class ConnectionStringError extends Error {
  override readonly name = 'ConnectionStringError';
}

/** Real ones have under 500 characters; a SAS token in one may double that. */
const LENGTH_MAX = 16_384;

const PORT_TLS = 5671;
const PORT_PLAIN = 5672;

/** What is advertised towards Service Bus: as much as it advertises itself. */
export const IDLE_TIME_OUT_MS = 120_000;

/** Settings by their name in lower case. Legacy ones are understood and without effect. */
const SETTINGS: ReadonlyMap<string, string> = new Map(
  [
    'Endpoint',
    'SharedAccessKeyName',
    'SharedAccessKey',
    'SharedAccessSignature',
    'EntityPath',
    'UseDevelopmentEmulator',
    'TransportType',
    'OperationTimeout',
    'EnableAmqpLinkRedirect',
  ].map((name) => [name.toLowerCase(), name]),
);

const EXAMPLE = 'Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=POLICY;SharedAccessKey=KEY';

/**
 * Reads a Service Bus connection string: pairs `Name=Value` joined by `;`, split at the first `=` (keys end in
 * padding), names in any case, blanks around them dropped, empty pairs ignored.
 *
 * @throws ConnectionStringError where it cannot be used; the message never contains a key
 */
export function parseConnectionString(text: string): ConnectionString {
  const settings = settingsOf(text);
  const { host, port } = endpointOf(settings.get('Endpoint'));
  const emulator = flagOf(settings, 'UseDevelopmentEmulator');

  const keyName = settings.get('SharedAccessKeyName');
  const key = settings.get('SharedAccessKey');
  const signature = settings.get('SharedAccessSignature');
  checkCredentials(keyName, key, signature);
  const entityPath = entityPathOf(settings.get('EntityPath'));

  if (emulator && isServiceBusHost(host)) {
    fail(
      `UseDevelopmentEmulator=true would send the key in clear to '${host}'. Leave it out for a namespace in the cloud.`,
    );
  }
  const usedPort = emulator ? (port ?? PORT_PLAIN) : cloudPort(port);
  return {
    host,
    port: usedPort,
    tls: emulator ? 'none' : usedPort === PORT_PLAIN ? 'in-band' : 'first',
    ...(keyName === undefined || key === undefined ? {} : { keyName, key: new Secret(key) }),
    ...(signature === undefined ? {} : { signature: new Secret(signature) }),
    ...(entityPath === undefined ? {} : { entityPath }),
    emulator,
    webSockets: usesWebSockets(settings.get('TransportType')),
  };
}

/** What a connector does that is given nothing but this connection string. */
export function impliedConnector(parsed: ConnectionString): ImpliedConnector {
  const { host, port, tls, keyName, key, signature } = parsed;
  let authentication: ImpliedAuthentication;
  if (keyName !== undefined && key !== undefined) {
    authentication = { mechanism: 'PLAIN', username: keyName, password: key };
  } else if (signature !== undefined) {
    authentication = { mechanism: 'ANONYMOUS', token: signature };
  } else {
    fail('it carries neither a key nor a signature.');
  }
  return {
    host,
    port,
    tls,
    hostname: host,
    verifyHostname: tls !== 'none',
    idleTimeOutMs: IDLE_TIME_OUT_MS,
    authentication,
    webSockets: parsed.webSockets,
  };
}

function settingsOf(text: string): Map<string, string> {
  if (text.length > LENGTH_MAX) fail(`it has ${text.length} characters, more than ${LENGTH_MAX}.`);
  const trimmed = text.trim();
  if (trimmed === '') fail(`it is empty. Expected ${EXAMPLE}`);
  if (/^["']/.test(trimmed)) fail('it begins with a quotation mark. Write it without quotation marks.');
  // Line ends and the like come from wrapped paste; a key cut by one would only fail at the first attach.
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(trimmed)) fail('it contains a line break or another control character.');

  const settings = new Map<string, string>();
  for (const [index, pair] of trimmed.split(';').entries()) {
    if (pair.trim() === '') continue;
    const at = pair.indexOf('=');
    const position = `part ${index + 1}`;
    if (at < 0) fail(`${position} has no '='. Each part is Name=Value; ${knownNames()}`);
    const written = pair.slice(0, at).trim();
    const value = pair.slice(at + 1).trim();
    const name = SETTINGS.get(written.toLowerCase());
    if (name === undefined) fail(`${position} has an unknown name. ${suggestion(written)}`);
    if (settings.has(name)) fail(`${name} is given twice (again in ${position}).`);
    if (value === '') fail(`${name} (${position}) has no value.`);
    if (/^["']/.test(value)) fail(`${name} (${position}) begins with a quotation mark. Write it without.`);
    settings.set(name, value);
  }
  return settings;
}

function endpointOf(value: string | undefined): { host: string; port: number | undefined } {
  if (value === undefined) fail(`Endpoint is missing. Expected ${EXAMPLE}`);
  const match = /^(?:sb|amqps):\/\/(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?\/?$/i.exec(value);
  // The value is not quoted: with a ';' forgotten, the key stands in it.
  if (match === null) fail('Endpoint is not of the form sb://HOST/ or sb://HOST:PORT/ (is a ; missing behind it?).');
  const [, bracketed = '', digits] = match;
  const host = bracketed.replace(/^\[|\]$/g, '').toLowerCase();
  if (host.length > 255) fail('the host name in Endpoint has more than 255 characters.');
  if (digits === undefined) return { host, port: undefined };
  const port = Number(digits);
  if (port < 1 || port > 65_535) fail(`the port in Endpoint is ${port}; ports go from 1 to 65535.`);
  return { host, port };
}

/** Official clients take a port below 1024 (443 of the HTTP endpoint, as portals print it) for 5671. */
function cloudPort(port: number | undefined): number {
  return port === undefined || port < 1024 ? PORT_TLS : port;
}

function flagOf(settings: ReadonlyMap<string, string>, name: string): boolean {
  const value = settings.get(name)?.toLowerCase();
  if (value === undefined || value === 'false') return false;
  if (value === 'true') return true;
  fail(`${name} is neither true nor false.`);
}

function usesWebSockets(type: string | undefined): boolean {
  const lower = type?.toLowerCase();
  if (lower === 'amqpwebsockets') return true;
  // Other legacy values say nothing of the way.
  if (lower?.includes('web') === true) fail('TransportType is misspelt. Write AmqpWebSockets for a WebSocket.');
  return false;
}

function checkCredentials(keyName: string | undefined, key: string | undefined, signature: string | undefined): void {
  if (signature !== undefined) {
    if (keyName !== undefined || key !== undefined) {
      fail('it has a SharedAccessSignature and a SharedAccessKey. Keep the one that is to be used.');
    }
    if (!/^SharedAccessSignature\s+\S/i.test(signature)) {
      fail("SharedAccessSignature does not begin with 'SharedAccessSignature sr='.");
    }
    return;
  }
  if (keyName === undefined && key === undefined) {
    fail('it names no key. Add SharedAccessKeyName and SharedAccessKey, or a SharedAccessSignature.');
  }
  if (keyName === undefined) fail('SharedAccessKeyName is missing: the name of the policy that the key belongs to.');
  if (key === undefined) fail('SharedAccessKey is missing: the key of the policy that SharedAccessKeyName names.');
  if (keyName.length > 256) fail('SharedAccessKeyName has more than 256 characters.');
}

function entityPathOf(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value.length > 400 || /[@?#*]/.test(value)) fail('EntityPath is not the path of a queue, topic or subscription.');
  return value.replace(/^\/|\/$/g, '');
}

function knownNames(): string {
  return 'names are Endpoint, SharedAccessKeyName, SharedAccessKey, SharedAccessSignature, EntityPath, UseDevelopmentEmulator.';
}

/** Names the nearest setting where there is a near one. What was written is not repeated: it may be half a key. */
function suggestion(written: string): string {
  let best: string | undefined;
  let bestDistance = 4;
  for (const [lower, name] of SETTINGS) {
    if (Math.abs(lower.length - written.length) >= bestDistance) continue;
    const distance = editDistance(written.toLowerCase(), lower);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best === undefined ? `The ${knownNames()}` : `Did you mean ${best}?`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function fail(what: string): never {
  throw new ConnectionStringError(`The connection string cannot be used: ${what}`);
}
