/** What of a request may stand in the audit log: secrets become digests, long values are cut, and the whole is bounded.
 *  A value is secret by its name, or because its schema says so (`z.string().meta({ secret: true })`). */

import { createHash } from 'node:crypto';
import type { z } from 'zod';

/** Names of fields that hold secrets, in any spelling. */
const SECRET_NAME =
  /pass(word|wd|phrase|code)?$|password_?hash|nonce$|^pwd$|secret|token|credential|cookie|authorization|bearer|api_?key|private_?key|signing_?key|otp$|^pin$|^assertion$|^signature$|(user|network|meta)_?data|challenge$|^code$/i;
/** Names that only look so. */
const NO_SECRET = /(^|_)(token|credential|secret)_?ids?$|tokenIds?$|credentialIds?$|secretName$/;

const MAX_TEXT = 300;
const MAX_ITEMS = 50;
const MAX_KEYS = 100;
const MAX_DEPTH = 8;
/** All of it, as JSON. */
const MAX_CHARS = 4000;

export type Redact = (value: unknown, schema?: z.ZodType) => unknown;

/** @param digest of a secret, as `hmac:…` */
export function createRedactor(digest: (secret: string) => string): Redact {
  const hide = (value: unknown): unknown =>
    value === null || value === undefined || value === '' ? value : digest(textOf(value));

  const walk = (value: unknown, schemas: readonly unknown[], depth: number): unknown => {
    if (schemas.some(isSecret)) return hide(value);
    if (typeof value === 'string') return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
    if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined) return value;
    if (typeof value !== 'object') return String(value);
    if (depth >= MAX_DEPTH) return '…';
    if (Array.isArray(value)) {
      const inner = schemas.flatMap(elementsOf);
      const items = value.slice(0, MAX_ITEMS).map((item) => walk(item, inner, depth + 1));
      return value.length > MAX_ITEMS ? [...items, `… ${value.length - MAX_ITEMS} more`] : items;
    }
    const entries = Object.entries(value).slice(0, MAX_KEYS);
    // Beside a field that says it is secret stands its value: `{ name: 'password', value: '…' }`.
    const names = entries.some(
      ([key, inner]) => /^(name|key)$/i.test(key) && typeof inner === 'string' && isSecretName(inner),
    );
    return Object.fromEntries(
      entries.map(([key, inner]) => [
        key.slice(0, 100),
        isSecretName(key) || (names && key === 'value')
          ? hide(inner)
          : walk(
              inner,
              schemas.flatMap((schema) => fieldsOf(schema, key)),
              depth + 1,
            ),
      ]),
    );
  };

  return (value, schema) => {
    if (value === undefined || value === null) return undefined;
    const shown = walk(value, schema === undefined ? [] : unwrapped(schema), 0);
    const text = JSON.stringify(shown);
    if (text === undefined || text === '{}') return undefined;
    if (text.length <= MAX_CHARS) return shown;
    return {
      cut: text.slice(0, MAX_TEXT),
      chars: text.length,
      sha256: createHash('sha256').update(text).digest('hex'),
    };
  };
}

function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) && !NO_SECRET.test(name);
}

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));

/** The schema and those within it that speak of the same value: optional, default, union and pipe are looked through. */
function unwrapped(schema: unknown, depth = 0): unknown[] {
  if (typeof schema !== 'object' || schema === null || depth > MAX_DEPTH) return [];
  const def = defOf(schema);
  const inner = [def['innerType'], def['in'], def['out'], ...listOf(def['options']), def['left'], def['right']];
  return [schema, ...inner.flatMap((each) => unwrapped(each, depth + 1))];
}

function defOf(schema: unknown): Readonly<Record<string, unknown>> {
  if (typeof schema !== 'object' || schema === null || !('def' in schema)) return {};
  return typeof schema.def === 'object' && schema.def !== null ? { ...schema.def } : {};
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function isSecret(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null || !('meta' in schema) || typeof schema.meta !== 'function')
    return false;
  const meta: unknown = schema.meta();
  return typeof meta === 'object' && meta !== null && 'secret' in meta && meta.secret === true;
}

function fieldsOf(schema: unknown, key: string): unknown[] {
  const def = defOf(schema);
  const shape = def['shape'];
  const own = typeof shape === 'object' && shape !== null && Object.hasOwn(shape, key) ? Reflect.get(shape, key) : null;
  return [...unwrapped(own), ...unwrapped(def['valueType'])];
}

function elementsOf(schema: unknown): unknown[] {
  const def = defOf(schema);
  return [...unwrapped(def['element']), ...listOf(def['items']).flatMap((item) => unwrapped(item))];
}
