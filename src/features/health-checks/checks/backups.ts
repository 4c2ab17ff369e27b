/** Backups of VMs. */

import type { HealthItem } from '#contract/health.ts';
import { HEALTH_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { METRICS } from '#contract/metric-catalogue.ts';
import {
  conclude,
  type Finding,
  type HealthCheck,
  type HealthContext,
  HOUR_MS,
  levelOf,
  MINUTE_MS,
  unknown,
} from '../check.ts';
import { days, plural } from '../text.ts';

/** Whether backups are young enough. Nothing is said while no VM has ever had one: then there is nothing that backs up. */
function backups(context: HealthContext): Finding | null {
  const { figures, facts, limit, nowMs } = context;
  const last = new Map(figures.fresh('backup_last_success', 'vm').map((figure) => [figure.owner.id, figure.value]));
  const outcomes = new Map(figures.fresh('backup_state', 'vm').map((figure) => [figure.owner.id, figure.value]));
  if (last.size === 0 && outcomes.size === 0) return null;
  if (!facts.isCurrent())
    return unknown('libvirt does not answer, so it is not known which VMs there are.', HEALTH_WAITS_FOR_LIBVIRT);
  const items = facts.vms().map(({ id, name }): HealthItem => {
    const at = last.get(id);
    const outcome = METRICS.backup_state.values[outcomes.get(id) ?? 0] ?? 'none';
    if (outcome === 'failed') return { name, status: 'fail', detail: 'its last backup failed' };
    if (at === undefined) return { name, status: 'warn', detail: 'was never backed up' };
    const hours = (nowMs / 1000 - at) / 3600;
    return { name, status: levelOf(hours, limit('backups.age')), detail: `last backed up ${days(hours / 24)} ago` };
  });
  return conclude(
    items,
    `${plural(items.length, 'VM')}, all backed up lately.`,
    'Back it up now, and see that a job covers it.',
  );
}

const STATUSES = { protected: 'ok', attention: 'warn', unknown: 'unknown', unprotected: 'fail' } as const;

/** How well each VM is protected. Nothing is said while nothing backs any VM up: the page of backups says that. */
function postures({ facts }: HealthContext): Finding | null {
  const rows = facts.protection();
  if (rows === null) return null;
  return conclude(
    rows.map(
      ({ vmName, posture, reasons }): HealthItem => ({
        name: vmName,
        status: STATUSES[posture],
        detail: reasons[0]?.text ?? 'protected',
      }),
    ),
    `${plural(rows.length, 'VM')}, all protected.`,
    'See `hv backup posture`: it tells for each VM what to do next.',
  );
}

/** How long a VM may run from its restore point before somebody should look. */
const COPY_HOURS = 24;

/** VMs whose disks are not whole without a repository. Nothing is said where there is none. */
function instantRestores({ facts, nowMs }: HealthContext): Finding | null {
  const rows = facts.instantRestores();
  if (rows.length === 0) return null;
  if (!facts.isCurrent())
    return unknown('libvirt does not answer, so it is not known how far they are.', HEALTH_WAITS_FOR_LIBVIRT);
  const items = rows.map(({ name, isHeld, problem, startedAt }): HealthItem => {
    const hours = (nowMs - Date.parse(startedAt)) / HOUR_MS;
    const since = `runs from a restore point for ${days(hours / 24)}`;
    if (problem !== null) return { name, status: 'fail', detail: problem };
    if (isHeld) return { name, status: 'warn', detail: `${since}, and nobody copies its data` };
    return { name, status: hours > COPY_HOURS ? 'warn' : 'ok', detail: since };
  });
  return conclude(
    items,
    `${plural(items.length, 'VM')} run from a restore point while their data is copied.`,
    'See `hv backup instant list`: without their repository these VMs stop. `hv backup instant resume NAME` begins to copy again.',
  );
}

/** Whether second copies have what belongs there. Nothing is said while there is none. */
function copies({ facts, limit, nowMs }: HealthContext): Finding | null {
  const rows = facts.copies();
  if (rows.length === 0) return null;
  const items = rows.map(({ name, isEnabled, missing, waitingSinceMs, problem }): HealthItem => {
    const hours = isEnabled && waitingSinceMs !== null ? Math.max(0, (nowMs - waitingSinceMs) / HOUR_MS) : 0;
    const level = levelOf(hours, limit('backups.copies'));
    const behind =
      missing === 0
        ? 'nothing is missing there'
        : `${plural(missing, 'restore point or state', 'restore points and states')} missing there${isEnabled ? `, the oldest waits for ${days(hours / 24)}` : ''}`;
    if (problem === null) return { name, status: level, detail: behind };
    return { name, status: level === 'ok' ? 'warn' : level, detail: `the last copy failed: ${problem} (${behind})` };
  });
  return conclude(
    items,
    `${plural(items.length, 'copy', 'copies')}, with all that belongs there.`,
    'Copy now with `hv repo copy NAME`, which tells what is in the way. Until then this machine holds the only restore points that are missing there.',
  );
}

/** Whether the state of this host lies in its repositories. Nothing is said while there is no repository. */
async function stateBackups({ facts, limit, nowMs }: HealthContext): Promise<Finding | null> {
  const rows = await facts.stateBackups();
  if (rows.length === 0) return null;
  const items = rows.map(({ repositoryName: name, atMs, sinceMs, problem }): HealthItem => {
    if (problem !== null) return { name, status: 'fail', detail: `the last try failed: ${problem}` };
    const hours = (nowMs - (atMs ?? sinceMs)) / HOUR_MS;
    const status = levelOf(hours, limit('backups.state'));
    const detail = atMs === null ? 'the state was never written there' : `written ${days(hours / 24)} ago`;
    return { name, status, detail };
  });
  const elsewhere = rows.filter(({ isInStateFolder }) => !isInStateFolder);
  if (elsewhere.length > 0 && elsewhere.every(({ hasSecrets }) => !hasSecrets))
    items.push({
      name: 'keys',
      status: 'warn',
      detail: 'keys and passwords are in no repository: `hv system recovery-key` makes the key that seals them',
    });
  return conclude(
    items,
    `${plural(rows.length, 'repository', 'repositories')}, all with a young state of this host.`,
    'Write it now with `hv system backup`, which tells what is in the way.',
  );
}

export const backupChecks: readonly HealthCheck[] = [
  {
    id: 'backups.age',
    number: 37,
    title: 'Backups',
    meaning: 'How old the last backup of each VM is. Not in the list until the first VM was backed up.',
    warnsWhen: 'a VM was never backed up while others were',
    failsWhen: 'the last backup of a VM failed',
    limits: ['backups.age'],
    everyMs: 5 * MINUTE_MS,
    run: backups,
  },
  {
    id: 'backups.protection',
    number: 47,
    title: 'Protection',
    meaning:
      'Whether each VM is covered by a schedule, has a young restore point, and was lately proven to start from one. Not in the list while there is neither a schedule nor a restore point.',
    warnsWhen: 'a VM needs attention: its last backup failed, or no restore point of it was proven for eight days',
    failsWhen: 'a VM is unprotected: no schedule covers it, or it has no restore point that is young and whole',
    limits: [],
    everyMs: 5 * MINUTE_MS,
    run: postures,
  },
  {
    id: 'backups.instant',
    number: 48,
    title: 'Instant restores',
    meaning:
      'VMs that run from a restore point while their data is copied: until that is over they need their repository. Not in the list while there is none.',
    warnsWhen: 'the data of one is not copied after a day, or its copying was stopped',
    failsWhen: 'the restore point of one cannot be read',
    limits: [],
    everyMs: MINUTE_MS,
    isAnnounced: true,
    run: instantRestores,
  },
  {
    id: 'backups.state',
    number: 49,
    title: 'State backups',
    meaning:
      'How old the state of this host is in each repository, which brings users, settings and keys back after its loss. Not in the list while there is no repository.',
    warnsWhen: 'keys and passwords are in none of the repositories',
    failsWhen: 'the last try failed',
    limits: ['backups.state'],
    everyMs: 15 * MINUTE_MS,
    run: stateBackups,
  },
  {
    id: 'backups.copies',
    number: 50,
    title: 'Second copies',
    meaning:
      'Whether each copy of a repository at another place has the restore points that belong there. One that is made only when somebody asks is never late. Not in the list while there is none.',
    warnsWhen: 'the last copy failed',
    limits: ['backups.copies'],
    everyMs: 5 * MINUTE_MS,
    run: copies,
  },
];
