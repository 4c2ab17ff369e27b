/** Backups in libvirt's pull and push modes, and block jobs on the disks of a running domain. */

import type { TypedParam } from '../codec.ts';
import { P } from '../table.ts';
import { type Caller, type CallOptions, flagsOf } from './caller.ts';
import { domainOf } from './domain.ts';

export interface BlockJobInfo {
  readonly job: 'unknown' | 'pull' | 'copy' | 'commit' | 'active-commit' | 'backup';
  /** Bytes per second; 0 = not limited. */
  readonly bandwidth: bigint;
  readonly doneBytes: bigint;
  readonly totalBytes: bigint;
}

export interface CommitOptions extends CallOptions {
  readonly base?: string;
  readonly top?: string;
  readonly bandwidthBytesPerSecond?: bigint;
  readonly shallow?: boolean;
  readonly deleteMerged?: boolean;
  readonly active?: boolean;
  readonly relative?: boolean;
}

const JOBS = ['unknown', 'pull', 'copy', 'commit', 'active-commit', 'backup'] as const;

export function createBackupApi({ call }: Caller) {
  return {
    backup: {
      /** @param checkpointXml marks the moment, so that the next backup can be of changes only; null = no mark */
      async begin(
        uuid: string,
        xml: string,
        checkpointXml: string | null,
        options: CallOptions & { readonly reuseExternal?: boolean } = {},
      ): Promise<void> {
        const args = {
          dom: domainOf(uuid),
          backup_xml: xml,
          checkpoint_xml: checkpointXml,
          flags: flagsOf(options.reuseExternal && 1),
        };
        await call(P.domainBackupBegin, args, { deadlineMs: 45_000, ...options });
      },
      /** XML of the backup that runs. @throws LibvirtError when none does */
      async xml(uuid: string, options?: CallOptions): Promise<string> {
        return (await call(P.domainBackupGetXmlDesc, { dom: domainOf(uuid), flags: 0 }, options)).xml;
      },
      /** Ends a pull backup, or breaks off a push backup. */
      async end(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.domainAbortJob, { dom: domainOf(uuid) }, options);
      },
    },
    blockJobs: {
      async commit(uuid: string, disk: string, options: CommitOptions = {}): Promise<void> {
        const flags = flagsOf(
          options.shallow && 1,
          options.deleteMerged && 2,
          options.active && 4,
          options.relative && 8,
          16,
        );
        const args = {
          dom: domainOf(uuid),
          disk,
          base: options.base ?? null,
          top: options.top ?? null,
          bw: options.bandwidthBytesPerSecond ?? 0n,
          flags,
        };
        await call(P.domainBlockCommit, args, options);
      },
      async pull(
        uuid: string,
        disk: string,
        options: CallOptions & { readonly bandwidthMibPerSecond?: bigint } = {},
      ): Promise<void> {
        await call(
          P.domainBlockPull,
          { dom: domainOf(uuid), path: disk, bw: options.bandwidthMibPerSecond ?? 0n, flags: 0 },
          options,
        );
      },
      async copy(
        uuid: string,
        disk: string,
        targetXml: string,
        options: CallOptions & {
          readonly params?: readonly TypedParam[];
          readonly shallow?: boolean;
          readonly reuseExternal?: boolean;
        } = {},
      ): Promise<void> {
        const flags = flagsOf(options.shallow && 1, options.reuseExternal && 2);
        await call(
          P.domainBlockCopy,
          { dom: domainOf(uuid), path: disk, destxml: targetXml, params: options.params ?? [], flags },
          options,
        );
      },
      /** null when no job runs on the disk. */
      async info(uuid: string, disk: string, options?: CallOptions): Promise<BlockJobInfo | null> {
        const info = await call(P.domainGetBlockJobInfo, { dom: domainOf(uuid), path: disk, flags: 1 }, options);
        if (info.found !== 1) return null;
        return { job: JOBS[info.type] ?? 'unknown', bandwidth: info.bw, doneBytes: info.cur, totalBytes: info.end };
      },
      async setSpeed(uuid: string, disk: string, bytesPerSecond: bigint, options?: CallOptions): Promise<void> {
        await call(
          P.domainBlockJobSetSpeed,
          { dom: domainOf(uuid), path: disk, bw: bytesPerSecond, flags: 1 },
          options,
        );
      },
      /** `pivot` ends a ready copy or active commit by going over to its target. */
      async abort(
        uuid: string,
        disk: string,
        options: CallOptions & { readonly pivot?: boolean; readonly async?: boolean } = {},
      ): Promise<void> {
        await call(
          P.domainBlockJobAbort,
          { dom: domainOf(uuid), path: disk, flags: flagsOf(options.async && 1, options.pivot && 2) },
          { deadlineMs: 60_000, ...options },
        );
      },
      /** Grows (or shrinks) a disk of a running VM. */
      async resize(uuid: string, disk: string, sizeBytes: bigint, options?: CallOptions): Promise<void> {
        await call(P.domainBlockResize, { dom: domainOf(uuid), disk, size: sizeBytes, flags: 1 }, options);
      },
    },
  };
}
