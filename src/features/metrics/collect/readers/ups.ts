/** The uninterruptible power supply, by upsc of Network UPS Tools. Format: upsc(8): `name: value` lines; words of `ups.status`:
 *  OL on line, OB on battery, LB battery low (NUT's developer guide, "Status data"). */

import type { METRICS } from '#contract/metric-catalogue.ts';
import type { Owner } from '../measuring.ts';
import type { Programs } from '../programs.ts';
import { enumNumber } from '../sinks.ts';
import type { SlowReader } from '../slow-reader.ts';

export type UpsState = (typeof METRICS)['ups_state']['values'][number];

export interface Ups {
  readonly state: UpsState;
  readonly chargeRatio: number | null;
}

const MAX_UPSES = 8;
/** The worst first. */
const SEVERITY: readonly UpsState[] = ['low_battery', 'on_battery', 'unknown', 'online'];

export function upsOf(output: string): Ups {
  const textOf = (name: string) => {
    const line = output.split('\n').find((text) => text.startsWith(`${name}:`));
    return line?.slice(name.length + 1).trim() ?? null;
  };
  const words = textOf('ups.status')?.split(/\s+/) ?? [];
  const charge = Number.parseFloat(textOf('battery.charge') ?? '');
  return { state: stateOf(words), chargeRatio: Number.isNaN(charge) ? null : charge / 100 };
}

function stateOf(words: readonly string[]): UpsState {
  if (words.includes('LB')) return 'low_battery';
  if (words.includes('OB')) return 'on_battery';
  return words.includes('OL') ? 'online' : 'unknown';
}

/** With several, what is worst counts. */
export function worstOf(all: readonly Ups[]): Ups | null {
  if (all.length === 0) return null;
  const charges = all.flatMap(({ chargeRatio }) => (chargeRatio === null ? [] : [chargeRatio]));
  return {
    state: SEVERITY.find((state) => all.some((ups) => ups.state === state)) ?? 'unknown',
    chargeRatio: charges.length === 0 ? null : Math.min(...charges),
  };
}

export function upsReader(host: Owner, programs: Programs): SlowReader<Ups> {
  return {
    name: 'UPS',
    periodMs: 30_000,
    async read(signal) {
      const list = await programs.ask(['upsc', '-l'], signal);
      if (list === null || list.code !== 0) return null;
      const names = list.stdout.split('\n').filter((name) => /^[\w.-]+$/.test(name));
      const all: Ups[] = [];
      for (const name of names.slice(0, MAX_UPSES)) {
        const result = await programs.ask(['upsc', name], signal);
        if (result !== null)
          all.push(result.code === 0 ? upsOf(result.stdout) : { state: 'unknown', chargeRatio: null });
      }
      return worstOf(all);
    },
    put(sink, { state, chargeRatio }) {
      sink.put(host, 'host', '', 'ups_state', enumNumber('ups_state', state));
      sink.put(host, 'host', '', 'ups_charge', chargeRatio);
    },
  };
}
