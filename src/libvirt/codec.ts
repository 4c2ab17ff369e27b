/** Building blocks for messages: each is an encoder, a decoder and a TypeScript type in one value. `table.ts` combines them;
 *  a procedure's codec is built once, when the table is loaded. */

import { StringCache, type XdrDecoder, type XdrEncoder, XdrError } from './xdr.ts';

/** What a type is made of, for generated values in tests and for comparing the table with libvirt's source. */
export type Shape =
  | { readonly kind: 'int' | 'uint' | 'hyper' | 'uhyper' | 'count' | 'string' | 'xml' | 'uuid' | 'bytes' }
  | { readonly kind: 'typed-param' | 'stat-values' }
  | { readonly kind: 'characters'; readonly length: number }
  | { readonly kind: 'optional' | 'list'; readonly of: Shape }
  | { readonly kind: 'struct'; readonly fields: readonly (readonly [string, Shape])[] };

export interface Xdr<Value> {
  readonly shape: Shape;
  /** The fewest bytes a value takes on the wire; bounds counts before anything is allocated. */
  readonly minimumBytes: number;
  put(to: XdrEncoder, value: Value): void;
  get(from: XdrDecoder): Value;
}

export type ValueOf<Type> = Type extends Xdr<infer Value> ? Value : never;

/** Longest XML we send, in bytes: libvirt 9.0 drops the connection on some strings near its 4 MiB limit (measured). */
export const MAX_XML_BYTES = 1_048_576;

export const i: Xdr<number> = {
  shape: { kind: 'int' },
  minimumBytes: 4,
  put: (to, value) => to.int(value),
  get: (from) => from.int(),
};
export const u: Xdr<number> = {
  shape: { kind: 'uint' },
  minimumBytes: 4,
  put: (to, value) => to.uint(value),
  get: (from) => from.uint(),
};
export const U: Xdr<bigint> = {
  shape: { kind: 'uhyper' },
  minimumBytes: 8,
  put: (to, value) => to.uhyper(value),
  get: (from) => from.uhyper(),
};
export const I: Xdr<bigint> = {
  shape: { kind: 'hyper' },
  minimumBytes: 8,
  put: (to, value) => to.hyper(value),
  get: (from) => from.hyper(),
};
export const s: Xdr<string> = {
  shape: { kind: 'string' },
  minimumBytes: 4,
  put: (to, value) => to.string(value),
  get: (from) => from.string(),
};
export const uuid: Xdr<string> = {
  shape: { kind: 'uuid' },
  minimumBytes: 16,
  put: (to, value) => to.uuid(value),
  get: (from) => from.uuid(),
};
export const bytes: Xdr<Uint8Array> = {
  shape: { kind: 'bytes' },
  minimumBytes: 4,
  put: (to, value) => to.opaque(value),
  get: (from) => from.opaque(),
};

/** A 64-bit counter that is only shown, never sent back: a number while it is exact, else a bigint. */
export const count: Xdr<number | bigint> = {
  shape: { kind: 'count' },
  minimumBytes: 8,
  put: (to, value) => to.uhyper(BigInt(value)),
  get: (from) => from.uhyperNumber(),
};

export const xml: Xdr<string> = {
  shape: { kind: 'xml' },
  minimumBytes: 4,
  put(to, value) {
    const size = Buffer.byteLength(value);
    if (size > MAX_XML_BYTES) throw new XdrError(`the XML has ${size} bytes, at most ${MAX_XML_BYTES} are sent`);
    to.string(value);
  },
  get: (from) => from.string(),
};

/** `char name[n]`: n integers on the wire, ended by a zero (NODE_GET_INFO's CPU model; measured on libvirt 9.0). */
export function characters(length: number): Xdr<string> {
  return {
    shape: { kind: 'characters', length },
    minimumBytes: 4 * length,
    put(to, value) {
      const encoded = Buffer.from(value, 'latin1');
      for (let index = 0; index < length; index += 1) to.int(index < length - 1 ? (encoded[index] ?? 0) : 0);
    },
    get(from) {
      const codes: number[] = [];
      for (let index = 0; index < length; index += 1) codes.push(from.int());
      const end = codes.indexOf(0);
      return String.fromCharCode(...codes.slice(0, end < 0 ? length : end).map((code) => code & 0xff));
    },
  };
}

export function optional<Value>(type: Xdr<Value>): Xdr<Value | null> {
  return {
    shape: { kind: 'optional', of: type.shape },
    minimumBytes: 4,
    put(to, value) {
      to.uint(value === null ? 0 : 1);
      if (value !== null) type.put(to, value);
    },
    get(from) {
      const present = from.uint();
      if (present > 1) throw new XdrError(`${present} is not a presence flag`);
      return present === 1 ? type.get(from) : null;
    },
  };
}

