/** What a backup asks of libvirt about one VM, and what it makes of the answers. Of several programs that back up the same VM each has its
 *  own checkpoints and its own job: those of others are seen and left. */

import { AppError } from '#kernel/errors.ts';
import {
  type DomainState,
  isNotFound,
  LibvirtError,
  type LibvirtHost,
  readBackup,
  readCheckpointDisks,
  readDomain,
  type StatValues,
} from '#libvirt/index.ts';
import type { GuestRequests } from './giving-way.ts';
import type { VmDisk } from './plan.ts';

export interface VmSide {
  state(vmId: string): Promise<DomainState | 'gone'>;
  /** Disks as they are now: of the running guest, or of the definition. */
  disks(vmId: string): Promise<readonly FoundDisk[]>;
  /** What the guest asked of its disks; null = not known.
   *  @throws failures of libvirt, also when QEMU does not answer in two seconds */
  requests(vmId: string): Promise<GuestRequests | null>;
  checkpoints(vmId: string): Promise<readonly string[]>;
  /** Targets that a checkpoint marks; none when it is not there. */
  markedBy(vmId: string, checkpoint: string): Promise<ReadonlySet<string>>;
  /** Removes a checkpoint; one that is gone counts as removed. While the VM is off libvirt forgets it alone, and its mark stays in the file. */
  dropCheckpoint(vmId: string, checkpoint: string): Promise<void>;
  /** Socket of the backup that runs; null = none runs, or one without a socket. */
  runningSocket(vmId: string): Promise<string | null>;
  /** @throws backup_job_active when anything else works on the disks */
  requireNoJob(vmId: string): Promise<void>;
  /** @throws BrokenMark when a disk has lost its mark, and failures of libvirt */
  begin(vmId: string, backupXml: string, checkpointXml: string | null): Promise<void>;
  /** Ends our backup, and no other. */
  end(vmId: string, socketPath: string): Promise<void>;
}

export interface FoundDisk extends VmDisk {
  /** What it takes on its storage; 0 = not known. */
  readonly allocatedBytes: number;
}

/** libvirt says loudly that changes of these disks were not kept track of: after a crash of the host or QEMU. */
export class BrokenMark extends Error {
  /** Null = libvirt does not tell which. */
  readonly target: string | null;
  constructor(target: string | null, cause: unknown) {
    super('the mark of a disk is missing or broken', { cause });
    this.target = target;
  }
}

const END_WAIT_MS = 20_000;
const FIRST_LOOK_MS = 5;
const LOOK_MS = 100;
const STATS_MS = 2_000;

export function createVmSide(libvirt: LibvirtHost, sleep: (ms: number) => Promise<void>): VmSide {
  const { domains, checkpoints, backup } = libvirt;

  const state: VmSide['state'] = async (vmId) => {
    try {
      return (await domains.state(vmId)).state;
    } catch (error) {
      if (isNotFound(error)) return 'gone';
      throw error;
    }
  };

  const runningSocket: VmSide['runningSocket'] = async (vmId) => {
    try {
      return readBackup(await backup.xml(vmId)).socketPath;
    } catch (error) {
      if (error instanceof LibvirtError && error.failure !== null) return null;
      throw error;
    }
  };

  const sizeOf = async (vmId: string, target: string) => {
    try {
      const { capacityBytes, allocationBytes } = await domains.blockInfo(vmId, target);
      return { capacity: Number(capacityBytes), allocated: Number(allocationBytes) };
    } catch (error) {
      // An empty drive has no size; a disk whose file is gone is left out with its reason.
      if (error instanceof LibvirtError && error.failure !== null) return null;
      throw error;
    }
  };

  return {
    state,
    async disks(vmId) {
      const { disks } = readDomain(await domains.xml(vmId));
      const found: FoundDisk[] = [];
      for (const disk of disks) {
        const size = disk.source === null ? null : await sizeOf(vmId, disk.target);
        found.push({
          ...disk,
          sizeBytes: size === null || size.capacity === 0 ? null : size.capacity,
          allocatedBytes: size?.allocated ?? 0,
        });
      }
      return found;
    },
    async requests(vmId) {
      const [stats] = await domains.stats([vmId], ['block'], { deadlineMs: STATS_MS });
      return stats === undefined ? null : requestsOf(stats.values);
    },
    checkpoints: (vmId) => checkpoints.list(vmId),
    async markedBy(vmId, checkpoint) {
      try {
        return new Set(readCheckpointDisks(await checkpoints.xml(vmId, checkpoint)));
      } catch (error) {
        if (error instanceof LibvirtError && error.failure !== null) return new Set();
        throw error;
      }
    },
    async dropCheckpoint(vmId, checkpoint) {
      if (!(await checkpoints.list(vmId)).includes(checkpoint)) return;
      const isOn = isOnIn(await state(vmId));
      try {
        await checkpoints.delete(vmId, checkpoint, { metadataOnly: !isOn });
      } catch (error) {
        if (isNotFound(error) || !(error instanceof LibvirtError) || error.failure === null) throw error;
        // A mark that is broken cannot be merged into the next one; libvirt then lets go of its name alone.
        await checkpoints.delete(vmId, checkpoint, { metadataOnly: true });
      }
    },
    runningSocket,
    async requireNoJob(vmId) {
      const { type } = await domains.job(vmId);
      if (type === 'bounded' || type === 'unbounded') throw new AppError('backup_job_active');
    },
    async begin(vmId, backupXml, checkpointXml) {
      try {
        await backup.begin(vmId, backupXml, checkpointXml);
      } catch (error) {
        const message = error instanceof LibvirtError ? (error.failure?.message ?? '') : '';
        if (/missing or broken bitmap|checkpoint inconsistent|checkpoint '.*' not found|no such bitmap/i.test(message))
          throw new BrokenMark(/disk '([^']+)'/.exec(message)?.[1] ?? null, error);
        throw error;
      }
    },
    async end(vmId, socketPath) {
      if ((await runningSocket(vmId)) !== socketPath) return;
      try {
        await backup.end(vmId);
      } catch (error) {
        // It ended by itself meanwhile, as with its QEMU.
        if ((await runningSocket(vmId)) === socketPath) throw error;
      }
      // It is over a few milliseconds after libvirt answered, or has to wait for QEMU.
      let [waitedMs, pauseMs] = [0, FIRST_LOOK_MS];
      while ((await runningSocket(vmId)) === socketPath) {
        if (waitedMs >= END_WAIT_MS)
          throw new AppError('timeout', { detail: 'libvirt did not end the backup within 20 s.' });
        await sleep(pauseMs);
        waitedMs += pauseMs;
        pauseMs = Math.min(LOOK_MS, pauseMs * 2);
      }
    },
  };
}

export const isOnIn = (state: DomainState | 'gone'): boolean => !['off', 'none', 'gone', 'crashed'].includes(state);

/** libvirt tells of each disk by its number: `block.0.rd.reqs`, and times in nanoseconds. */
function requestsOf(values: StatValues): GuestRequests {
  let [count, totalNs] = [0, 0];
  for (const [name, value] of values) {
    const field = /^block\.\d+\.(?:rd|wr|fl)\.(reqs|times)$/.exec(name)?.[1];
    if (field === 'reqs') count += Number(value);
    else if (field === 'times') totalNs += Number(value);
  }
  return { count, totalMs: totalNs / 1e6 };
}
