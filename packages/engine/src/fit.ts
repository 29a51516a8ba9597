// SPDX-License-Identifier: Apache-2.0
import { Writer, writeAmqpError, writeDeliveryState } from '@pointsman/wire';
import type { AmqpErrorFields, DeliveryState } from '@pointsman/wire';

// A peer says how large a frame it takes, 512 bytes at the least, and errors have no bound: their texts may come from
// elsewhere. What is said about a failure must not become one. 2.3.1

/** Bytes of a frame beside the error or state in it, at the most: frame header, descriptor, list, ids. */
export const FRAME_REST = 96;

/** Longest condition that is passed on, in characters. Those of the standard have fewer than 40. */
const CONDITION_MAX = 255;

/** Beyond this an error is cut even where the peer would take more: it is for people and logs to read. */
const ERROR_BYTES_MAX = 16_384;

const scratch = new Writer(512);
const utf8 = new TextEncoder();

function errorBytes(error: AmqpErrorFields): number {
  scratch.reset();
  writeAmqpError(scratch, error);
  return scratch.position;
}

/**
 * An error whose encoding takes at most `room` bytes, 64 or more: without its info where that is too much, and with as much of
 * its description as fits. The condition counts most.
 */
export function fitError(error: AmqpErrorFields, room: number): AmqpErrorFields {
  const most = Math.min(room, ERROR_BYTES_MAX);
  if (errorBytes(error) <= most) return error;
  const condition = error.condition.slice(0, Math.min(CONDITION_MAX, most >> 1));
  const bare = { condition, description: error.description };
  const excess = errorBytes(bare) - most;
  if (excess <= 0 || bare.description === undefined) return bare;
  const bytes = utf8.encode(bare.description).length;
  return { condition, description: startOf(bare.description, Math.max(0, bytes - excess)) };
}

/** As much of `text` as takes at most `bytes` bytes of UTF-8: whole characters. */
function startOf(text: string, bytes: number): string {
  const { read } = utf8.encodeInto(text, new Uint8Array(bytes));
  return text.slice(0, read);
}

/**
 * A state that says the same in at most `room` bytes, 96 or more: errors are shortened, annotations left out.
 *
 * @returns undefined where that is impossible: for states of extensions, and transaction ids of hundreds of bytes
 */
export function fitState(state: DeliveryState, room: number): DeliveryState | undefined {
  scratch.reset();
  writeDeliveryState(scratch, state);
  if (scratch.position <= room || !('type' in state)) return scratch.position <= room ? state : undefined;
  switch (state.type) {
    case 'rejected':
      return { type: 'rejected', error: state.error === undefined ? undefined : fitError(state.error, room - 16) };
    case 'modified':
      return { ...state, messageAnnotations: undefined };
    case 'transactional-state': {
      const rest = room - state.txnId.length - 24;
      if (state.outcome === undefined || rest < 96) return undefined;
      const outcome = fitState(state.outcome, rest);
      return outcome === undefined ? undefined : { ...state, outcome };
    }
    default:
      return undefined;
  }
}