export function list<Value>(type: Xdr<Value>): Xdr<readonly Value[]> {
  return {
    shape: { kind: 'list', of: type.shape },
    minimumBytes: 4,
    put(to, values) {
      to.uint(values.length);
      for (const value of values) type.put(to, value);
    },
    get(from) {
      const length = from.count(type.minimumBytes);
      const values: Value[] = [];
      for (let index = 0; index < length; index += 1) values.push(type.get(from));
      return values;
    },
  };
}

export type StructOf<Shape> = { readonly [Name in keyof Shape]: ValueOf<Shape[Name]> };

/** Fields one after the other, in the order they are written. */
export function struct<const Shape extends object>(shape: Shape): Xdr<StructOf<Shape>> {
  const fields = Object.entries(shape) as [string, Xdr<unknown>][];
  return {
    shape: { kind: 'struct', fields: fields.map(([name, type]) => [name, type.shape]) },
    minimumBytes: fields.reduce((sum, [, type]) => sum + type.minimumBytes, 0),
    put(to, value) {
      for (const [name, type] of fields) type.put(to, value[name as keyof typeof value]);
    },
    get(from) {
      const value: Record<string, unknown> = {};
      for (const [name, type] of fields) value[name] = type.get(from);
      return value as StructOf<Shape>;
    },
  };
}

/** libvirt's typed parameter. 64-bit values are numbers while exact, else bigints. A list is the same name repeated. */
export type TypedParam =
  | { readonly name: string; readonly type: 'int' | 'uint' | 'double'; readonly value: number }
  | { readonly name: string; readonly type: 'llong' | 'ullong'; readonly value: number | bigint }
  | { readonly name: string; readonly type: 'boolean'; readonly value: boolean }
  | { readonly name: string; readonly type: 'string'; readonly value: string };

const PARAM_TYPES = ['int', 'uint', 'llong', 'ullong', 'double', 'boolean', 'string'] as const;
const parameterNames = new StringCache();

function putParam(to: XdrEncoder, param: TypedParam): void {
  to.string(param.name);
  to.uint(PARAM_TYPES.indexOf(param.type) + 1);
  switch (param.type) {
    case 'int':
      to.int(param.value);
      break;
    case 'uint':
      to.uint(param.value);
      break;
    case 'llong':
      to.hyper(BigInt(param.value));
      break;
    case 'ullong':
      to.uhyper(BigInt(param.value));
      break;
    case 'double':
      to.double(param.value);
      break;
    case 'boolean':
      to.int(param.value ? 1 : 0);
      break;
    case 'string':
      to.string(param.value);
      break;
  }
}

function getParamValue(from: XdrDecoder, type: number): number | bigint | boolean | string {
  switch (type) {
    case 1:
      return from.int();
    case 2:
      return from.uint();
    case 3:
      return from.hyperNumber();
    case 4:
      return from.uhyperNumber();
    case 5:
      return from.double();
    case 6:
      return from.int() !== 0;
    case 7:
      return from.string();
    default:
      throw new XdrError(`${type} is not a type of a parameter`);
  }
}

export const typedParam: Xdr<TypedParam> = {
  shape: { kind: 'typed-param' },
  minimumBytes: 12,
  put: putParam,
  get(from) {
    const name = from.cachedString(parameterNames);
    const type = from.uint();
    const value = getParamValue(from, type);
    return { name, type: PARAM_TYPES[type - 1], value } as TypedParam;
  },
};

/** Values of one statistics record by libvirt's names, as `balloon.current`. Every one may be missing. */
export type StatValues = ReadonlyMap<string, number | bigint | boolean | string>;

/** The parameter list of a statistics record, straight into a map: a thousand VMs make 80,000 of them. */
export const statValues: Xdr<StatValues> = {
  shape: { kind: 'stat-values' },
  minimumBytes: 4,
  put(to, values) {
    to.uint(values.size);
    for (const [name, value] of values) putParam(to, paramOf(name, value));
  },
  get(from) {
    const length = from.count(12);
    const values = new Map<string, number | bigint | boolean | string>();
    for (let index = 0; index < length; index += 1) {
      const name = from.cachedString(parameterNames);
      values.set(name, getParamValue(from, from.uint()));
    }
    return values;
  },
};

function paramOf(name: string, value: number | bigint | boolean | string): TypedParam {
  if (typeof value === 'string') return { name, type: 'string', value };
  if (typeof value === 'boolean') return { name, type: 'boolean', value };
  if (typeof value === 'bigint' || Number.isSafeInteger(value))
    return { name, type: value < 0 ? 'llong' : 'ullong', value };
  return { name, type: 'double', value };
}
