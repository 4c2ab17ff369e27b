/** libvirt's snapshots and checkpoints of a domain. Addressed by the domain's UUID and their own name. */

import { P } from '../table.ts';
import { type Caller, type CallOptions, flagsOf, JOB_DEADLINE_MS, LIST_DEADLINE_MS } from './caller.ts';
import { domainOf } from './domain.ts';

export interface SnapshotCreateOptions extends CallOptions {
  readonly diskOnly?: boolean;
  readonly quiesce?: boolean;
  readonly atomic?: boolean;
  readonly live?: boolean;
  readonly reuseExternal?: boolean;
  readonly noMetadata?: boolean;
}

export interface RevertOptions extends CallOptions {
  readonly to?: 'running' | 'paused';
  readonly force?: boolean;
  readonly resetNvram?: boolean;
}

export function createSnapshotApi({ call, callLong }: Caller) {
  const itemOf = (uuid: string, name: string) => ({ name, dom: domainOf(uuid) });

  return {
    snapshots: {
      async create(uuid: string, xml: string, options: SnapshotCreateOptions = {}): Promise<string> {
        const flags = flagsOf(
          options.noMetadata && 4,
          options.diskOnly && 16,
          options.reuseExternal && 32,
          options.quiesce && 64,
          options.atomic && 128,
          options.live && 256,
        );
        return (
          await callLong(
            P.domainSnapshotCreateXml,
            { dom: domainOf(uuid), xml, flags },
            { deadlineMs: JOB_DEADLINE_MS, ...options },
          )
        ).snap.name;
      },
      async list(uuid: string, options: CallOptions = {}): Promise<string[]> {
        const { snapshots } = await call(
          P.domainListAllSnapshots,
          { dom: domainOf(uuid), need: 1, flags: 0 },
          { deadlineMs: LIST_DEADLINE_MS, ...options },
        );
        return snapshots.map(({ name }) => name);
      },
      async exists(uuid: string, name: string, options?: CallOptions): Promise<boolean> {
        const { snapshots } = await call(
          P.domainListAllSnapshots,
          { dom: domainOf(uuid), need: 1, flags: 0 },
          { deadlineMs: LIST_DEADLINE_MS, ...options },
        );
        return snapshots.some((snapshot) => snapshot.name === name);
      },
      async xml(
        uuid: string,
        name: string,
        options: CallOptions & { readonly secure?: boolean } = {},
      ): Promise<string> {
        return (
          await call(
            P.domainSnapshotGetXmlDesc,
            { snap: itemOf(uuid, name), flags: flagsOf(options.secure && 1) },
            options,
          )
        ).xml;
      },
      async revert(uuid: string, name: string, options: RevertOptions = {}): Promise<void> {
        const flags = flagsOf(
          options.to === 'running' && 1,
          options.to === 'paused' && 2,
          options.force && 4,
          options.resetNvram && 8,
        );
        await callLong(
          P.domainRevertToSnapshot,
          { snap: itemOf(uuid, name), flags },
          { deadlineMs: JOB_DEADLINE_MS, ...options },
        );
      },
      async delete(
        uuid: string,
        name: string,
        options: CallOptions & { readonly children?: boolean; readonly metadataOnly?: boolean } = {},
      ): Promise<void> {
        const flags = flagsOf(options.children && 1, options.metadataOnly && 2);
        await callLong(
          P.domainSnapshotDelete,
          { snap: itemOf(uuid, name), flags },
          { deadlineMs: JOB_DEADLINE_MS, ...options },
        );
      },
    },
    checkpoints: {
      async create(
        uuid: string,
        xml: string,
        options: CallOptions & { readonly quiesce?: boolean; readonly redefine?: boolean } = {},
      ): Promise<string> {
        const flags = flagsOf(options.redefine && 1, options.quiesce && 2);
        return (
          await call(
            P.domainCheckpointCreateXml,
            { dom: domainOf(uuid), xml, flags },
            { deadlineMs: 60_000, ...options },
          )
        ).chk.name;
      },
      async list(uuid: string, options: CallOptions = {}): Promise<string[]> {
        const { checkpoints } = await call(
          P.domainListAllCheckpoints,
          { dom: domainOf(uuid), need: 1, flags: 0 },
          { deadlineMs: LIST_DEADLINE_MS, ...options },
        );
        return checkpoints.map(({ name }) => name);
      },
      async xml(
        uuid: string,
        name: string,
        options: CallOptions & { readonly secure?: boolean } = {},
      ): Promise<string> {
        return (
          await call(
            P.domainCheckpointGetXmlDesc,
            { chk: itemOf(uuid, name), flags: flagsOf(options.secure && 1) },
            options,
          )
        ).xml;
      },
      async delete(
        uuid: string,
        name: string,
        options: CallOptions & { readonly metadataOnly?: boolean } = {},
      ): Promise<void> {
        const flags = flagsOf(options.metadataOnly && 2);
        await call(P.domainCheckpointDelete, { chk: itemOf(uuid, name), flags }, { deadlineMs: 60_000, ...options });
      },
    },
  };
}
