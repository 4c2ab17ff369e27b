/** Which of several alerts about one thing speaks for the others: a rule that somebody made before those that come with the program, and of
 *  these the graver one. Who hears the one that speaks need not hear the others. */

import { type AlertNotice, isWorse } from '../message.ts';
import { defaultRuleOf, OUTRANKED_RULES } from './outranked-rules.ts';

const RUNNING = ['vm_state', 'vm_state_desired'];
/** Rules that come with the program → the figures of which a rule that asks for nothing else says the same, whatever its severity: a VM
 *  that does not run has no degrees. */
const SAID_BY: Readonly<Record<string, readonly string[]>> = {
  vm_down: RUNNING,
  vm_paused: RUNNING,
  vm_crashed: [...RUNNING, 'vm_crash_total'],
};
/** An event and a state that began within this time of each other have one cause. */
const TOGETHER_MS = 120_000;

/** How long an event waits for an alert that tells of what became of it: a VM that stays down after a crash is one message. That alert may
 *  be hidden for two minutes after an operation on the VM, and is then some ticks late. Whoever waits longer hears of a VM that runs again. */
const EVENT_WAIT_MS = 150_000;

export function waitForSpeakerMs({ rule }: AlertNotice): number {
  return rule.isEvent && Object.hasOwn(SAID_BY, defaultRuleOf(rule.id) ?? '') ? EVENT_WAIT_MS : 0;
}

/** What an alert is about. Disks and file systems of two VMs may be called the same. */
const thingOf = ({ host, project, entity, labels }: AlertNotice): string =>
  [host, project ?? '', entity.kind, entity.name, labels['vm'] ?? ''].join('\n');

/** Whether a rule that somebody made tells what this one of the program tells. Where there are degrees it hides nothing graver. */
function saysTheSame(own: AlertNotice, shipped: AlertNotice, shippedName: string): boolean {
  const asks = own.rule.metrics;
  if (asks.length === 0) return false;
  const said = SAID_BY[shippedName];
  if (said !== undefined && asks.every((metric) => said.includes(metric)))
    return !shipped.rule.isEvent || Math.abs(own.startedAtMs - shipped.startedAtMs) <= TOGETHER_MS;
  return !isWorse(shipped.severity, own.severity) && asksFor(own) === asksFor(shipped);
}

const asksFor = ({ rule }: AlertNotice): string => [...new Set(rule.metrics)].sort().join();

function speaksFor(one: AlertNotice, other: AlertNotice): boolean {
  const otherName = defaultRuleOf(other.rule.id);
  if (otherName === null || one.fingerprint === other.fingerprint) return false;
  const name = defaultRuleOf(one.rule.id);
  if (name === null) return saysTheSame(one, other, otherName);
  // Who made the lesser rule the graver one wants to hear of it.
  return (OUTRANKED_RULES[name] ?? []).includes(otherName) && !isWorse(other.severity, one.severity);
}

/** @param firing all that fire now; looked through once, so that asking for each of many costs little
 *  @returns those that speak for an alert, the first of them first */
export function createSpeakers(firing: readonly AlertNotice[]): (notice: AlertNotice) => readonly AlertNotice[] {
  const byThing = Map.groupBy(firing, thingOf);
  return (notice) => {
    const speaking = (byThing.get(thingOf(notice)) ?? []).filter((one) => speaksFor(one, notice));
    return speaking.sort((one, other) => Number(isShipped(one)) - Number(isShipped(other)));
  };
}

const isShipped = ({ rule }: AlertNotice): boolean => defaultRuleOf(rule.id) !== null;
