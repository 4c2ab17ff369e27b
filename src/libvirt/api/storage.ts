/** Storage pools and volumes, with upload and download. Pools are addressed by UUID, volumes by pool name and volume name. */

import { LibvirtError } from '../errors.ts';
import type { LibvirtStream } from '../stream.ts';
import { P } from '../table.ts';
import { type Tail, UploadTail } from '../upload-tail.ts';
import { type Caller, type CallOptions, flagsOf, JOB_DEADLINE_MS, LIST_DEADLINE_MS } from './caller.ts';

export interface PoolRef {
  readonly uuid: string;
  readonly name: string;
}

export interface PoolInfo {
  readonly state: 'inactive' | 'building' | 'running' | 'degraded' | 'inaccessible';
  readonly capacityBytes: number;
  readonly allocationBytes: number;
  readonly availableBytes: number;
}

/** `key` is libvirt's own name for the volume, mostly its path; it may be left empty in calls. */
export interface VolumeRef {
  readonly pool: string;
  readonly name: string;
  readonly key?: string;
}

export interface VolumeInfo {
  readonly kind: 'file' | 'block' | 'dir' | 'network' | 'netdir' | 'ploop';
  readonly capacityBytes: bigint;
  readonly allocationBytes: bigint;
}

export interface TransferOptions extends CallOptions {
  readonly offsetBytes?: bigint;
  /** 0 or absent = to the end. */
  readonly lengthBytes?: bigint;
  /** Runs of zeros cross as `Hole` items instead of bytes. */
  readonly sparse?: boolean;
}

const READ_BACK_MS = 30_000;
const POOL_STATES = ['inactive', 'building', 'running', 'degraded', 'inaccessible'] as const;
const VOLUME_KINDS = ['file', 'block', 'dir', 'network', 'netdir', 'ploop'] as const;
const SPARSE = 1;

