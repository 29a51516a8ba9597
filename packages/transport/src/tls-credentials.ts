// SPDX-License-Identifier: Apache-2.0
import { X509Certificate, constants, createPrivateKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as tls from 'node:tls';
import type { SecureContext, SecureContextOptions, SecureVersion, Server, TlsOptions } from 'node:tls';
import { readSmallFile } from './small-file.js';
import { codeOf, readable } from './transport-error.js';

/** What an sslProfile says. File names are resolved, the password is the password itself. */
export interface TlsProfile {
  /** For messages. */
  readonly name?: string | undefined;
  /**
   * PEM, any number of certificates. A client trusts them beside the authorities of the system; a server asks for client
   * certificates of these authorities and no others.
   */
  readonly caCertFile?: string | undefined;
  /** PEM, the certificate of this side first, then those between it and the authority. */
  readonly certFile?: string | undefined;
  /** PEM. Default: the key is looked for in `certFile`. */
  readonly privateKeyFile?: string | undefined;
  /** For an encrypted key. */
  readonly password?: string | undefined;
  /** OpenSSL's list of ciphers. */
  readonly ciphers?: string | undefined;
  /** `TLSv1.2 TLSv1.3`: the versions to offer. Default: both. */
  readonly protocols?: string | undefined;
  /** False: a client trusts the authorities of `caCertFile` alone. Default: true. */
  readonly systemTrust?: boolean | undefined;
}

/** Access to files, for programs that hold certificates elsewhere. */
export interface FileReader {
  /** @throws where the file cannot be read */
  readFile(path: string): Uint8Array;
}

/** A bundle of all the authorities of the world has a quarter of that. */
const FILE_BYTES_MAX = 1_048_576;
const DISK: FileReader = { readFile: (path) => readSmallFile(path, FILE_BYTES_MAX) };

/** A TLS profile that cannot be used. Names the setting and the file; never shows their contents. */
export class TlsCredentialsError extends Error {
  /** The setting at fault, by its name in the configuration: `caCertFile`, `password`. */
  readonly setting: string;
  readonly file: string | undefined;
  readonly hint: string;

  constructor(setting: string, file: string | undefined, message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'TlsCredentialsError';
    this.setting = setting;
    this.file = file;
    this.hint = hint;
  }
}

/** A checked TLS profile. The context of clients is built once and serves all connections, that of servers once per port. */
export class TlsCredentials {
  /** Things to tell the operator that do not stop the profile from working. */
  readonly warnings: readonly string[];
  /** This side has a certificate of its own to show. */
  readonly hasCertificate: boolean;
  /** There are authorities to check client certificates against. */
  readonly hasAuthorities: boolean;
  readonly #base: SecureContextOptions;
  readonly #authorities: readonly string[];
  readonly #systemTrust: boolean;
  #client: SecureContext | undefined;

  constructor(
    base: SecureContextOptions,
    authorities: readonly string[],
    systemTrust: boolean,
    warnings: readonly string[],
  ) {
    this.#base = base;
    this.#authorities = authorities;
    this.#systemTrust = systemTrust;
    this.warnings = warnings;
    this.hasCertificate = base.cert !== undefined;
    this.hasAuthorities = authorities.length > 0;
  }

  /**
   * Why a client trusts an authority: `caCertFile`, or what of this system has it, as `Node.js` or the name of a file. Undefined
   * where it does not.
   *
   * @param der - the certificate, as peers send it
   */
  trustIn(der: Uint8Array): string | undefined {
    const body = Buffer.from(der).toString('base64');
    if (this.#authorities.some((text) => bodyOf(text) === body)) return 'caCertFile';
    return this.#systemTrust ? systemTrust().get(body)?.sources.join(' and ') : undefined;
  }

  /** For connections that this side makes. */
  get clientContext(): SecureContext {
    this.#client ??= tls.createSecureContext({
      ...this.#base,
      ca: this.#systemTrust ? [...systemAuthorities(), ...this.#authorities] : [...this.#authorities],
    });
    return this.#client;
  }

  /**
   * A server for connections that are handed to it by its `connection` event. Of client certificates it knows those of
   * `caCertFile`: a certificate of a public authority is nobody here.
   *
   * @throws TypeError where there is no certificate to show
   */
  makeServer(options: TlsOptions): Server {
    if (!this.hasCertificate) throw new TypeError('a TLS server needs a certificate of its own (certFile)');
    return tls.createServer({ ...this.#base, ca: [...this.#authorities], ...options });
  }

  /**
   * Lets a server that {@link makeServer} made use these credentials for its next connections.
   *
   * @throws TypeError where there is no certificate to show
   */
  renewServer(server: Server): void {
    if (!this.hasCertificate) throw new TypeError('a TLS server needs a certificate of its own (certFile)');
    server.setSecureContext({ ...this.#base, ca: [...this.#authorities] });
  }
}

/**
 * Reads and checks the files of a TLS profile.
 *
 * @throws TlsCredentialsError where a file, the key, the password or a list does not do
 */
export function loadTlsCredentials(profile: TlsProfile = {}, files: FileReader = DISK): TlsCredentials {
  const loader = new ProfileLoader(profile, files);
  return loader.load();
}

/** OpenSSL's options against a version, lowest version first. */
const SWITCHED_OFF = [
  constants.SSL_OP_NO_TLSv1,
  constants.SSL_OP_NO_TLSv1_1,
  constants.SSL_OP_NO_TLSv1_2,
  constants.SSL_OP_NO_TLSv1_3,
];

const PEM_CERTIFICATE = /-----BEGIN (?:X509 )?CERTIFICATE-----[^-]+-----END (?:X509 )?CERTIFICATE-----/g;
const PEM_KEY = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;
const ENCRYPTED_KEY = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

class ProfileLoader {
  readonly #profile: TlsProfile;
  readonly #files: FileReader;
  readonly #of: string;
  readonly #warnings: string[] = [];

  constructor(profile: TlsProfile, files: FileReader) {
    this.#profile = profile;
    this.#files = files;
    this.#of = profile.name === undefined ? '' : ` of sslProfile ${profile.name}`;
  }

  load(): TlsCredentials {
    const { caCertFile, ciphers, systemTrust = true } = this.#profile;
    const versions = this.#versions();
    const authorities = caCertFile === undefined ? [] : this.#authorities(caCertFile);
    const base: SecureContextOptions = {
      ...versions,
      ...(ciphers === undefined ? {} : { ciphers }),
      ...this.#identity(),
    };
    this.#check(base);
    return new TlsCredentials(base, authorities, systemTrust, this.#warnings);
  }

  #fail(setting: string, file: string | undefined, what: string, hint: string, cause?: unknown): never {
    const subject = file === undefined ? setting : `${setting} ${file}`;
    throw new TlsCredentialsError(setting, file, `${subject}${this.#of}: ${what}`, hint, cause);
  }

  #read(setting: string, file: string): string {
    try {
      return Buffer.from(this.#files.readFile(file)).toString('utf8');
    } catch (error) {
      const code = codeOf(error);
      const what =
        code === 'ENOENT'
          ? 'there is no such file'
          : code === 'EACCES'
            ? 'this process may not read it'
            : code === 'EISDIR'
              ? 'it is a directory, not a file'
              : code === 'EFBIG'
                ? 'it is too large for a file of certificates or keys'
                : `it cannot be read (${code === '' ? 'unknown reason' : code})`;
      return this.#fail(setting, file, what, `Correct ${setting}, or the rights of the file.`, error);
    }
  }

  #authorities(file: string): string[] {
    const found = this.#certificates('caCertFile', file);
    const now = Date.now();
    const expired = found.filter(({ certificate }) => Date.parse(certificate.validTo) < now);
    if (expired.length === found.length) {
      this.#warnings.push(`caCertFile ${file}${this.#of}: every certificate in it has expired.`);
    }
    return found.map(({ text }) => text);
  }

  #certificates(setting: string, file: string): { text: string; certificate: X509Certificate }[] {
    const blocks = this.#read(setting, file).match(PEM_CERTIFICATE) ?? [];
    if (blocks.length === 0) {
      this.#fail(
        setting,
        file,
        'it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)',
        'Convert it: openssl x509 -inform der -in FILE -out FILE.pem',
      );
    }
    return blocks.map((text, i) => {
      try {
        return { text, certificate: new X509Certificate(text) };
      } catch (error) {
        return this.#fail(setting, file, `certificate ${i + 1} in it is damaged`, 'Copy the file anew.', error);
      }
    });
  }

  /** Certificate and key of this side, or nothing where none are configured. */
  #identity(): SecureContextOptions {
    const { certFile, privateKeyFile, password } = this.#profile;
    if (certFile === undefined) {
      if (privateKeyFile !== undefined) {
        this.#fail(
          'privateKeyFile',
          privateKeyFile,
          'there is a key but no certFile',
          'Set certFile as well, or neither.',
        );
      }
      return {};
    }
    const chain = this.#certificates('certFile', certFile);
    const leaf = chain[0]?.certificate as X509Certificate;
    const keyFile = privateKeyFile ?? certFile;
    const keyText = this.#read(privateKeyFile === undefined ? 'certFile' : 'privateKeyFile', keyFile);
    const key = this.#key(keyText, keyFile);
    if (!leaf.checkPrivateKey(key)) {
      this.#fail(
        'privateKeyFile',
        keyFile,
        `the key does not belong to the certificate in certFile ${certFile}`,
        'Set privateKeyFile to the key that the certificate was requested with; the first certificate in certFile has to be its own.',
      );
    }
    this.#checkDates(leaf, certFile);
    return {
      cert: chain.map(({ text }) => text).join('\n'),
      key: keyText,
      ...(password === undefined ? {} : { passphrase: password }),
    };
  }

  #key(text: string, file: string): KeyObject {
    const { privateKeyFile, password } = this.#profile;
    const setting = privateKeyFile === undefined ? 'certFile' : 'privateKeyFile';
    if (!PEM_KEY.test(text)) {
      if (privateKeyFile === undefined) {
        this.#fail('certFile', file, 'no privateKeyFile is set, and certFile holds no key', 'Set privateKeyFile.');
      }
      this.#fail(
        setting,
        file,
        'it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)',
        'Name the file with the key.',
      );
    }
    const encrypted = ENCRYPTED_KEY.test(text);
    if (encrypted && (password === undefined || password === '')) {
      this.#fail('password', file, 'the key is encrypted, and no password is set', "Set the sslProfile's password.");
    }
    try {
      return createPrivateKey({
        key: text,
        format: 'pem',
        ...(password === undefined ? {} : { passphrase: password }),
      });
    } catch (error) {
      if (encrypted) {
        return this.#fail(
          'password',
          file,
          'the password does not open the key',
          "Correct the sslProfile's password.",
          error,
        );
      }
      return this.#fail(setting, file, 'the key in it is damaged or of an unknown kind', 'Copy the file anew.', error);
    }
  }

  #checkDates(leaf: X509Certificate, file: string): void {
    const now = Date.now();
    if (Date.parse(leaf.validTo) < now) {
      this.#fail('certFile', file, `the certificate expired on ${leaf.validTo}`, 'Renew the certificate.');
    }
    if (Date.parse(leaf.validFrom) > now) {
      this.#fail(
        'certFile',
        file,
        `the certificate is not valid before ${leaf.validFrom}`,
        'Set the clock of this machine, or wait.',
      );
    }
  }

  #versions(): Pick<SecureContextOptions, 'minVersion' | 'maxVersion' | 'secureOptions'> {
    const known: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
    const words = (this.#profile.protocols ?? '').split(/[\s,]+/).filter((word) => word !== '');
    if (words.length === 0) return { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' };
    const indexes = words.map((word) => {
      const index = known.indexOf(word as SecureVersion);
      if (index !== -1) return index;
      return this.#fail(
        'protocols',
        undefined,
        `"${readable(word, 40)}" is none of ${known.join(', ')}`,
        'Write TLSv1.2 TLSv1.3.',
      );
    });
    const [min, max] = [Math.min(...indexes), Math.max(...indexes)];
    // What lies between the lowest and the highest and is not named is switched off by itself.
    let secureOptions = 0;
    for (let index = min + 1; index < max; index++) if (!indexes.includes(index)) secureOptions |= SWITCHED_OFF[index]!;
    return {
      minVersion: known[min] as SecureVersion,
      maxVersion: known[max] as SecureVersion,
      ...(secureOptions === 0 ? {} : { secureOptions }),
    };
  }

  /** Lets OpenSSL have its say about what only it can judge. */
  #check(base: SecureContextOptions): void {
    try {
      tls.createSecureContext({ ...base, ca: [] });
    } catch (error) {
      const { ciphers, certFile } = this.#profile;
      if (ciphers !== undefined && codeOf(error) === 'ERR_SSL_NO_CIPHER_MATCH') {
        this.#fail(
          'ciphers',
          undefined,
          `OpenSSL knows none of "${readable(ciphers, 80)}"`,
          'Leave ciphers out, or see: openssl ciphers',
          error,
        );
      }
      const setting = certFile === undefined ? 'ciphers' : 'certFile';
      this.#fail(
        setting,
        certFile,
        `OpenSSL does not accept it (${codeOf(error)})`,
        'Use a key of at least 2048 bits (RSA) or 256 bits (EC).',
        error,
      );
    }
  }
}

