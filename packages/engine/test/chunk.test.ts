// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHUNK_BYTES, isHeldOnce, keep, letGo, scratch, takeChunk } from '../src/index.js';
import { Output } from '../src/output.js';

/** The latest one that came back is the next one to be taken. */
function comesBack(chunk: Uint8Array): boolean {
  const next = takeChunk();
  if (next.buffer === chunk.buffer) return true;
  letGo(next);
  return false;
}

describe('a chunk', () => {
  it('is used again once the last one who kept a part of it has let go, and not before', () => {
    const chunk = takeChunk();
    const part = chunk.subarray(100, 20_000);
    assert.equal(keep(part), part);
    keep(part);
    letGo(chunk);
    assert.equal(isHeldOnce(chunk), false);
    letGo(part);
    assert.equal(isHeldOnce(chunk), true);
    assert.equal(comesBack(chunk), false);
    letGo(part);
    assert.equal(comesBack(chunk), true);
  });

  it('is not kept for a few bytes: they are copied', () => {
    const chunk = takeChunk();
    chunk[5] = 1;
    const kept = keep(chunk.subarray(5, 105));
    assert.notEqual(kept.buffer, chunk.buffer);
    assert.equal(isHeldOnce(chunk), true);
    chunk[5] = 2;
    assert.equal(kept[0], 1);
    letGo(kept);
    assert.equal(isHeldOnce(chunk), true);
    letGo(chunk);
  });

  it('that all connections share is copied, whatever the length, even where it is seen as a Buffer', () => {
    scratch[0] = 3;
    for (const bytes of [scratch, Buffer.from(scratch.buffer, 0, CHUNK_BYTES)]) {
      const kept = keep(bytes);
      assert.notEqual(kept.buffer, scratch.buffer);
      assert.equal(kept.length, CHUNK_BYTES);
      assert.equal(kept[0], 3);
    }
  });

  it('is no matter for bytes of other origin', () => {
    const bytes = new Uint8Array(10_000);
    assert.equal(keep(bytes), bytes);
    letGo(bytes);
    letGo(bytes);
  });
});

describe('output that refers to a chunk', () => {
  it('holds it until the write that it is part of is done', () => {
    const output = new Output();
    const chunk = takeChunk();
    output.reference(chunk.subarray(0, 10_000));
    letGo(chunk);
    const [buffer] = output.take() ?? [];
    assert.equal(buffer?.buffer, chunk.buffer);
    assert.equal(comesBack(chunk), false);
    output.release();
    assert.equal(comesBack(chunk), true);
  });

  it('copies what lies in the common buffer', () => {
    const output = new Output();
    scratch.fill(7);
    output.reference(scratch.subarray(0, 10_000));
    const [buffer] = output.take() ?? [];
    scratch.fill(8);
    assert.equal(buffer?.length, 10_000);
    assert.ok(buffer.every((byte) => byte === 7));
    output.release();
  });
});
