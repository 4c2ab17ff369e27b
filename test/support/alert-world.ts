/** A small world whose figures at each tick follow from a seed alone, so that a test knows what was wrong when, whoever watched it. */

import type { Sample } from '#features/alerts/fake-figures.ts';
import { hostSample, stateSample, vmSample } from '#features/alerts/fake-host.ts';

export const VM_NAMES: readonly string[] = Array.from({ length: 20 }, (_, n) => `vm${n}`);
export const WORLD_RULES = [
  { name: 'vm_down', condition: 'vm_state != running', severity: 'critical' },
  { name: 'cpu_high', condition: 'cpu_usage > 90% for 1m' },
] as const;
export type WorldRule = (typeof WORLD_RULES)[number]['name'];

/** Stretches are so long that nothing flaps. */
const STRETCH_TICKS = 24;

/** A number from 0 to 1 that is the same for the same arguments. */
function dice(...parts: readonly number[]): number {
  let mixed = 0x9e3779b9;
  for (const part of parts) {
    mixed = Math.imul(mixed ^ part, 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    mixed ^= mixed >>> 16;
  }
  return (mixed >>> 0) / 2 ** 32;
}

/** Whether the condition of a rule holds for a VM at a tick. */
export function isWrong(seed: number, rule: WorldRule, vm: number, tick: number): boolean {
  const shift = Math.floor(dice(seed, vm, 7) * STRETCH_TICKS);
  return dice(seed, vm, rule === 'vm_down' ? 1 : 2, Math.floor((tick + shift) / STRETCH_TICKS)) < 0.3;
}

export function samplesAt(seed: number, ids: readonly string[], tick: number): Sample[] {
  return [
    hostSample('libvirt_up', 1),
    ...ids.flatMap((id, vm) => [
      stateSample(id, isWrong(seed, 'vm_down', vm, tick) ? 'crashed' : 'running'),
      vmSample(id, 'cpu_usage', isWrong(seed, 'cpu_high', vm, tick) ? 0.99 : 0.3),
    ]),
  ];
}
