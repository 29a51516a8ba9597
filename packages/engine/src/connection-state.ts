// SPDX-License-Identifier: Apache-2.0
import { LocalProtocolError, RemoteProtocolError } from '@pointsman/wire';

export type ConnectionState =
  | 'START'
  | 'HDR_RCVD'
  | 'HDR_SENT'
  | 'HDR_EXCH'
  | 'OPEN_PIPE'
  | 'OC_PIPE'
  | 'OPEN_RCVD'
  | 'OPEN_SENT'
  | 'CLOSE_PIPE'
  | 'OPENED'
  | 'CLOSE_RCVD'
  | 'CLOSE_SENT'
  | 'DISCARDING'
  | 'END';

type Frame = 'header' | 'open' | 'close' | 'close-with-error' | 'other';
export type ConnectionEvent = `${'send' | 'recv'}:${Frame}`;
type Row = Readonly<Partial<Record<ConnectionEvent, ConnectionState>>>;

/**
 * The connection endpoint of OASIS AMQP 1.0, 2.4.6, as data. State names are the standard's own.
 *
 * Rule 1: whatever decides which frames are legal on a connection stands in this file.
 * Rule 2: this file does not know whether we are client or server, only who sent the frame.
 */
// prettier-ignore
export const CONNECTION_TRANSITIONS: Readonly<Record<ConnectionState, Row>> = {
  START:      { 'recv:header': 'HDR_RCVD',   'send:header': 'HDR_SENT' },
  HDR_RCVD:   { 'send:header': 'HDR_EXCH' },
  HDR_SENT:   { 'recv:header': 'HDR_EXCH',   'send:open': 'OPEN_PIPE' },
  HDR_EXCH:   { 'recv:open': 'OPEN_RCVD',    'send:open': 'OPEN_SENT' },
  OPEN_PIPE:  { 'recv:header': 'OPEN_SENT',  'send:close': 'OC_PIPE',    'send:close-with-error': 'OC_PIPE',
                'send:other': 'OPEN_PIPE' },
  OC_PIPE:    { 'recv:header': 'CLOSE_PIPE' },
  // A peer may say all it has to say before our open is out: begin, attach and even close follow its open at once.
  OPEN_RCVD:  { 'send:open': 'OPENED',       'recv:other': 'OPEN_RCVD',  'recv:close': 'CLOSE_RCVD' },
  OPEN_SENT:  { 'recv:open': 'OPENED',       'send:close': 'CLOSE_PIPE', 'send:close-with-error': 'CLOSE_PIPE',
                'send:other': 'OPEN_SENT' },
  CLOSE_PIPE: { 'recv:open': 'CLOSE_SENT' },
  OPENED:     { 'recv:close': 'CLOSE_RCVD',  'send:close': 'CLOSE_SENT', 'send:close-with-error': 'DISCARDING',
                'send:other': 'OPENED',      'recv:other': 'OPENED' },
  // What we send before our own close is still legal; the open, where it is not out yet, has to precede it.
  CLOSE_RCVD: { 'send:close': 'END',         'send:close-with-error': 'END', 'send:other': 'CLOSE_RCVD', 'send:open': 'CLOSE_RCVD' },
  CLOSE_SENT: { 'recv:close': 'END',         'recv:other': 'CLOSE_SENT' },
  DISCARDING: { 'recv:close': 'END',         'recv:other': 'DISCARDING' },
  END:        {},
};

/**
 * The state that follows `state` on `event`. Pure: the caller stores the result, then acts on it.
 *
 * @throws LocalProtocolError where we were about to send a frame that the state forbids
 * @throws RemoteProtocolError `amqp:illegal-state` where the peer sent one
 */
export function nextConnectionState(state: ConnectionState, event: ConnectionEvent): ConnectionState {
  const next = CONNECTION_TRANSITIONS[state][event];
  if (next !== undefined) return next;
  const [who, frame] = event.split(':') as ['send' | 'recv', Frame];
  const Fault = who === 'send' ? LocalProtocolError : RemoteProtocolError;
  throw new Fault('amqp:illegal-state', `${frame} in state ${state}`, { scope: 'connection', section: '2.4.6' });
}
