// SPDX-License-Identifier: Apache-2.0
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { OutgoingLink } from '@pointsman/router';
import type { AutoLink } from '@pointsman/router';
import type { ConnectorRuntime } from '../run/connector.js';
import type { RouterProcessObserver } from '../run/router-process.js';

export type StepName = 'connection' | 'tls' | 'idle' | 'authentication' | 'autolinks';

/** The five steps to Service Bus, in the order in which they are told. */
export const STEPS: readonly StepName[] = ['connection', 'tls', 'idle', 'authentication', 'autolinks'];

export interface StepReport {
  readonly step: StepName;
  readonly isGood: boolean;
  /** What was seen, line by line; or what is wrong and what to change, a paragraph each. */
  readonly lines: readonly string[];
  /** Time that the step took, where it came to an end. */
  readonly ms: number | undefined;
}

/** Autolinks whose failures are told in full. */
const FAILURES_SHOWN = 3;

/** How often what tells nobody of its changes is looked at, in ms. */
const LOOK_MS = 10;

/** Watches a connector and its autolinks on their way up, and reports each of the five steps when it is proven or has failed. */
export class StepWatch implements RouterProcessObserver {
  /** Resolves with true after the fifth step, with false after one that failed or when time is up. */
  readonly done: Promise<boolean>;
  readonly #connectorName: string;
  readonly #expected: number;
  readonly #report: (report: StepReport) => void;
  readonly #autoLinks = new Map<string, AutoLink>();
  readonly #failures = new Map<string, { readonly text: string; readonly unauthorized: boolean }>();
  readonly #reported = new Set<StepName>();
  readonly #look: NodeJS.Timeout;
  readonly #timeout: NodeJS.Timeout;
  readonly #onSocket: (message: unknown) => void;
  #resolve!: (good: boolean) => void;
  #isOver = false;
  #connector: ConnectorRuntime | undefined;
  /** Monotonic ms of what has happened so far. */
  #at: {
    began?: number;
    reached?: number;
    secured?: number;
    authenticated?: number;
    opened?: number;
    firstLink?: number;
  } = {};

  /** @param expected - autolinks that have to become active */
  constructor(connectorName: string, expected: number, timeoutMs: number, report: (report: StepReport) => void) {
    this.#connectorName = connectorName;
    this.#expected = expected;
    this.#report = report;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    // A connector tells when TLS stands. When TCP did, only the socket knows.
    this.#onSocket = (message) => {
      const { socket } = message as { socket: Socket };
      if (this.#at.began !== undefined && this.#at.reached === undefined)
        socket.once('connect', () => {
          this.#at.reached ??= performance.now();
        });
    };
    subscribe('net.client.socket', this.#onSocket);
    this.#look = setInterval(() => this.#checkLinks(), LOOK_MS);
    this.#timeout = setTimeout(() => this.#timeUp(timeoutMs), timeoutMs);
  }

  /** Stops watching; what is open stays open. */
  stop(): void {
    this.#end(false);
  }

  onConnector(connector: ConnectorRuntime): void {
    if (connector.name !== this.#connectorName || this.#isOver) return;
    this.#connector = connector;
    const now = performance.now();
    switch (connector.step) {
      case 'connecting':
        this.#at = { began: now };
        break;
      case 'connected':
        this.#at.secured = now;
        this.#reportStream(connector);
        break;
      case 'authenticated':
        this.#at.authenticated = now;
        break;
      case 'open':
        this.#at.opened = now;
        break;
      case 'failed':
        this.#connectorFailed(connector.lastFailure ?? 'The connection failed.');
        break;
      case 'waiting':
        break;
    }
  }

  onAutoLink(autoLink: AutoLink): void {
    if (autoLink.settings.connection !== this.#connectorName || this.#isOver) return;
    this.#autoLinks.set(autoLink.name, autoLink);
    if (autoLink.status === 'failed') {
      const { error } = autoLink.lastFailure ?? {};
      const { address } = autoLink.settings;
      const { name, direction, externalAddress } = autoLink;
      const text = autoLink.connection?.dialect?.explain?.(error, { name, direction, address, externalAddress });
      this.#failures.set(name, {
        text: text ?? autoLink.lastError ?? 'The link was refused.',
        unauthorized: error?.condition === 'amqp:unauthorized-access',
      });
    } else {
      this.#failures.delete(autoLink.name);
    }
    if (autoLink.status === 'active') this.#at.firstLink ??= performance.now();
    this.#checkLinks();
  }

  #reportStream({ target, info }: ConnectorRuntime): void {
    if (info === undefined) return;
    const { began = 0, reached = this.#at.secured ?? 0, secured = 0 } = this.#at;
    this.#good('connection', reached - began, `${target}, from ${info.localAddress}:${info.localPort}`);
    // Without TLS the service has the last word: an emulator opens all the same.
    if (!info.encrypted) return;
    const { subject, issuer } = info.peerCertificate ?? { subject: {}, issuer: {} };
    this.#good(
      'tls',
      secured - reached,
      `${info.tlsProtocol ?? 'TLS'}, ${info.tlsCipher ?? 'unknown cipher'}`,
      `certificate of ${nameOf(subject)}`,
      `${info.peerCertificate?.verified === true ? 'trusted: ' : ''}issued by ${nameOf(issuer)}`,
    );
  }

  /** Looks whether all autolinks are decided. */
  #checkLinks(): void {
    const links = [...this.#autoLinks.values()];
    const active = links.filter(({ status }) => status === 'active');
    if (this.#isOver || active.length + this.#failures.size < this.#expected) return;
    const { authenticated = 0, secured = 0, opened = 0, firstLink = 0 } = this.#at;
    const connection = this.#connector?.connection;
    if (connection === undefined) return;
    this.#good('tls', undefined, 'none: the service does without, and everything goes in clear');
    // The service has answered behind our open, so it has taken what the open said.
    const ours = connection.advertisedIdleTimeOut;
    const theirs = connection.remoteOpen?.idleTimeOut;
    this.#good('idle', opened - authenticated, `we advertise ${secondsOf(ours)}, the service ${secondsOf(theirs)}`);
    const failures = [...this.#failures.values()];
    if (active.length === 0 && failures.every(({ unauthorized }) => unauthorized)) {
      this.#failed('authentication', textsOf(failures, 1));
      return;
    }
    const { saslMechanism, user } = connection;
    this.#good(
      'authentication',
      authenticated - secured + (firstLink > 0 ? firstLink - opened : 0),
      `SASL ${saslMechanism ?? 'none'}${user === undefined ? '' : `, policy ${user}`}`,
      'its key was accepted at the first attach',
    );
    if (failures.length > 0) {
      this.#failed('autolinks', textsOf(failures, FAILURES_SHOWN));
      return;
    }
    // A link that nothing can be sent on yet is not there yet.
    if (active.some(({ link }) => link instanceof OutgoingLink && link.link.credit === 0)) return;
    const columns = Math.max(...active.map(({ settings }) => settings.address.length));
    this.#good('autolinks', performance.now() - opened, ...active.map((link) => describeLink(link, columns)));
    this.#end(true);
  }

  #connectorFailed(text: string): void {
    const { reached, secured, authenticated, opened } = this.#at;
    if (secured === undefined) {
      if (reached !== undefined)
        this.#good('connection', reached - (this.#at.began ?? 0), this.#connector?.target ?? '');
      this.#failed(reached === undefined ? 'connection' : 'tls', [text]);
    } else if (authenticated === undefined) this.#failed('authentication', [text]);
    else if (opened === undefined || /idle time-?out/iu.test(text)) this.#failed('idle', [text]);
    else this.#failed('connection', [text]);
  }

  #timeUp(timeoutMs: number): void {
    const step = STEPS.find((name) => !this.#reported.has(name)) ?? 'autolinks';
    const undecided = [...this.#autoLinks.values()]
      .filter(({ status }) => status !== 'active')
      .map(({ externalAddress }) => `'${externalAddress}'`);
    const about =
      step === 'tls'
        ? ` The service opens no connection without TLS: give connector '${this.#connectorName}' an sslProfile, and port: 5671.`
        : this.#at.opened !== undefined && undecided.length > 0
          ? ` Without an answer: ${undecided.join(', ')}.`
          : '';
    this.#failed(step, [`Nothing came of it within ${timeoutMs / 1000} s.${about}`]);
  }

  #good(step: StepName, ms: number | undefined, ...lines: string[]): void {
    if (this.#isOver || this.#reported.has(step)) return;
    this.#reported.add(step);
    this.#report({ step, isGood: true, lines, ms });
  }

  #failed(step: StepName, lines: string[]): void {
    if (this.#isOver) return;
    this.#report({ step, isGood: false, lines, ms: undefined });
    this.#end(false);
  }

  #end(good: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#look);
    clearTimeout(this.#timeout);
    unsubscribe('net.client.socket', this.#onSocket);
    this.#resolve(good);
  }
}

function textsOf(failures: readonly { readonly text: string }[], max: number): string[] {
  const texts = failures.slice(0, max).map(({ text }) => text);
  return failures.length > max ? [...texts, `${failures.length - max} more autolinks failed likewise.`] : texts;
}

/** `orders ──▶ orders, active, link credit 1000` */
function describeLink(autoLink: AutoLink, columns: number): string {
  const { direction, externalAddress, link, settings } = autoLink;
  const credit = link instanceof OutgoingLink ? `, link credit ${link.link.credit}` : '';
  return `${settings.address.padEnd(columns)} ${direction === 'out' ? '──▶' : '◀──'} ${externalAddress}, active${credit}`;
}

function nameOf(name: Readonly<Record<string, string>>): string {
  return name['CN'] ?? name['O'] ?? 'an unnamed party';
}

function secondsOf(ms: number | undefined): string {
  return ms === undefined ? 'none' : `${ms / 1000} s`;
}
