/** What needs no message of its own because its cause has one. */

import { type AlertNotice, isWorse } from '../message.ts';

const isAbout = (notice: AlertNotice, ...names: readonly string[]) =>
  names.includes(notice.rule.name) || names.includes(notice.rule.id);

const isOfVm = ({ entity, labels }: AlertNotice): boolean =>
  ['vm', 'vdisk', 'vnic', 'guestfs'].includes(entity.kind) || labels['vm'] !== undefined;

const isPoolFull = ({ entity, rule }: AlertNotice): boolean =>
  entity.kind === 'pool' && /\b(disk_usage|disk_free|thin_data_usage|thin_meta_usage)\b/.test(rule.condition);

/** Whether `cause` explains `notice` of the same host. */
function explains(cause: AlertNotice, notice: AlertNotice): boolean {
  if (cause.fingerprint === notice.fingerprint || cause.host !== notice.host) return false;
  // A host out of sight takes all below it along; without libvirt nothing is known of its VMs.
  if (isAbout(cause, 'host_unreachable')) return true;
  if (isAbout(cause, 'libvirt_down', 'collector_stale')) return isOfVm(notice);
  // A VM that stopped for want of space in a pool that is full.
  const pool = notice.labels['pool'];
  return (
    isPoolFull(cause) && /\benospc\b/.test(notice.rule.condition) && (pool === undefined || pool === cause.entity.name)
  );
}

const sameRuleAndEntity = ({ rule, host, entity }: AlertNotice): string =>
  [rule.name, host, entity.kind, entity.name].join('\n');

export interface Causes {
  /** The firing alert that explains this one, or null. */
  of(notice: AlertNotice): AlertNotice | null;
}

/** @param firing all that fire now; looked through once, so that asking for each of many costs little */
export function createCauses(firing: readonly AlertNotice[]): Causes {
  const general = firing.filter(
    (notice) => isAbout(notice, 'host_unreachable', 'libvirt_down', 'collector_stale') || isPoolFull(notice),
  );
  const worst = new Map<string, AlertNotice>();
  for (const notice of firing) {
    const key = sameRuleAndEntity(notice);
    const known = worst.get(key);
    if (!known || isWorse(notice.severity, known.severity)) worst.set(key, notice);
  }
  return {
    of(notice) {
      const worse = worst.get(sameRuleAndEntity(notice));
      if (worse && isWorse(worse.severity, notice.severity)) return worse;
      return general.find((cause) => explains(cause, notice)) ?? null;
    },
  };
}
