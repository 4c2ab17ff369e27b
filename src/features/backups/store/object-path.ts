/** Where objects lie. Apart from the layout because each thread of the pool loads it: what a thread imports takes memory in all of them. */

import { join } from 'node:path';

/** @param folder of the repository */
export const chunksOf = (folder: string): string => join(folder, 'chunks');

/** @param chunks the folder of all objects. @param id in hex */
export const objectPath = (chunks: string, id: string): string => join(chunks, id.slice(0, 2), id.slice(2, 4), id);
