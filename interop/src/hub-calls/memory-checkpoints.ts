// SPDX-License-Identifier: Apache-2.0
import type { Checkpoint, CheckpointStore, PartitionOwnership } from '@azure/event-hubs';

/** A checkpoint store in memory, which several clients share: who comes with an old etag has lost. */
export class MemoryCheckpoints implements CheckpointStore {
  readonly ownerships: Map<string, PartitionOwnership> = new Map();
  readonly checkpoints: Map<string, Checkpoint> = new Map();
  #etag = 0;

  async listOwnership(): Promise<PartitionOwnership[]> {
    return [...this.ownerships.values()].map((ownership) => ({ ...ownership }));
  }

  async claimOwnership(claims: PartitionOwnership[]): Promise<PartitionOwnership[]> {
    return claims.flatMap((claim) => {
      const known = this.ownerships.get(claim.partitionId);
      if (known !== undefined && known.etag !== claim.etag) return [];
      const owned = { ...claim, etag: String(++this.#etag), lastModifiedTimeInMs: Date.now() };
      this.ownerships.set(claim.partitionId, owned);
      return [{ ...owned }];
    });
  }

  async updateCheckpoint(checkpoint: Checkpoint): Promise<void> {
    this.checkpoints.set(checkpoint.partitionId, { ...checkpoint });
  }

  async listCheckpoints(): Promise<Checkpoint[]> {
    return [...this.checkpoints.values()];
  }

  /** Partitions of each owner, sorted. */
  shares(): string[] {
    const byOwner = new Map<string, string[]>();
    for (const { ownerId, partitionId } of this.ownerships.values())
      if (ownerId !== '') byOwner.set(ownerId, [...(byOwner.get(ownerId) ?? []), partitionId].sort());
    return [...byOwner.values()].map((share) => share.join(' ')).sort();
  }
}
