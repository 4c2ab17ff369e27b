/** What needs no message of its own because its cause has one. */

import { type AlertNotice, isWorse } from '../message.ts';

const isAbout = (notice: AlertNotice, ...names: readonly string[]) =>
  names.includes(notice.rule.name) || names.includes(notice.rule.id);

const isOfVm = ({ entity, labels }: AlertNotice): boolean =>
  ['vm', 'vdisk', 'vnic', 'guestfs'].includes(entity.kind) || labels['vm'] !== undefined;

/** Whether `cause` explains `notice`. */
function explains(cause: AlertNotice, notice: AlertNotice): boolean {
  if (cause.fingerprint === notice.fingerprint) return false;
  const isSameHost = cause.host === notice.host;
  // A host out of sight takes all below it along; without libvirt nothing is known of its VMs.
  if (isAbout(cause, 'host_unreachable')) return isSameHost;
  if (isAbout(cause, 'libvirt_down', 'collector_stale')) return isSameHost && isOfVm(notice);
  // A VM that stopped for want of space in a pool that is full.
  if (
    cause.entity.kind === 'pool' &&
    /\b(disk_usage|disk_free|thin_data_usage|thin_meta_usage)\b/.test(cause.rule.condition)
  ) {
    const pool = notice.labels['pool'];
    return isSameHost && /\benospc\b/.test(notice.rule.condition) && (pool === undefined || pool === cause.entity.name);
  }
  return (
    isSameHost &&
    cause.rule.name === notice.rule.name &&
    cause.entity.kind === notice.entity.kind &&
    cause.entity.name === notice.entity.name &&
    isWorse(cause.severity, notice.severity)
  );
}

/** The firing alert that explains this one, or null. @param firing all that fire now */
export const causeOf = (notice: AlertNotice, firing: readonly AlertNotice[]): AlertNotice | null =>
  firing.find((cause) => explains(cause, notice)) ?? null;
