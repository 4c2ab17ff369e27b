/** What needs no message of its own because its cause has one. Only rules of the system are causes: a project's rule quiets nobody else's. */

import { type AlertNotice, isWorse } from '../message.ts';
import { defaultRuleOf, OUTRANKED_RULES } from './outranked-rules.ts';

/** A host out of sight takes all below it along. */
const HOST_GONE = ['host_unreachable'];
/** Without libvirt, or without its figures, nothing is known of its VMs. */
const VMS_UNKNOWN = ['libvirt_down', 'collector_stale'];

const isDefault = ({ rule }: AlertNotice, names: readonly string[]): boolean => {
  const name = defaultRuleOf(rule.id);
  return name !== null && names.includes(name);
};

const isOfVm = ({ entity, labels }: AlertNotice): boolean =>
  ['vm', 'vdisk', 'vnic', 'guestfs'].includes(entity.kind) || labels['vm'] !== undefined;

const isPoolFull = ({ entity, rule }: AlertNotice): boolean =>
  entity.kind === 'pool' && /\b(disk_usage|disk_free|thin_data_usage|thin_meta_usage)\b/.test(rule.condition);

const isGeneral = (notice: AlertNotice): boolean =>
  notice.project === null &&
  (isPoolFull(notice) || (notice.entity.kind === 'host' && isDefault(notice, [...HOST_GONE, ...VMS_UNKNOWN])));

/** Whether `cause`, one of the general ones, explains `notice` of the same host. What is graver than its cause is told by itself. */
function explains(cause: AlertNotice, notice: AlertNotice): boolean {
  if (cause.fingerprint === notice.fingerprint || cause.host !== notice.host) return false;
  if (isWorse(notice.severity, cause.severity)) return false;
  if (isDefault(cause, HOST_GONE)) return true;
  if (isDefault(cause, VMS_UNKNOWN)) return isOfVm(notice);
  // A VM that stopped for want of space in a pool that is full.
  const pool = notice.labels['pool'];
  return /\benospc\b/.test(notice.rule.condition) && (pool === undefined || pool === cause.entity.name);
}

/** What one rule says of one thing. Disks and file systems of two VMs may be called the same. */
const keyOf = (rule: string, { host, project, entity, labels }: AlertNotice): string =>
  [rule, host, project ?? '', entity.kind, entity.name, labels['vm'] ?? ''].join('\n');

export interface Causes {
  /** The firing alert that explains this one, or null. */
  of(notice: AlertNotice): AlertNotice | null;
}

/** @param firing all that fire now; looked through once, so that asking for each of many costs little */
export function createCauses(firing: readonly AlertNotice[]): Causes {
  const general = firing.filter(isGeneral);
  const outranking = new Map<string, AlertNotice>();
  for (const notice of firing)
    for (const lesser of OUTRANKED_RULES[defaultRuleOf(notice.rule.id) ?? ''] ?? [])
      outranking.set(keyOf(lesser, notice), notice);
  return {
    of(notice) {
      const own = defaultRuleOf(notice.rule.id);
      const graver = own === null ? undefined : outranking.get(keyOf(own, notice));
      // Who made the lesser rule the graver one wants to hear of it.
      if (graver && !isWorse(notice.severity, graver.severity)) return graver;
      return general.find((cause) => explains(cause, notice)) ?? null;
    },
  };
}