export function createStorageApi({ call, callLong, openStream }: Caller) {
  const poolOf = (uuid: string) => ({ name: '', uuid });
  const volumeOf = ({ pool, name, key }: VolumeRef) => ({ pool, name, key: key ?? '' });

  return {
    pools: {
      async list(
        options: CallOptions & { readonly active?: boolean; readonly autostart?: boolean } = {},
      ): Promise<readonly PoolRef[]> {
        const flags = flagsOf(
          options.active !== undefined && (options.active ? 2 : 1),
          options.autostart !== undefined && (options.autostart ? 16 : 32),
        );
        return (
          await call(P.connectListAllStoragePools, { need: 1, flags }, { deadlineMs: LIST_DEADLINE_MS, ...options })
        ).pools;
      },
      async byName(name: string, options?: CallOptions): Promise<PoolRef> {
        return (await call(P.storagePoolLookupByName, { name }, options)).pool;
      },
      async byUuid(uuid: string, options?: CallOptions): Promise<PoolRef> {
        return (await call(P.storagePoolLookupByUuid, { uuid }, options)).pool;
      },
      async define(xml: string, options?: CallOptions): Promise<PoolRef> {
        return (await call(P.storagePoolDefineXml, { xml, flags: 0 }, options)).pool;
      },
      /** Makes what the pool lies on: a folder, a file system, a volume group. */
      async build(uuid: string, options: CallOptions = {}): Promise<void> {
        await callLong(
          P.storagePoolBuild,
          { pool: poolOf(uuid), flags: 0 },
          { deadlineMs: JOB_DEADLINE_MS, ...options },
        );
      },
      async create(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.storagePoolCreate, { pool: poolOf(uuid), flags: 0 }, { deadlineMs: 30_000, ...options });
      },
      /** Stops using the pool; nothing in it is deleted. */
      async destroy(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.storagePoolDestroy, { pool: poolOf(uuid) }, options);
      },
      async undefine(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.storagePoolUndefine, { pool: poolOf(uuid) }, options);
      },
      /** Looks again at what lies in it. */
      async refresh(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.storagePoolRefresh, { pool: poolOf(uuid), flags: 0 }, { deadlineMs: 60_000, ...options });
      },
      async info(uuid: string, options?: CallOptions): Promise<PoolInfo> {
        const info = await call(P.storagePoolGetInfo, { pool: poolOf(uuid) }, options);
        return {
          state: POOL_STATES[info.state] ?? 'inaccessible',
          capacityBytes: Number(info.capacity),
          allocationBytes: Number(info.allocation),
          availableBytes: Number(info.available),
        };
      },
      async xml(uuid: string, options: CallOptions & { readonly inactive?: boolean } = {}): Promise<string> {
        return (
          await call(P.storagePoolGetXmlDesc, { pool: poolOf(uuid), flags: flagsOf(options.inactive && 1) }, options)
        ).xml;
      },
      async setAutostart(uuid: string, autostart: boolean, options?: CallOptions): Promise<void> {
        await call(P.storagePoolSetAutostart, { pool: poolOf(uuid), autostart: autostart ? 1 : 0 }, options);
      },
    },
    volumes: {
      async list(poolUuid: string, options?: CallOptions): Promise<readonly Required<VolumeRef>[]> {
        return (
          await call(
            P.storagePoolListAllVolumes,
            { pool: poolOf(poolUuid), need: 1, flags: 0 },
            { deadlineMs: LIST_DEADLINE_MS, ...options },
          )
        ).vols;
      },
      async byName(poolName: string, name: string, options?: CallOptions): Promise<Required<VolumeRef>> {
        const { pool } = await call(P.storagePoolLookupByName, { name: poolName }, options);
        return (await call(P.storageVolLookupByName, { pool, name }, options)).vol;
      },
      async byPath(path: string, options?: CallOptions): Promise<Required<VolumeRef>> {
        return (await call(P.storageVolLookupByPath, { path }, options)).vol;
      },
      async create(
        poolUuid: string,
        xml: string,
        options: CallOptions & { readonly preallocateMetadata?: boolean } = {},
      ): Promise<Required<VolumeRef>> {
        const args = { pool: poolOf(poolUuid), xml, flags: flagsOf(options.preallocateMetadata && 1) };
        return (await call(P.storageVolCreateXml, args, { deadlineMs: 60_000, ...options })).vol;
      },
      /** Copies a volume. */
      async clone(
        poolUuid: string,
        xml: string,
        source: VolumeRef,
        options: CallOptions & { readonly reflink?: boolean } = {},
      ): Promise<Required<VolumeRef>> {
        // libvirt compares this name with the source's pool; a wrong one makes it lock one pool twice, for ever (measured, 9.0).
        const { pool } = await call(P.storagePoolLookupByUuid, { uuid: poolUuid }, options);
        const args = { pool, xml, clonevol: volumeOf(source), flags: flagsOf(options.reflink && 2) };
        return (await callLong(P.storageVolCreateXmlFrom, args, { deadlineMs: JOB_DEADLINE_MS, ...options })).vol;
      },
      async delete(volume: VolumeRef, options?: CallOptions): Promise<void> {
        await call(P.storageVolDelete, { vol: volumeOf(volume), flags: 0 }, { deadlineMs: 60_000, ...options });
      },
      async info(volume: VolumeRef, options?: CallOptions): Promise<VolumeInfo> {
        const info = await call(P.storageVolGetInfoFlags, { vol: volumeOf(volume), flags: 0 }, options);
        return {
          kind: VOLUME_KINDS[info.type] ?? 'file',
          capacityBytes: info.capacity,
          allocationBytes: info.allocation,
        };
      },
      async xml(volume: VolumeRef, options?: CallOptions): Promise<string> {
        return (await call(P.storageVolGetXmlDesc, { vol: volumeOf(volume), flags: 0 }, options)).xml;
      },
      async resize(
        volume: VolumeRef,
        capacityBytes: bigint,
        options: CallOptions & { readonly shrink?: boolean } = {},
      ): Promise<void> {
        await call(
          P.storageVolResize,
          { vol: volumeOf(volume), capacity: capacityBytes, flags: flagsOf(options.shrink && 4) },
          options,
        );
      },
      /** A Writable; it is done when 'finish' comes: then the host confirmed it and its end was read back (see `upload-tail.ts`).
       *  A failure or an abort leaves partial data in the volume: upload to a temporary name. */
      async upload(volume: VolumeRef, options: TransferOptions = {}): Promise<LibvirtStream> {
        const { stream } = await openStream(P.storageVolUpload, transferArgs(volume, options), {
          ...options,
          isSparse: options.sparse ?? false,
        });
        const tail = new UploadTail();
        stream.checkUpload({
          sent: (item) => tail.add(item),
          confirm: () => readBack(volume, options.offsetBytes ?? 0n, tail.last, options),
        });
        return stream;
      },
      /** A Readable of the volume's bytes. */
      async download(volume: VolumeRef, options: TransferOptions = {}): Promise<LibvirtStream> {
        return (
          await openStream(P.storageVolDownload, transferArgs(volume, options), {
            ...options,
            isSparse: options.sparse ?? false,
          })
        ).stream;
      },
    },
  };

  /** @throws no_space when the end of an upload is not in the volume */
  async function readBack(
    volume: VolumeRef,
    fromBytes: bigint,
    tail: Tail | null,
    options: CallOptions,
  ): Promise<void> {
    if (tail === null) return;
    const { stream } = await openStream(
      P.storageVolDownload,
      transferArgs(volume, { offsetBytes: fromBytes + BigInt(tail.atBytes), lengthBytes: BigInt(tail.bytes.length) }),
      options.signal ? { signal: options.signal } : {},
    );
    const parts: Buffer[] = [];
    const late = setTimeout(() => stream.destroy(new Error('the host did not send it within 30 s')), READ_BACK_MS);
    try {
      for await (const part of stream) parts.push(part);
    } finally {
      clearTimeout(late);
    }
    if (Buffer.concat(parts).equals(tail.bytes)) return;
    throw new LibvirtError('no_space', {
      procedure: P.storageVolUpload.name,
      detail: `The host could not write the whole upload to ${JSON.stringify(volume.name)}, though it confirmed it.`,
      cause: new Error('libvirt lost the reason; most often there is no space left on the device'),
    });
  }

  function transferArgs(volume: VolumeRef, options: TransferOptions) {
    return {
      vol: volumeOf(volume),
      offset: options.offsetBytes ?? 0n,
      length: options.lengthBytes ?? 0n,
      flags: options.sparse ? SPARSE : 0,
    };
  }
}
