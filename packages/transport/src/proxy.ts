// SPDX-License-Identifier: Apache-2.0
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { PROXY_HINT, TransportError, codeOf, placeText, readable, sentence } from './transport-error.js';

/** An HTTP proxy that is asked for a tunnel. */
export interface HttpProxy {
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** User and password for Basic authentication; the password is read when it is sent. */
  readonly credentials?: { readonly username: string; readonly password: () => string } | undefined;
}

/** Bytes of a refusal that are shown. */
const REFUSAL_BYTES = 200;
const SCHEMES_LENGTH = 80;

/**
 * Asks the proxy at the other end of `socket` for a tunnel to `host:port`, and calls one of the others once. What the proxy
 * says is bounded by the HTTP parser of Node.js (16 KiB of head).
 *
 * @see RFC 9110, 9.3.6
 */
export function openTunnel(
  socket: Socket,
  proxy: HttpProxy,
  target: { readonly host: string; readonly port: number },
  opened: () => void,
  refused: (error: TransportError) => void,
): void {
  const authority = placeText(target);
  const where = `The proxy ${placeText(proxy)}`;
  const { credentials } = proxy;
  const asking = request({
    method: 'CONNECT',
    path: authority,
    createConnection: () => socket,
    headers: {
      host: authority,
      ...(credentials === undefined ? {} : { 'proxy-authorization': basic(credentials) }),
    },
  });
  asking.once('connect', (response, _, head: Buffer) => {
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) {
      if (head.length > 0) socket.unshift(head);
      opened();
    } else {
      // Some show the request in their answer.
      const shown = (text: string, length: number): string => readable(masked(text, credentials), length);
      const said = shown(head.toString('latin1').replaceAll(/<[^>]*>/g, ' '), REFUSAL_BYTES);
      const text = shown(`${status} ${response.statusMessage ?? ''}`, REFUSAL_BYTES).trim();
      const schemes = response.headers['proxy-authenticate'];
      const reason = status === 407 ? authentication(shown(schemes ?? '', SCHEMES_LENGTH)) : `: ${text} ${said}`;
      refused(
        new TransportError(
          status === 407 ? 'proxy-authentication' : 'proxy-refused',
          sentence(`${where} refuses a tunnel to ${authority}${reason}`.trimEnd()),
          status === 407
            ? cureOf407(credentials !== undefined, response.headers['proxy-authenticate'])
            : `${cureOf(status, authority)} ${PROXY_HINT}`,
        ),
      );
    }
  });
  asking.on('error', (error) => {
    const notHttp = codeOf(error).startsWith('HPE_');
    refused(
      new TransportError(
        notHttp ? 'proxy-refused' : 'closed-early',
        notHttp
          ? `${where} did not answer in HTTP.`
          : `${where} closed the connection instead of answering (${codeOf(error) || readable(error.message)}).`,
        PROXY_HINT,
        error,
      ),
    );
  });
  asking.end();
}

function basic({ username, password }: NonNullable<HttpProxy['credentials']>): string {
  return `Basic ${Buffer.from(`${username}:${password()}`, 'utf8').toString('base64')}`;
}

/** Without what we have said of ourselves. */
function masked(text: string, credentials: HttpProxy['credentials']): string {
  if (credentials === undefined) return text;
  const said = [basic(credentials).slice('Basic '.length), credentials.password()];
  return said.filter((secret) => secret !== '').reduce((rest, secret) => rest.replaceAll(secret, '[secret]'), text);
}

function authentication(schemes: string): string {
  const offered = schemes === '' ? '' : `, it offers ${schemes}`;
  return ` without proof of who asks (407${offered})`;
}

function cureOf(status: number, authority: string): string {
  if (status >= 300 && status < 400) return 'It may want a sign-in first: let it pass this machine without.';
  if (status >= 500)
    return `It may not find or reach ${authority} itself, or not be allowed to: see what it says in its log.`;
  return `Allow CONNECT to ${authority} in the proxy.`;
}

function cureOf407(hadCredentials: boolean, schemes: unknown): string {
  // A realm may be called anything.
  if (typeof schemes === 'string' && schemes !== '' && !/(?:^|,)\s*basic\b/i.test(schemes.replaceAll(/"[^"]*"/g, '')))
    return 'Only Basic authentication is there: let the proxy take it, or let it pass this machine without.';
  return hadCredentials
    ? "It does not take these: check the connector's proxyUsername and proxyPassword, or HTTPS_PROXY of the environment."
    : 'Give the connector proxyUsername and proxyPassword.';
}
