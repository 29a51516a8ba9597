// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED, RELEASED, SenderLink } from '../src/index.js';
import type { DeliveryState } from '@pointsman/wire';
import type { IncomingDelivery, ReceiverLink, Session, SessionOptions } from '../src/index.js';
import { RecordingReceiver, RecordingSender } from './pair.js';
import { RawPeer } from './raw-peer.js';
import type { Heard, Said } from './raw-peer.js';

// A scenario is a text: prose behind `#`, commands, `----`, and what happened. UPDATE=1 writes down what happens now: read the
// diff before it is committed. Commands that begin with `<-` are frames of the peer, the others are ours.
const folder = new URL('../../test/scenarios/', import.meta.url);

/** `a=1 b flag` as `{ a: '1', b: '', flag: '' }`. */
type Words = Readonly<Record<string, string>>;

const STATES: Readonly<Record<string, DeliveryState>> = {
  accepted: ACCEPTED,
  released: RELEASED,
  failed: MODIFIED_FAILED,
  rejected: { type: 'rejected', error: { condition: 'amqp:not-found' } },
};

class Stage {
  readonly #peer = new RawPeer();
  #options: SessionOptions = {};
  #lines: string[] = [];
  readonly #links = new Map<string, SenderLink | ReceiverLink>();
  readonly #shown = new Map<string, string>();
  readonly #deliveries = new Map<number, IncomingDelivery>();

  constructor() {
    const { recorder } = this.#peer;
    Object.assign(recorder, {
      onBegin: (session: Session) => {
        recorder.sessions.push(session);
        session.begin(this.#options);
      },
      onAttach: (link: SenderLink | ReceiverLink) => this.#accept(link),
      onEnd: (_session: Session, error: { condition: string } | undefined) =>
        this.#tell(`session ended ${error?.condition ?? ''}`),
    });
    this.#peer.open();
  }

  #tell(line: string): void {
    this.#lines.push(line.trimEnd());
  }

