// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import * as der from './der.js';

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  organizationName: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface CertificateRequest {
  readonly commonName: string;
  readonly organization?: string;
  /** Host names, `*.` at the beginning allowed. */
  readonly names?: readonly string[];
  /** IP addresses in text form. */
  readonly ips?: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** It may issue certificates itself. */
  readonly authority?: boolean;
}

/** A certificate and its key, in PEM. */
export interface IssuedCertificate {
  readonly cert: string;
  /** PKCS #8, not encrypted. */
  readonly key: string;
}

/** Who signs: an authority that {@link issueCertificate} made. */
export interface CertificateIssuer extends IssuedCertificate {
  readonly commonName: string;
  readonly organization?: string;
}

/**
 * Keys leave their making encoded. Node.js 20 hangs for good where a key object that it has just made is exported as JWK, and the
 * collector takes the job that made it meanwhile: both want one lock, on one thread.
 */
const KEY_PAIR = {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
} as const;

/**
 * Makes a key pair (P-256) and a certificate for it, signed by `issuer`, or by itself where there is none.
 *
 * For development and tests: no revocation, no policy. @see RFC 5280
 *
 * @throws RangeError where an address is none, or a name has characters other than ASCII
 */
export function issueCertificate(request: CertificateRequest, issuer?: CertificateIssuer): CertificateIssuer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', KEY_PAIR);
  const signerKey = issuer === undefined ? privateKey : issuer.key;
  const algorithm = der.sequence(der.oid(OID.ecdsaWithSha256));
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = der.sequence(
    der.tagged(0, der.integer(Uint8Array.of(2))),
    der.integer(serial),
    algorithm,
    distinguishedName(issuer ?? request),
    der.sequence(der.time(request.notBefore), der.time(request.notAfter)),
    distinguishedName(request),
    publicKey,
    der.tagged(
      3,
      der.sequence(...extensionsOf(request, keyIdOf(publicKey), issuer && keyIdOf(publicKeyOf(issuer.key)))),
    ),
  );
  const signature = sign('sha256', body, signerKey);
  return {
    commonName: request.commonName,
    ...(request.organization === undefined ? {} : { organization: request.organization }),
    cert: pem(der.sequence(body, algorithm, der.bitString(signature))),
    key: privateKey,
  };
}

export interface DevelopmentCertificateOptions {
  /** Host names of the server. Default: `localhost`. */
  readonly names?: readonly string[];
  /** IP addresses of the server. Default: `127.0.0.1` and `::1`. */
  readonly ips?: readonly string[];
  /** Days from now that both certificates are valid. Default: 30. */
  readonly days?: number;
}

export interface DevelopmentCertificates {
  /** The authority that signed `cert`: what a client's caCertFile has to hold. PEM. */
  readonly caCert: string;
  /** The server's certificate. PEM. */
  readonly cert: string;
  /** The server's key. PEM, not encrypted. */
  readonly key: string;
}

/**
 * Makes an authority for development and a server certificate from it.
 *
 * The key of the authority is dropped on return, so that whoever comes to trust it trusts these names and no others.
 */
export function makeDevelopmentCertificates(options: DevelopmentCertificateOptions = {}): DevelopmentCertificates {
  const { names = ['localhost'], ips = ['127.0.0.1', '::1'], days = 30 } = options;
  const now = Date.now();
  // An hour back: the clock of a container or a virtual machine may lag behind.
  const validity = { notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + days * DAY_MS) };
  const organization = 'Pointsman development';
  // The name is new each time: verifiers tell two authorities of one name apart badly.
  const commonName = `Pointsman development CA ${randomBytes(4).toString('hex')}`;
  const authority = issueCertificate({ commonName, organization, ...validity, authority: true });
  const leaf = issueCertificate(
    { commonName: names[0] ?? ips[0] ?? 'localhost', organization, names, ips, ...validity },
    authority,
  );
  return { caCert: authority.cert, cert: leaf.cert, key: leaf.key };
}

function distinguishedName(name: { readonly commonName: string; readonly organization?: string }): Buffer {
  const part = (type: string, value: string): Buffer => der.set(der.sequence(der.oid(type), der.utf8String(value)));
  return der.sequence(
    ...(name.organization === undefined ? [] : [part(OID.organizationName, name.organization)]),
    part(OID.commonName, name.commonName),
  );
}

function extensionsOf(request: CertificateRequest, keyId: Buffer, issuerKeyId: Buffer | undefined): Buffer[] {
  const authority = request.authority === true;
  const critical = (type: string, value: Buffer): Buffer =>
    der.sequence(der.oid(type), der.boolean(true), der.octetString(value));
  const plain = (type: string, value: Buffer): Buffer => der.sequence(der.oid(type), der.octetString(value));
  const extensions = [
    critical(OID.basicConstraints, authority ? der.sequence(der.boolean(true)) : der.sequence()),
    // keyCertSign and cRLSign (bits 5 and 6), or digitalSignature (bit 0).
    critical(OID.keyUsage, authority ? der.bitString(Uint8Array.of(0x06), 1) : der.bitString(Uint8Array.of(0x80), 7)),
    plain(OID.subjectKeyIdentifier, der.octetString(keyId)),
    plain(OID.authorityKeyIdentifier, der.sequence(der.taggedPrimitive(0, issuerKeyId ?? keyId))),
  ];
  if (!authority)
    extensions.push(plain(OID.extKeyUsage, der.sequence(der.oid(OID.serverAuth), der.oid(OID.clientAuth))));
  const names = [
    ...(request.names ?? []).map((name) => der.taggedPrimitive(2, dnsName(name))),
    ...(request.ips ?? []).map((ip) => der.taggedPrimitive(7, addressBytes(ip))),
  ];
  if (names.length > 0) extensions.push(plain(OID.subjectAltName, der.sequence(...names)));
  return extensions;
}

/** Bytes of a point of P-256, not compressed: 4, x, y. @see RFC 5480, 2.2 */
const POINT_BYTES = 65;

/**
 * SHA-1 of the public key: an identifier, not a protection. @see RFC 5280, 4.2.1.2
 *
 * @param publicKey - SPKI, which ends with the point
 */
function keyIdOf(publicKey: Buffer): Buffer {
  return createHash('sha1').update(publicKey.subarray(-POINT_BYTES)).digest();
}

function publicKeyOf(privateKey: string): Buffer {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
}

function dnsName(name: string): Buffer {
  if (!/^[\x21-\x7e]{1,253}$/.test(name)) {
    throw new RangeError(
      `"${name}" cannot stand in a certificate: a host name of up to 253 ASCII characters is needed`,
    );
  }
  return Buffer.from(name, 'latin1');
}

function addressBytes(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.from(ip.split('.').map(Number));
  if (!isIPv6(ip)) throw new RangeError(`"${ip}" is not an IP address`);
  // The URL parser knows every way to write an IPv6 address and gives back one.
  const [head = '', tail = ''] = new URL(`http://[${ip}]/`).hostname.slice(1, -1).split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => parseInt(group, 16)));
  const [front, back] = [groups(head), groups(tail)];
  const all = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Buffer.from(all.flatMap((group) => [group >>> 8, group & 0xff]));
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
