/** What a backup asks of the rest of hyperd: who the guest is, where its definition is, what is written down of it. */

import { hostname } from 'node:os';
import { qemuUserOf } from '#features/health/index.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { NotificationsApi } from '#features/notifications/index.ts';
import type { VmsApi } from '#features/vms/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import { type LibvirtHost, readDomain, withoutPasswords } from '#libvirt/index.ts';
import type { Config } from '#platform/config.ts';
import type { Database } from '#platform/db/database.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import { readGuestIdentity } from '#platform/guest-identity.ts';
import { VERSION } from '#platform/version.ts';
import type { Catalogue } from './catalogue.ts';
import { createFreezer } from './freeze.ts';
import { rowOf } from './manifest-row.ts';
import { missedText } from './missed-changes.ts';
import type { RunFolders } from './names.ts';
import type { Repositories } from './repositories.ts';
import type { RunServices } from './run-begin.ts';
import type { Sessions } from './run-session.ts';
import type { DiskRow, PointRow } from './tables.ts';
import type { Turns } from './turns.ts';
import { createVmSide } from './vm-side.ts';

/** A guest has so long to say who it is, and for each answer. */
const IDENTITY_MS = 10_000;
const AGENT_SECONDS = 3;
const LAST_POINTS = 8;

export function createRunServices(dependencies: {
  readonly config: Config;
  readonly db: Database;
  readonly libvirt: LibvirtHost;
  readonly clock: Clock;
  readonly log: Logger;
  readonly space: SpaceLedger;
  readonly known: InventoryApi;
  readonly machines: Pick<VmsApi, 'startPaused' | 'stop'>;
  readonly messages: Pick<NotificationsApi, 'announceEvent'>;
  readonly repositories: Pick<Repositories, 'open'>;
  readonly catalogue: Catalogue;
  readonly turns: Turns;
  readonly sessions: Sessions;
  readonly folders: RunFolders;
  /** Says that restore points changed. */
  told(rows: readonly PointRow[]): void;
}): RunServices {
  const { config, db, libvirt, clock, log, space, known, machines, messages } = dependencies;
  const { repositories, catalogue, turns, sessions, folders, told } = dependencies;
  const services: RunServices = {
    catalogue,
    turns,
    sessions,
    freezer: createFreezer(libvirt, clock, log),
    folders,
    space,
    clock,
    stateFolder: config.state.root,
    scrubDays: config.backups.scrubDays,
    guestSlowMs: config.backups.guestSlowMs,
    hostId: hostname(),
    vmSide: createVmSide(libvirt, (ms) => clock.sleep(ms)),
    now: clock.now,
    open: repositories.open,
    hasSavedMemory: (vmId) => libvirt.domains.hasManagedSave(vmId),
    async publishedBy(repositoryId, vmId, operationId) {
      // No other operation of this host makes points of a VM while it is backed up, so it is the last one, or behind some that were damaged
      // since or that another host made; or that this one made under another name.
      for await (const { manifest } of (await repositories.open(repositoryId)).newestPoints(vmId, LAST_POINTS)) {
        if (manifest?.op === operationId) return manifest;
        if (manifest?.host === services.hostId) return null;
      }
      return null;
    },
    async record(order, manifest, { plan }, meta) {
      const row = rowOf(order.repositoryId, manifest, meta);
      const before = await catalogue.disks(order.vmId, order.repositoryId);
      const missed = new Set(meta.missed.map(({ target }) => target));
      const disks = plan.disks.map((disk): DiskRow => {
        const former = before.find(({ target }) => target === disk.target);
        const isWhole = manifest.disks.find(({ target }) => target === disk.target)?.mode === 'full';
        return {
          vm_id: order.vmId,
          repository_id: order.repositoryId,
          target: disk.target,
          point_id: manifest.id,
          source: disk.source,
          full_read_at: isWhole || !former ? manifest.pointInTime : former.full_read_at,
          is_damaged: isWhole ? 0 : (former?.is_damaged ?? 0),
          is_suspect: missed.has(disk.target) ? 1 : isWhole ? 0 : (former?.is_suspect ?? 0),
          image: null,
        };
      });
      await db.transaction(async (tx) => {
        await catalogue.put(tx, [row]);
        await catalogue.putDisks(tx, order.vmId, order.repositoryId, disks);
        for (const each of meta.missed)
          await messages.announceEvent(tx, {
            key: `backup-missed:${manifest.id}:${each.target}`,
            severity: 'critical',
            title: `Backups of ${order.name} may lack changes`,
            text: `${missedText(each)} The next backup reads the disk as a whole again.`,
            project: order.project,
            labels: { category: 'backups', vm: order.name },
          });
        tx.afterCommit(() => told([row]));
      });
    },
    async isAgentConnected(vmId) {
      // A paused guest writes nothing, and answers nothing.
      if ((await libvirt.domains.state(vmId)).state === 'paused') return false;
      return readDomain(await libvirt.domains.xml(vmId)).isAgentConnected === true;
    },
    async guestIdentity(vmId, signal) {
      if (!(await services.isAgentConnected(vmId))) return null;
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(IDENTITY_MS)]);
      try {
        return await readGuestIdentity((json) =>
          libvirt.agent.command(vmId, json, { timeoutSeconds: AGENT_SECONDS, signal: deadline }),
        );
      } catch (error) {
        if (signal.aborted) throw error;
        // A backup does not fail because its guest says nothing of itself.
        log.info({ vm: vmId, err: error }, 'the guest does not say who it is');
        return null;
      }
    },
    qemuUser: async () => qemuUserOf(await libvirt.node.capabilities()),
    async definition(vmId) {
      const xml = await libvirt.domains.xml(vmId, { inactive: true, secure: true, migratable: true });
      const { nvramPath, hasTpm } = readDomain(xml);
      return { xml: withoutPasswords(xml), nvramPath, hasTpm };
    },
    async meta(vmId) {
      const vm = known.vm(vmId);
      return {
        name: vm?.name ?? vmId,
        project: vm?.project ?? '',
        tags: [...(vm?.tags ?? [])],
        isProtected: vm?.isProtected ?? false,
        isAutostart: vm?.autostart ?? false,
        isManaged: vm?.managed ?? false,
      };
    },
    startPaused: machines.startPaused,
    stop: machines.stop,
    async refresh(vmId) {
      await known.refresh(vmId);
    },
    tool: async () => ({ hyperd: VERSION, libvirt: await libvirt.node.libVersion() }),
  };
  return services;
}
