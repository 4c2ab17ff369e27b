/** The program's version, from package.json. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const document: unknown = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8'),
);

export const VERSION: string =
  typeof document === 'object' && document !== null && 'version' in document ? String(document.version) : 'unknown';
