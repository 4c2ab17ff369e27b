/** State of Linux software RAID from /proc/mdstat. Format: md(4) and the kernel's drivers/md, as printed by every kernel since 2.6. */

import type { METRICS } from '#contract/metric-catalogue.ts';
import type { KernelFiles } from '../kernel-files.ts';
import type { Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import { enumNumber } from '../sinks.ts';
import type { SlowReader } from '../slow-reader.ts';

export type RaidState = (typeof METRICS)['raid_state']['values'][number];

/** By device, as `md0`. */
export function raidStates(mdstat: string): ReadonlyMap<string, RaidState> {
  const states = new Map<string, RaidState>();
  let current: { readonly name: string; isActive: boolean; text: string } | null = null;
  const finish = () => {
    if (current !== null) states.set(current.name, stateOf(current.isActive, current.text));
    current = null;
  };
  for (const line of mdstat.split('\n')) {
    const [, name, status] = /^(md\S*)\s*:\s*(active|inactive|broken)\b/.exec(line) ?? [];
    if (name !== undefined) {
      finish();
      current = { name, isActive: status === 'active', text: line };
    } else if (/^\s/.test(line) && current !== null) current.text += `\n${line}`;
    else finish();
  }
  finish();
  return states;
}

function stateOf(isActive: boolean, text: string): RaidState {
  if (!isActive) return 'failed';
  // As [2/1] [U_]: members that there should be, members that work. Levels without redundancy have none.
  const [, wanted, working] = /\[(\d+)\/(\d+)\]/.exec(text) ?? [];
  const isRebuilding = /\b(recovery|reshape|resync)\s*=/.test(text);
  if (isRebuilding) return 'rebuilding';
  if (wanted !== undefined && Number(working) < Number(wanted)) return 'degraded';
  return /\bactive\b/.test(text) ? 'clean' : 'unknown';
}

export function softwareRaidReader(host: Owner, files: KernelFiles): SlowReader<ReadonlyMap<string, RaidState>> {
  return {
    name: 'software RAID',
    periodMs: 60_000,
    async read() {
      const text = await files.read('/proc/mdstat');
      return text === null ? null : raidStates(text);
    },
    put(sink, states) {
      for (const [name, state] of states)
        sink.put(host, 'disk', labelOf(name), 'raid_state', enumNumber('raid_state', state));
    },
  };
}
