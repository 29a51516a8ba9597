// SPDX-License-Identifier: Apache-2.0
import type { Link } from '@pointsman/engine';
import type { SourceTerminus, TargetTerminus } from '@pointsman/wire';
import { messageComponentsOf, messageText } from './message-text.js';
import type { MessageComponent } from './message-text.js';
import type { Log, MessageLogging } from './settings.js';

/** Logs the messages of a connection in module MESSAGE, where its settings ask for that. */
export class MessageLog {
  readonly #connectionId: number;
  readonly #components: ReadonlySet<MessageComponent>;
  readonly #isOn: () => boolean;
  readonly #log: Log;

  private constructor(id: number, components: ReadonlySet<MessageComponent>, isOn: () => boolean, log: Log) {
    this.#connectionId = id;
    this.#components = components;
    this.#isOn = isOn;
    this.#log = log;
  }

  /** @returns undefined where nothing is to be logged, whatever the levels are */
  static of(id: number, logging: MessageLogging | undefined, log: Log): MessageLog | undefined {
    const components = logging === undefined ? undefined : messageComponentsOf(logging.components);
    return components === undefined ? undefined : new MessageLog(id, components, logging!.isOn, log);
  }

  /** @param bytes - the message in `[start, end)`, or what there is of it */
  tell(what: 'Received' | 'Sent', link: Link, bytes: Uint8Array, start: number, end: number): void {
    if (!this.#isOn()) return;
    const text = messageText(bytes, this.#components, start, end);
    const { source, target } = link.remoteAttach ?? {};
    const way = `${addressOf(source)} -> ${addressOf(target)}`;
    this.#log('MESSAGE', 'trace', `[C${this.#connectionId}]: ${what} ${text} on link '${link.name}' (${way})`);
  }
}

function addressOf(terminus: SourceTerminus | TargetTerminus | undefined): string {
  const address = terminus !== undefined && 'address' in terminus ? terminus.address : undefined;
  return typeof address === 'string' ? address : '<none>';
}
