/** Hosts: the machine that hyperd runs on, its connection to libvirt, and what it is busy with.
 *  Tables: none; the last ten minutes live in memory. Events out: host.changed. Permissions: host.read.
 *  Guide: docs/guides/preflight.md */

import { health } from '#features/health/index.ts';
import { type InventoryApi, inventory } from '#features/inventory/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Config } from '#platform/config.ts';
import { defineFeature } from '#platform/feature.ts';
import { run } from '#platform/process.ts';
import { createSampler, type WatchedFolder } from './sampler.ts';
import { createHostService, type HostsApi, LOCAL_HOST_ID } from './service.ts';

export { cpuRatio } from './figures.ts';
export type { KernelReading } from './sampler.ts';
export type { HostsApi } from './service.ts';

export const hosts = defineFeature<HostsApi>({
  name: 'hosts',
  needs: ['inventory', 'health'],
  setup(context) {
    const { clock, config, events, libvirt, log } = context;
    const { accel } = context.use(health);
    const known = context.use(inventory);
    const sampler = createSampler({ clock, log, folders: () => watchedFolders(config, known) });
    const service = createHostService({
      parts: {
        connection: () => ({ state: libvirt.state.status, since: libvirt.state.since }),
        accel,
        libvirtVersion: () => libvirt.node.libVersion(),
        qemuVersion,
        onConnectionChange: libvirt.onStateChange,
        isWatched: () => known.isWatched,
      },
      sampler,
      clock,
      events,
      log,
    });
    const isLocal = (id: string) => id === LOCAL_HOST_ID || id === service.name();

    return {
      api: {
        local: service.local,
        name: service.name,
        processors: service.processors,
        kernelReading: service.kernelReading,
      },
      handlers: {
        'GET /hosts': () => ({ items: [service.local()], next: null, total: 1 }),
        'GET /hosts/{id}': ({ params }) => {
          if (!isLocal(params.id)) throw new AppError('not_found', { detail: 'There is no such host.' });
          return service.local();
        },
      },
      resolvers: {
        host: (id) => (isLocal(id) ? { type: 'host', id: LOCAL_HOST_ID, name: service.name(), project: null } : null),
      },
      start: service.start,
      stop: service.stop,
    };
  },
});

/** Kinds of pools whose folder lies on a disk of this machine; asking a network one for its space may hang. */
const LOCAL_POOLS = ['dir', 'fs'];

function watchedFolders(config: Config, known: InventoryApi): WatchedFolder[] {
  const own = [
    { path: config.state.root, purpose: 'state' },
    { path: config.state.images, purpose: 'images' },
    { path: config.state.disks, purpose: 'disks' },
  ];
  const pools = known
    .pools()
    .flatMap(({ name, kind, path, state }) =>
      path !== null && state === 'active' && LOCAL_POOLS.includes(kind) ? [{ path, purpose: `pool ${name}` }] : [],
    );
  return [...own, ...pools.filter(({ path }) => !own.some((folder) => folder.path === path))];
}

async function qemuVersion(): Promise<string | null> {
  try {
    const { stdout } = await run(['qemu-system-x86_64', '--version'], { timeoutMs: 10_000 });
    return /version (\d+(?:\.\d+)*)/.exec(stdout)?.[1] ?? null;
  } catch (error) {
    if (error instanceof AppError && error.code === 'program_missing') return null;
    throw error;
  }
}
