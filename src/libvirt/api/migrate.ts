/** Live migration, peer to peer: the source host talks to the target host by itself. */

import type { TypedParam } from '../codec.ts';
import { P } from '../table.ts';
import { type Caller, type CallOptions, flagsOf, JOB_DEADLINE_MS } from './caller.ts';
import { domainOf } from './domain.ts';

export interface MigrateOptions extends CallOptions {
  /** libvirt URI of the target as the source host reaches it. */
  readonly targetUri: string;
  readonly migrateUri?: string;
  readonly targetName?: string;
  readonly targetXml?: string;
  readonly persistentXml?: string;
  readonly bandwidthMibPerSecond?: number;
  readonly listenAddress?: string;
  /** Disks to copy along (target names); none = shared storage. */
  readonly copyDisks?: readonly string[];
  readonly disksPort?: number;
  readonly tlsDestination?: string;
  readonly tls?: boolean;
  readonly abortOnIoError?: boolean;
  readonly postCopy?: boolean;
  /** Skips libvirt's check of cache modes; only with the owner's consent. */
  readonly unsafe?: boolean;
}

const FLAGS = {
  live: 1,
  peerToPeer: 2,
  persist: 8,
  undefineSource: 16,
  nonSharedDisk: 64,
  unsafe: 512,
  abortOnIoError: 4096,
  postCopy: 32_768,
  tls: 65_536,
} as const;

export function createMigrateApi({ call, callLong }: Caller) {
  return {
    /** Returns when the VM runs on the target. Aborting the call does not cancel the migration: `domains.abortJob` does. */
    async perform(uuid: string, options: MigrateOptions): Promise<void> {
      const copies = (options.copyDisks?.length ?? 0) > 0;
      const flags = flagsOf(
        FLAGS.live,
        FLAGS.peerToPeer,
        FLAGS.persist,
        FLAGS.undefineSource,
        copies && FLAGS.nonSharedDisk,
        options.unsafe && FLAGS.unsafe,
        options.abortOnIoError && FLAGS.abortOnIoError,
        options.postCopy && FLAGS.postCopy,
        options.tls !== false && FLAGS.tls,
      );
      const args = {
        dom: domainOf(uuid),
        dconnuri: options.targetUri,
        params: migrateParams(options),
        cookie_in: new Uint8Array(),
        flags,
      };
      await callLong(P.domainMigratePerform3Params, args, { deadlineMs: JOB_DEADLINE_MS, ...options });
    },
    async setMaxDowntime(uuid: string, downtimeMs: bigint, options?: CallOptions): Promise<void> {
      await call(P.domainMigrateSetMaxDowntime, { dom: domainOf(uuid), downtime: downtimeMs, flags: 0 }, options);
    },
    async setMaxSpeed(uuid: string, mibPerSecond: bigint, options?: CallOptions): Promise<void> {
      await call(P.domainMigrateSetMaxSpeed, { dom: domainOf(uuid), bw: mibPerSecond, flags: 0 }, options);
    },
    /** From now on the VM runs on the target and fetches missing memory; a lost link then kills it. */
    async startPostCopy(uuid: string, options?: CallOptions): Promise<void> {
      await call(P.domainMigrateStartPostCopy, { dom: domainOf(uuid), flags: 0 }, options);
    },
  };
}

function migrateParams(options: MigrateOptions): TypedParam[] {
  const params: TypedParam[] = [];
  const text = (name: string, value: string | undefined) => {
    if (value !== undefined) params.push({ name, type: 'string', value });
  };
  text('migrate_uri', options.migrateUri);
  text('destination_name', options.targetName);
  text('destination_xml', options.targetXml);
  text('persistent_xml', options.persistentXml);
  text('listen_address', options.listenAddress);
  text('tls.destination', options.tlsDestination);
  for (const disk of options.copyDisks ?? []) text('migrate_disks', disk);
  if (options.bandwidthMibPerSecond !== undefined)
    params.push({ name: 'bandwidth', type: 'ullong', value: options.bandwidthMibPerSecond });
  if (options.disksPort !== undefined) params.push({ name: 'disks_port', type: 'int', value: options.disksPort });
  return params;
}
