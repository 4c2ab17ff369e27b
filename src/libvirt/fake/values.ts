/** Random values for any type of libvirt's protocol, for property tests. */

import fc from 'fast-check';
import type { Shape } from '../codec.ts';

const text = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .filter((value) => !value.includes('\0') && value.isWellFormed());
const int = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const uint = fc.integer({ min: 0, max: 0xffffffff });
const uhyper = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn });
const hyper = fc.bigInt({ min: -0x8000000000000000n, max: 0x7fffffffffffffffn });
const double = fc.double({ noNaN: true });

/** As the decoder gives it: a number while it is exact. */
const shown = (value: bigint): number | bigint => {
  const isExact = value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
  return isExact ? Number(value) : value;
};

const param = fc.oneof(
  fc.record({ name: text, type: fc.constantFrom('int'), value: int }, { noNullPrototype: true }),
  fc.record({ name: text, type: fc.constantFrom('uint'), value: uint }, { noNullPrototype: true }),
  fc.record({ name: text, type: fc.constantFrom('llong'), value: hyper.map(shown) }, { noNullPrototype: true }),
  fc.record({ name: text, type: fc.constantFrom('ullong'), value: uhyper.map(shown) }, { noNullPrototype: true }),
  fc.record({ name: text, type: fc.constantFrom('double'), value: double }, { noNullPrototype: true }),
  fc.record({ name: text, type: fc.constantFrom('boolean'), value: fc.boolean() }, { noNullPrototype: true }),
  fc.record({ name: text, type: fc.constantFrom('string'), value: text }, { noNullPrototype: true }),
);

export function valuesOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'int':
      return int;
    case 'uint':
      return uint;
    case 'hyper':
      return hyper;
    case 'uhyper':
      return uhyper;
    case 'count':
      return uhyper.map(shown);
    case 'string':
    case 'xml':
      return text;
    case 'uuid':
      return fc.uuid();
    case 'bytes':
      return fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
    case 'typed-param':
      return param;
    case 'stat-values':
      return fc
        .array(fc.tuple(text, fc.oneof(uhyper.map(shown), text, fc.boolean())), { maxLength: 5 })
        .map((entries) => new Map(entries));
    case 'characters':
      return fc.stringMatching(/^[a-z0-9_-]*$/, { maxLength: shape.length - 1 });
    case 'optional':
      return fc.option(valuesOf(shape.of));
    case 'list':
      return fc.array(valuesOf(shape.of), { maxLength: 4 });
    case 'struct':
      return fc.record(Object.fromEntries(shape.fields.map(([name, field]) => [name, valuesOf(field)])), {
        noNullPrototype: true,
      });
  }
}
