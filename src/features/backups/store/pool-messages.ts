/** What passes between `pool.ts` and its threads. */

import type { ObjectKeys, ObjectKind } from './object.ts';

export interface PoolSettings {
  readonly folder: string;
  readonly keys: ObjectKeys | null;
  readonly isEncrypted: boolean;
  readonly level: number;
  readonly maxChunkBytes: number;
}

export type PoolTask =
  | {
      readonly does: 'pack';
      readonly kind: ObjectKind;
      readonly bytes: ArrayBuffer;
      readonly skewMs: number;
      /** Also when there is such an object already: what is there is known to be bad. */
      readonly isForced: boolean;
    }
  | {
      readonly does: 'unpack';
      readonly kind: ObjectKind;
      readonly id: Uint8Array;
      readonly bytes: Uint8Array;
      readonly maxRawBytes: number;
      /** `bytes`: answer them. `all`: compare everything. `digest`: compare what can be compared without a key. */
      readonly wants: 'bytes' | 'all' | 'digest';
    };

export type PoolAnswer =
  | { readonly is: 'zero' }
  /** An object with this id was there, and is marked as used. */
  | { readonly is: 'present'; readonly id: Uint8Array }
  | { readonly is: 'packed'; readonly id: Uint8Array; readonly object: Uint8Array }
  | { readonly is: 'unpacked'; readonly raw: Uint8Array }
  | { readonly is: 'sound' }
  | { readonly is: 'damaged'; readonly reason: string }
  | { readonly is: 'failed'; readonly reason: string };
