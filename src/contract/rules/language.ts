/** The words of the rule language: units, functions, keywords, limits. What they mean: docs/guides/alert-rules.md. */

import type { Dimension } from '../metric-catalogue.ts';

/** Checked before anything is parsed, so that no text costs more than a bounded amount of work. */
export const LIMITS = {
  chars: 512,
  /** Open parentheses and `not`s within each other. */
  depth: 8,
  comparisons: 20,
  /** A text with more mistakes than this is told of the first ones. */
  problems: 20,
} as const;

export const KEYWORDS = ['and', 'or', 'not', 'for', 'clear', 'unless', 'absent', 'by'] as const;
export type Keyword = (typeof KEYWORDS)[number];

export const RELATIONS = ['>', '>=', '<', '<=', '==', '!='] as const;
export type Relation = (typeof RELATIONS)[number];

interface Unit {
  readonly dimension: Dimension;
  readonly factor: number;
  /** Dividing is exact where multiplying is not: 95/100 is 0.95, 95*0.01 is 0.9500000000000001. */
  readonly divisor: number;
}

const unit = (dimension: Dimension, factor: number, divisor = 1): Unit => ({ dimension, factor, divisor });

const UNIT_TABLE = {
  '%': unit('ratio', 1, 100),
  B: unit('bytes', 1),
  kB: unit('bytes', 1e3),
  MB: unit('bytes', 1e6),
  GB: unit('bytes', 1e9),
  TB: unit('bytes', 1e12),
  KiB: unit('bytes', 2 ** 10),
  MiB: unit('bytes', 2 ** 20),
  GiB: unit('bytes', 2 ** 30),
  TiB: unit('bytes', 2 ** 40),
  ms: unit('seconds', 1, 1000),
  s: unit('seconds', 1),
  m: unit('seconds', 60),
  h: unit('seconds', 3600),
  d: unit('seconds', 86_400),
  w: unit('seconds', 604_800),
  '°C': unit('celsius', 1),
  'B/s': unit('bytes_per_second', 1),
  'kB/s': unit('bytes_per_second', 1e3),
  'MB/s': unit('bytes_per_second', 1e6),
  'GB/s': unit('bytes_per_second', 1e9),
  'KiB/s': unit('bytes_per_second', 2 ** 10),
  'MiB/s': unit('bytes_per_second', 2 ** 20),
  'GiB/s': unit('bytes_per_second', 2 ** 30),
  'Mbit/s': unit('bytes_per_second', 1e6, 8),
  'Gbit/s': unit('bytes_per_second', 1e9, 8),
  '/s': unit('per_second', 1),
} as const satisfies Readonly<Record<string, Unit>>;

export const UNITS: ReadonlyMap<string, Unit> = new Map(Object.entries(UNIT_TABLE));

/** What people write for a unit, beside slips that are near enough to be found. */
export const UNIT_WORDS: Readonly<Record<string, string>> = {
  percent: '%',
  pct: '%',
  c: '°C',
  k: 'KiB',
  g: 'GiB',
  t: 'TiB',
  sec: 's',
  secs: 's',
  second: 's',
  seconds: 's',
  min: 'm',
  mins: 'm',
  minute: 'm',
  minutes: 'm',
  hour: 'h',
  hours: 'h',
  day: 'd',
  days: 'd',
  week: 'w',
  weeks: 'w',
};

/** A unit that one may write for each dimension; those without are plain numbers, names or points in time. */
export const USUAL_UNITS: Partial<Readonly<Record<Dimension, string>>> = {
  ratio: '%',
  bytes: 'GiB',
  bytes_per_second: 'MiB/s',
  per_second: '/s',
  seconds: 's',
  celsius: '°C',
};

export const DIMENSION_WORDS: Readonly<Record<Dimension, string>> = {
  ratio: 'a ratio',
  bytes: 'a number of bytes',
  bytes_per_second: 'a speed in bytes per second',
  per_second: 'a number per second',
  seconds: 'a time span',
  number: 'a plain number',
  count: 'a count',
  bool: '0 or 1',
  enum: 'one of several names',
  timestamp: 'a point in time',
  celsius: 'a temperature',
};

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export interface RuleFunction {
  /** Bounds of the time behind the comma, milliseconds; null where there is none. */
  readonly span: { readonly leastMs: number; readonly mostMs: number } | null;
  readonly help: string;
}

const WINDOW = { leastMs: 20_000, mostMs: DAY_MS };

const FUNCTION_TABLE = {
  avg: { span: WINDOW, help: 'average over a time' },
  min: { span: WINDOW, help: 'least value in a time' },
  max: { span: WINDOW, help: 'greatest value in a time' },
  rate: { span: WINDOW, help: 'growth per second over a time' },
  increase: { span: WINDOW, help: 'growth of a count in a time' },
  changes: { span: WINDOW, help: 'how often the value changed in a time' },
  age: { span: null, help: 'time since a moment; negative before it' },
  predict: { span: { leastMs: HOUR_MS, mostMs: 90 * DAY_MS }, help: 'value to expect after a time' },
} as const satisfies Readonly<Record<string, RuleFunction>>;

export type FunctionName = keyof typeof FUNCTION_TABLE;

export const FUNCTIONS: Readonly<Record<FunctionName, RuleFunction>> = FUNCTION_TABLE;

export function isFunction(name: string): name is FunctionName {
  return Object.hasOwn(FUNCTION_TABLE, name);
}

/** The longest `for`. */
export const LONGEST_FOR_MS = 7 * DAY_MS;
