/** What needs no message of its own because its cause has one. Only rules of the system are causes: a project's rule quiets nobody else's. */

import { type AlertNotice, isWorse } from '../message.ts';
import { defaultRuleOf } from './outranked-rules.ts';
import { createSpeakers } from './precedence.ts';

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

export interface Causes {
  /** The firing alert of something greater that explains this one, or null. */
  of(notice: AlertNotice): AlertNotice | null;
  /** @see createSpeakers */
  speakersFor(notice: AlertNotice): readonly AlertNotice[];
}

/** @param firing all that fire now; looked through once, so that asking for each of many costs little */
export function createCauses(firing: readonly AlertNotice[]): Causes {
  const general = firing.filter(isGeneral);
  return {
    of: (notice) => general.find((cause) => explains(cause, notice)) ?? null,
    speakersFor: createSpeakers(firing),
  };
}
