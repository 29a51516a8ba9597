// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Connection } from '@pointsman/engine';
import type { ConnectionHandler, ReceiverHandler, SenderHandler } from '@pointsman/engine';
import { decodeMessage, encodeMessage } from '@pointsman/wire';
import { CbsNode } from '../src/cbs-node.js';
import { carry } from './carry.js';

const QUIET: ConnectionHandler = {
  onOpen: (connection) => connection.open(),
  onBegin: (session) => session.begin(),
  onEnd: () => undefined,
  onAttach: () => undefined,
  onClosed: () => undefined,
};

describe('the $cbs node of the router', () => {
  it('says that a request was taken before it answers, for clients that know no other order', () => {
    const node = new CbsNode(() => ({ status: 202, description: 'Accepted' }));
    const server = new Connection(
      { role: 'server', containerId: 'S', now: 0 },
      { ...QUIET, onAttach: (link, attach) => node.take(link, attach) },
    );
    const client = new Connection(
      { role: 'client', containerId: 'C', now: 0 },
      { ...QUIET, onOpen: () => undefined, onBegin: () => undefined },
    );
    const seen: string[] = [];
    const requests: SenderHandler = {
      onSendable: () => undefined,
      onDrain: () => undefined,
      onDisposition: (link, delivery, state) => {
        seen.push(state !== undefined && 'type' in state ? state.type : 'nothing');
        link.settle(delivery);
      },
      onDetach: () => undefined,
      onLost: () => undefined,
    };
    const answers: ReceiverHandler = {
      onTransfer: (_link, _delivery, { bytes, payloadStart, payloadEnd }) => {
        const { applicationProperties } = decodeMessage(bytes.slice(payloadStart, payloadEnd));
        seen.push(`answer ${String(applicationProperties?.get('status-code'))}`);
      },
      onDetach: () => undefined,
      onLost: () => undefined,
    };
    client.open();
    carry(client, server);
    const session = client.session();
    const sender = session.attachSender('out', requests, {
      source: { type: 'source' },
      target: { type: 'target', address: '$cbs' },
    });
    session
      .attachReceiver('in', answers, {
        source: { type: 'source', address: '$cbs' },
        target: { type: 'target', address: 'replies' },
      })
      .addCredit(10);
    carry(client, server);
    const request = encodeMessage({
      properties: { messageId: 'id', replyTo: 'replies' },
      applicationProperties: new Map([
        ['operation', 'put-token'],
        ['type', 'servicebus.windows.net:sastoken'],
        ['name', 'sb://host/orders'],
      ]),
      body: { kind: 'value', value: 'SharedAccessSignature sr=x&sig=y&se=1&skn=p' },
    });
    for (let i = 0; i < 2; i++) {
      sender.send(undefined, 0, false, undefined, request, 0, request.length, true, undefined);
      carry(client, server);
    }
    assert.deepEqual(seen, ['accepted', 'answer 202', 'accepted', 'answer 202']);
  });
});
