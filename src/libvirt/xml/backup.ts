/** Documents of backups: what libvirt is asked to begin, the checkpoint that marks the moment, and what it says of one that runs.
 *  The forms were measured on libvirt 9.0: with the mode at each disk, one disk without a bitmap does not fail the others. */

import { MAX_XML_BYTES } from '../codec.ts';
import { attribute, child, children, parseXml } from './parse.ts';
import { element, serialize } from './tree.ts';

export interface BackupDiskSpec {
  /** As `vda`; the name of its export too. */
  readonly target: string;
  /** Null = not in this backup. */
  readonly scratchPath: string | null;
  /** The checkpoint that the changes are counted from; null = everything. */
  readonly since: string | null;
  /** Whether the disk can be marked: a raw one makes the whole call fail. */
  readonly isMarked: boolean;
}

export interface BackupSpec {
  /** Socket that QEMU serves the disks on; must not exist. */
  readonly socketPath: string;
  /** Every disk of the domain: libvirt takes those that are not named. */
  readonly disks: readonly BackupDiskSpec[];
}

/** What libvirt is to begin, in pull mode. */
export function buildBackupXml({ socketPath, disks }: BackupSpec): string {
  return serialize(
    element(
      'domainbackup',
      { mode: 'pull' },
      element('server', { transport: 'unix', socket: socketPath }),
      element(
        'disks',
        {},
        ...disks.map(({ target, scratchPath, since }) =>
          scratchPath === null
            ? element('disk', { name: target, backup: 'no' })
            : element(
                'disk',
                {
                  name: target,
                  backup: 'yes',
                  type: 'file',
                  exportname: target,
                  backupmode: since === null ? 'full' : 'incremental',
                  incremental: since ?? undefined,
                },
                element('driver', { type: 'qcow2' }),
                element('scratch', { file: scratchPath }),
              ),
        ),
      ),
    ),
  );
}

/** The mark of the moment; null when no disk can be marked. */
export function buildCheckpointXml(name: string, disks: readonly BackupDiskSpec[]): string | null {
  const isMarked = ({ scratchPath, isMarked: can }: BackupDiskSpec) => scratchPath !== null && can;
  if (!disks.some(isMarked)) return null;
  return serialize(
    element(
      'domaincheckpoint',
      {},
      element('name', {}, name),
      element(
        'disks',
        {},
        ...disks.map((disk) => element('disk', { name: disk.target, checkpoint: isMarked(disk) ? 'bitmap' : 'no' })),
      ),
    ),
  );
}

/** A backup that runs, as libvirt tells of it. */
export interface BackupFacts {
  /** Socket of a pull backup; null in push mode and over TCP. */
  readonly socketPath: string | null;
  /** By target. */
  readonly exports: ReadonlyMap<string, string>;
}

/** @throws AppError invalid_definition for text that is no XML */
export function readBackup(xml: string): BackupFacts {
  const root = parseXml(xml, MAX_XML_BYTES);
  const disks = child(root, 'disks');
  const exports = new Map<string, string>();
  for (const disk of disks ? children(disks, 'disk') : []) {
    const name = attribute(disk, 'name');
    if (name !== null && attribute(disk, 'backup') !== 'no') exports.set(name, attribute(disk, 'exportname') ?? name);
  }
  return { socketPath: attribute(child(root, 'server'), 'socket'), exports };
}

/** Names of the disks that a checkpoint marked. */
export function readCheckpointDisks(xml: string): readonly string[] {
  const disks = child(parseXml(xml, MAX_XML_BYTES), 'disks');
  return (disks ? children(disks, 'disk') : []).flatMap((disk) =>
    attribute(disk, 'checkpoint') === 'bitmap' ? (attribute(disk, 'name') ?? []) : [],
  );
}
