/** Disk space that accepted creates have not written yet, so that several at once do not all count on the same free space. Forgotten at a
 *  restart: what is resumed then writes on, and the floor that stays free absorbs it. */

export interface Reservations {
  /** Bytes promised and not yet let go. */
  total(): number;
  add(vmId: string, bytes: number): void;
  /** The create ended, or its request was refused after all. */
  release(vmId: string): void;
}

export function createReservations(): Reservations {
  const bytesByVm = new Map<string, number>();
  return {
    total: () => [...bytesByVm.values()].reduce((sum, bytes) => sum + bytes, 0),
    add: (vmId, bytes) => void bytesByVm.set(vmId, bytes),
    release: (vmId) => void bytesByVm.delete(vmId),
  };
}
