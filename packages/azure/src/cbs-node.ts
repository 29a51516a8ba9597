// SPDX-License-Identifier: Apache-2.0
import { ReceiverLink } from '@pointsman/engine';
import type { SenderLink } from '@pointsman/engine';
import { decodeMessage, encodeMessage, int, plainOf } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Attach, Message } from '@pointsman/wire';
import type { CbsAnswer } from './cbs-links.js';
import { AnswerLinks, acceptRequests } from './request-links.js';
import { Secret } from './secret.js';

/** Judges a token. @param audience - URI of what is to be opened */
export type TokenJudge = (type: string, audience: string, token: Secret) => CbsAnswer;

/** Requests that may be under way, as at the service. */
const CREDIT = 100;
/** Bytes of a request; a token has at most some thousand. */
const REQUEST_SIZE_MAX = 65_536;
/** Links to `$cbs` of one connection. The service allows one pair; clients that come back before the old ones are gone have two. */
const LINKS_MAX = 16;

/** The node `$cbs` of one connection that came to us: requests on any link to it, answers on the one that reply-to means. */
export class CbsNode {
  readonly #judge: TokenJudge;
  readonly #answers = new AnswerLinks();
  #links = 0;

  constructor(judge: TokenJudge) {
    this.#judge = judge;
  }

  /** Accepts a link to the node, or refuses it. */
  take(link: SenderLink | ReceiverLink, attach: Attach): void {
    if (this.#links >= LINKS_MAX) {
      link.refuse({
        condition: 'amqp:not-allowed',
        description: `this connection has ${LINKS_MAX} links to $cbs already`,
      });
      return;
    }
    this.#links += 1;
    const onGone = (): void => {
      this.#links -= 1;
    };
    if (link instanceof ReceiverLink)
      acceptRequests(link, attach, {
        take: (request) => this.#answer(decodeMessage(request)),
        answers: this.#answers,
        onGone,
        sizeMax: REQUEST_SIZE_MAX,
        credit: CREDIT,
      });
    else this.#answers.accept(link, attach, onGone);
  }

  /** @returns why the request was not taken, or undefined where it was */
  #answer(request: Message): AmqpErrorFields | undefined {
    const { replyTo, messageId, correlationId } = request.properties ?? {};
    const link = this.#answers.for(replyTo);
    if (link === undefined)
      return {
        condition: 'amqp:not-found',
        description: 'this connection has no link for the answer: attach one that receives from $cbs first',
      };
    const { status, description } = judged(request, this.#judge);
    const answer = encodeMessage({
      properties: {
        // Type and value: a client that sends a uuid looks for a uuid.
        correlationId: messageId ?? correlationId,
        ...(replyTo === undefined ? {} : { to: replyTo }),
      },
      applicationProperties: new Map<string, AmqpValue>([
        ['status-code', int(status)],
        ['status-description', description],
      ]),
      body: { kind: 'value', value: null },
    });
    link.send(answer);
    return undefined;
  }
}

function judged({ applicationProperties, body }: Message, judge: TokenJudge): CbsAnswer {
  const text = (name: string): string | undefined => textOf(applicationProperties?.get(name));
  if (text('operation') !== 'put-token')
    return { status: 400, description: "The operation of a request to $cbs is 'put-token'." };
  const [type, name] = [text('type'), text('name')];
  const token = body?.kind === 'value' ? textOf(body.value) : undefined;
  if (type === undefined || name === undefined || token === undefined) {
    return { status: 400, description: "A put-token has the properties 'type' and 'name', and the token as its body." };
  }
  return judge(type, name, new Secret(token));
}

function textOf(value: AmqpValue | undefined): string | undefined {
  const plain = plainOf(value);
  return typeof plain === 'string' ? plain : undefined;
}
