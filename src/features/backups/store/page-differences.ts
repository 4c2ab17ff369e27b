/** Which chunks of a disk are not the same in two restore points, told by their pages alone. */

import { IDS_PER_PAGE, PAGE_BYTES } from './manifest.ts';
import { ID_BYTES, ObjectDamage, ZERO_ID } from './object.ts';
import type { ObjectReader } from './objects.ts';

/** Numbers of chunks in order. A page of `before` that is damaged is passed over: what it said is not known any more. */
export async function* differences(
  objects: Pick<ObjectReader, 'read'>,
  before: readonly string[],
  after: readonly string[],
): AsyncGenerator<number> {
  const read = async (id: string) =>
    id === ZERO_ID.toString('hex') ? Buffer.alloc(PAGE_BYTES) : await objects.read('page', id);
  for (const [n, id] of after.entries()) {
    const former = before[n];
    if (former === undefined || former === id) continue;
    const old = await read(former).catch((error: unknown) => {
      if (error instanceof ObjectDamage) return null;
      throw error;
    });
    if (old === null) continue;
    const page = await read(id);
    for (let slot = 0; slot < IDS_PER_PAGE; slot += 1) {
      const at = slot * ID_BYTES;
      if (page.compare(old, at, at + ID_BYTES, at, at + ID_BYTES) !== 0) yield n * IDS_PER_PAGE + slot;
    }
  }
}