/** Where systems keep their bundle of authorities, most specific first. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

interface Authority {
  readonly pem: string;
  /** What has it: `Node.js`, files, the store of the system. */
  readonly sources: string[];
}

let trusted: ReadonlyMap<string, Authority> | undefined;
let system: readonly string[] | undefined;

/**
 * The authorities that this machine trusts, in PEM: those that Node.js brings along, the system's own, and those that
 * `NODE_EXTRA_CA_CERTS` and `SSL_CERT_FILE` name. Read once per process.
 */
export function systemAuthorities(): readonly string[] {
  return (system ??= [...systemTrust().values()].map(({ pem }) => pem));
}

/** The same by their bytes in base64. */
function systemTrust(): ReadonlyMap<string, Authority> {
  if (trusted !== undefined) return trusted;
  const found = new Map<string, Authority>();
  const add = (text: string, source: string): void => {
    for (const pem of text.match(PEM_CERTIFICATE) ?? []) {
      const body = bodyOf(pem);
      const known = found.get(body);
      if (known === undefined) found.set(body, { pem, sources: [source] });
      else if (!known.sources.includes(source)) known.sources.push(source);
    }
  };
  for (const root of tls.rootCertificates) add(root, 'Node.js');
  for (const name of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']) {
    const file = process.env[name];
    if (file !== undefined && file !== '') add(readIfThere(file) ?? '', `${name} (${file})`);
  }
  const bundle = SYSTEM_BUNDLES.map((file) => ({ file, text: readIfThere(file) })).find(
    ({ text }) => text !== undefined,
  );
  if (bundle?.text !== undefined) add(bundle.text, bundle.file);
  else for (const root of systemStore()) add(root, 'the store of the system');
  trusted = found;
  return found;
}

/** The bytes of a certificate, in base64 without line ends. */
function bodyOf(pem: string): string {
  return pem.replaceAll(/-----[^-]+-----|\s/g, '');
}

/** The store of Windows and macOS, which newer versions of Node.js can read. */
function systemStore(): readonly string[] {
  const read: unknown = Reflect.get(tls, 'getCACertificates');
  return typeof read === 'function' ? (read as (type: 'system') => string[])('system') : [];
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