  #accept(link: SenderLink | ReceiverLink): void {
    this.#links.set(link.name, link);
    if (link instanceof SenderLink) {
      const handler = new RecordingSender();
      Object.assign(handler, {
        onSendable: () => this.#tell(`${link.name} may send`),
        onDrain: () => this.#tell(`${link.name} is to drain`),
        onDisposition: (
          _link: SenderLink,
          { id }: { id: number },
          state: DeliveryState | undefined,
          settled: boolean,
        ) => this.#tell(`${link.name} delivery ${id} ${nameOf(state)}${settled ? ' settled' : ''}`),
        onDetach: (_link: SenderLink, error: { condition: string } | undefined) =>
          this.#tell(`${link.name} detached ${error?.condition ?? ''}`),
      });
      link.accept(handler);
    } else {
      const handler = new RecordingReceiver();
      Object.assign(handler, {
        onTransfer: (_link: ReceiverLink, delivery: IncomingDelivery) => {
          this.#deliveries.set(delivery.id, delivery);
          const flags = [
            delivery.complete ? '' : 'more',
            delivery.aborted ? 'aborted' : '',
            delivery.settled && !delivery.aborted ? 'settled' : '',
          ];
          this.#tell(`${link.name} delivery ${delivery.id} ${flags.filter(Boolean).join(' ')}`);
        },
        onDetach: (_link: ReceiverLink, error: { condition: string } | undefined) =>
          this.#tell(`${link.name} detached ${error?.condition ?? ''}`),
      });
      link.accept(handler);
    }
  }

  /** Does what a line says. @returns what happened, line by line */
  run(lines: readonly string[]): string[] {
    this.#lines = [];
    for (const line of lines) {
      const [head, ...rest] = line.split(/\s+/);
      const name = head === '<-' ? rest.shift()! : head!;
      const args: Words = Object.fromEntries(
        rest.map((word) => word.split('=', 2)).map(([key, value]) => [key!, value ?? '']),
      );
      if (head === '<-') this.#peer.say(saidOf(name, rest[0] ?? '', args));
      else this.#ours(name, rest, args);
    }
    for (const heard of this.#peer.hear()) this.#tell(`-> ${textOf(heard)}`);
    for (const [name, link] of this.#links) {
      if (link.state !== 'attached') continue;
      const told =
        link instanceof SenderLink
          ? `${name}: delivery-count=${link.deliveryCount} link-credit=${link.credit}${link.draining ? ' drain' : ''}`
          : `${name}: delivery-count=${link.deliveryCount} credit=${link.credit} known=${link.announced}${link.draining ? ' drain' : ''}`;
      if (this.#shown.get(name) === told) continue;
      this.#shown.set(name, told);
      this.#tell(told);
    }
    const session = this.#peer.recorder.sessions.at(-1);
    if (session !== undefined && session.state === 'mapped') {
      const told = `session: next-outgoing-id=${session.nextOutgoingId} remote-incoming-window=${session.remoteIncomingWindow} next-incoming-id=${session.nextIncomingId}`;
      if (this.#shown.get('') !== told) this.#tell(told);
      this.#shown.set('', told);
    }
    return this.#lines;
  }

  #ours(name: string, [first = '', second = '', third = '']: readonly string[], args: Words): void {
    const link = this.#links.get(first);
    const session = this.#peer.recorder.sessions.at(-1)!;
    switch (name) {
      case 'session':
        this.#options = {
          incomingWindow: optional(args['incoming-window']),
          nextOutgoingId: optional(args['next-outgoing-id']),
        };
        return;
      case 'hold':
        return session.holdWindow();
      case 'release':
        return session.releaseWindow();
      default:
    }
    assert.ok(link !== undefined, `no link ${first}`);
    if (link instanceof SenderLink) {
      const bytes = new Uint8Array(3);
      switch (name) {
        case 'send':
          for (let i = 0; i < Number(second); i++) {
            if (!link.sendable) return this.#tell('waits');
            link.send(undefined, 0, 'settled' in args, undefined, bytes, 0, 3, !('more' in args));
          }
          return;
        case 'resume':
          return link.resumable ? void link.resume(bytes, 0, 3, !('more' in args)) : this.#tell('waits');
        case 'abort':
          return link.abort();
        case 'drained':
          return link.drained();
        default:
      }
    } else {
      switch (name) {
        case 'credit':
          return link.addCredit(Number(second));
        case 'set-credit':
          return link.setCredit(Number(second), 'drain' in args);
        case 'withdraw':
          return link.withdrawCredit();
        case 'drain':
          return link.drain();
        case 'settle':
          return link.settle(this.#deliveries.get(Number(second))!, STATES[third]);
        case 'update':
          return link.update(this.#deliveries.get(Number(second))!, STATES[third]!);
        default:
      }
    }
    assert.fail(`no command ${name} for ${first}`);
  }
}

function optional(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

function nameOf(state: DeliveryState | undefined): string {
  return state === undefined ? '-' : 'type' in state ? state.type : 'described';
}

function saidOf(name: string, first: string, a: Words): Said {
  const n = (key: string): number | undefined => optional(a[key]);
  switch (name) {
    case 'begin':
      return {
        type: 'begin',
        nextOutgoingId: n('next-outgoing-id') ?? 0,
        incomingWindow: n('incoming-window') ?? 100,
        outgoingWindow: 100,
      };
    case 'attach':
      return {
        type: 'attach',
        name: first,
        handle: n('handle') ?? 0,
        role: 'receiver' in a,
        source: { type: 'source' },
        target: { type: 'target' },
        initialDeliveryCount: n('initial-delivery-count'),
      };
    case 'flow':
      return {
        type: 'flow',
        nextIncomingId: n('next-incoming-id'),
        incomingWindow: n('incoming-window') ?? 100,
        nextOutgoingId: 0,
        outgoingWindow: 100,
        handle: n('handle'),
        deliveryCount: n('delivery-count'),
        linkCredit: n('link-credit'),
        drain: 'drain' in a,
        echo: 'echo' in a,
      };
    case 'transfer':
      return {
        type: 'transfer',
        handle: n('handle') ?? 0,
        deliveryId: n('id'),
        deliveryTag: a['id'] === undefined ? undefined : Uint8Array.of(Number(a['id']) & 0xff),
        settled: 'settled' in a,
        more: 'more' in a,
        aborted: 'aborted' in a,
      };
    case 'disposition':
      return {
        type: 'disposition',
        role: 'receiver' in a,
        first: n('first') ?? 0,
        last: n('last'),
        settled: 'settled' in a,
        state: STATES[a['state'] ?? ''],
      };
    case 'detach':
      return { type: 'detach', handle: n('handle') ?? 0, closed: true };
    case 'end':
      return { type: 'end' };
    default:
      return assert.fail(`no frame ${name}`);
  }
}

/** What stands in a frame of ours, as far as scenarios are about it. */
function textOf({ frame }: Heard): string {
  switch (frame.type) {
    case 'flow': {
      const link =
        frame.handle === undefined
          ? ''
          : ` handle=${frame.handle} delivery-count=${frame.deliveryCount} link-credit=${frame.linkCredit}`;
      return `flow next-incoming-id=${frame.nextIncomingId} incoming-window=${frame.incomingWindow} next-outgoing-id=${frame.nextOutgoingId}${link}${frame.drain === true ? ' drain' : ''}`;
    }
    case 'transfer': {
      const flags = [
        frame.settled === true && 'settled',
        frame.more === true && 'more',
        frame.aborted === true && 'aborted',
      ].filter(Boolean);
      return [
        'transfer',
        `handle=${frame.handle}`,
        frame.deliveryId === undefined ? '' : `id=${frame.deliveryId}`,
        ...flags,
      ]
        .filter(Boolean)
        .join(' ');
    }
    case 'disposition': {
      const range =
        frame.last === undefined || frame.last === frame.first ? `${frame.first}` : `${frame.first}..${frame.last}`;
      return `disposition ${frame.role ? 'receiver' : 'sender'} ${range} ${nameOf(frame.state)}${frame.settled === true ? ' settled' : ''}`;
    }
    case 'detach':
      return `detach handle=${frame.handle} ${frame.error?.condition ?? ''}`.trimEnd();
    case 'end':
      return `end ${frame.error?.condition ?? ''}`.trimEnd();
    case 'attach':
      return `attach ${frame.name} handle=${frame.handle}`;
    default:
      return frame.type;
  }
}

interface Block {
  readonly prose: string[];
  readonly commands: string[];
  readonly happened: string[];
}

function blocksOf(text: string): Block[] {
  return text
    .trimEnd()
    .split(/\n{2,}/)
    .map((block) => {
      const lines = block.split('\n');
      const prose = lines.filter((line) => line.startsWith('#'));
      const rest = lines.filter((line) => !line.startsWith('#'));
      const at = rest.indexOf('----');
      return { prose, commands: at < 0 ? rest : rest.slice(0, at), happened: at < 0 ? [] : rest.slice(at + 1) };
    });
}

function played(text: string): string {
  const stage = new Stage();
  const blocks = blocksOf(text).map(({ prose, commands }) =>
    [...prose, ...(commands.length === 0 ? [] : [...commands, '----', ...stage.run(commands)])].join('\n'),
  );
  return `${blocks.join('\n\n')}\n`;
}

describe('scenarios', () => {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.txt'))
    .toSorted();
  assert.ok(files.length > 0);
  for (const name of files) {
    it(name, () => {
      const file = new URL(name, folder);
      const text = readFileSync(file, 'utf8');
      const now = played(text);
      if (process.env['UPDATE'] === '1') writeFileSync(file, now);
      else assert.equal(now, text);
    });
  }
});
