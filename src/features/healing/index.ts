/** Healing: what hyperd mends by itself, each within a budget, written down, and never against a person.
 *  Tables: heal_mode, heal_case, heal_act, heal_hold, heal_clock, heal_pause. Events in: vm.changed, pool.changed, operation.changed.
 *  Events out: healing.acted, healing.changed. Permissions: vm.read, vm.configure, settings.change. Guide: docs/guides/self-healing.md */

import { join } from 'node:path';
import { type HealingActionId, healingFacts } from '#contract/healing.ts';
import { METRICS, type MetricName } from '#contract/metric-catalogue.ts';
import { images } from '#features/images/index.ts';
import { inventory, qemuProcesses } from '#features/inventory/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { networks } from '#features/networks/index.ts';
import { notifications } from '#features/notifications/index.ts';
import { operations } from '#features/operations/index.ts';
import { vms } from '#features/vms/index.ts';
import { createWaker } from '#kernel/async.ts';
import { messageOf } from '#kernel/errors.ts';
import { mayChangeLinks } from '#platform/capabilities.ts';
import { defineFeature } from '#platform/feature.ts';
import { isLinkOff } from '#platform/link-flags.ts';
import { run as runProgram } from '#platform/process.ts';
import { createServiceUnits } from '#platform/service-units.ts';
import { type AllowedKinds, createHands } from './allowed-work.ts';
import { createDisks } from './disks.ts';
import { findCrashedVms } from './finders/crashed-vms.ts';
import { findFailedServices } from './finders/failed-services.ts';
import { findFullDisks } from './finders/full-disks.ts';
import { findInGuests } from './finders/guests.ts';
import { findIdlePools, isReachable } from './finders/idle-pools.ts';
import { findSilencedNics, silencedDevices } from './finders/silenced-nics.ts';
import { findStarvedVms } from './finders/starved-vms.ts';
import { healingMigrations } from './migrations.ts';
import { createOomWatch } from './oom-watch.ts';
import { createPauseSwitch } from './pause.ts';
import { createPlanner } from './planner.ts';
import { createHealingRoutes } from './routes.ts';
import { createSteadyTime, kernelBoot } from './steady-time.ts';
import { createHealingStore } from './store.ts';
import { diskFree, diskPause, diskReserve } from './work/disks.ts';
import { createEvidence } from './work/evidence.ts';
import { agentSync, guestTrim, monitorEvidence } from './work/guests.ts';
import { nicUp } from './work/nic-up.ts';
import { poolStart } from './work/pool-start.ts';
import { serviceStart } from './work/service-start.ts';

/** Without a word from libvirt everything is looked at this often. */
const ROUND_MS = 5_000;
/** Rounds are at least this far apart, however much changes. */
const REST_MS = 200;
const KEEP_TIME_MS = 60_000;
/** Older figures say nothing of now. */
const YOUNG_MS = 180_000;
const RESUME_DELAYS_MS = [5_000, 30_000, 120_000];

export const healing = defineFeature<null>({
  name: 'healing',
  needs: ['inventory', 'networks', 'vms', 'images', 'operations', 'metrics', 'notifications'],
  migrations: healingMigrations,
  setup({ config, db, libvirt, clock, events, log, space, use }) {
    const known = use(inventory);
    const machines = use(vms);
    const journal = use(operations);
    const figures = use(metrics);
    const time = createSteadyTime({ db, clock, boot: kernelBoot });
    const store = createHealingStore(db);
    const pause = createPauseSwitch({ db, clock, time, bootId: kernelBoot.id });
    const units = createServiceUnits();
    const oom = createOomWatch(time.nowMs, () => time.keptOomKills);
    const { root, disks: disksFolder, images: imagesFolder } = config.state;
    const disks = createDisks({ db, ledger: space, folders: [root, disksFolder, imagesFolder], log });

    const figure = (metric: MetricName, vmId: string | null): number | null => {
      const series = figures
        .seriesOf(metric)
        .find(({ owner }) => (vmId === null ? owner.type === 'host' : owner.type === 'vm' && owner.id === vmId));
      const latest = series === undefined ? null : figures.latest(series.id);
      return latest === null || latest.ageMs > YOUNG_MS ? null : latest.value;
    };

    const evidence = createEvidence({
      folder: join(root, 'evidence'),
      pidOf: async (vmId) => (await qemuProcesses()).get(vmId)?.pid ?? null,
      control: (vmId) => libvirt.domains.controlInfo(vmId),
      now: clock.now,
    });
    const kinds: AllowedKinds = {
      'vm.start': machines.kinds.power.start,
      'vm.resume': machines.kinds.power.resume,
      'healing.disk-pause': journal.register(diskPause(disks)),
      'healing.disk-reserve': journal.register(diskReserve(disks)),
      'healing.disk-free': journal.register(diskFree(disks, [use(images).removeLeftovers, machines.removeLeftovers])),
      'healing.pool-start': journal.register(
        poolStart({
          pools: libvirt.pools,
          async isReachable(poolId) {
            const pool = known.pools().find(({ id }) => id === poolId);
            return pool !== undefined && (await isReachable(pool));
          },
          seen: known.refreshPools,
        }),
      ),
      'healing.nic-up': journal.register(
        nicUp({
          async silencedOf(vmId) {
            const vm = known.vm(vmId);
            return vm === null ? [] : await silencedDevices(vm, isLinkOff);
          },
          renewRules: use(networks).renewFilters,
          run: runProgram,
        }),
      ),
      'healing.service-start': journal.register(
        serviceStart({ units, clock, isListed: (unit) => config.healing.services.includes(unit) }),
      ),
      'healing.agent-sync': journal.register(
        agentSync((vmId, options) => libvirt.agent.command(vmId, '{"execute":"guest-ping"}', options)),
      ),
      'healing.guest-trim': journal.register(guestTrim(libvirt.agent.trim)),
      'healing.monitor-evidence': journal.register(monitorEvidence(evidence)),
    };
    const hands = createHands(journal, kinds);
    const { restartDelaysSeconds, restartsPerHour } = config.healing;
    const perHour = (action: HealingActionId) =>
      action === 'vm-restart' ? restartsPerHour : healingFacts(action).perHour;
    const isOnline = METRICS.ups_state.values.indexOf('online');

    const planner = createPlanner({
      db,
      clock,
      time,
      store,
      hands,
      notices: use(notifications),
      events,
      log,
      perHour,
      oomKills: () => oom.kills,
      pausedBecause() {
        const now = pause.current();
        if (now === null) return null;
        const why = now.reason === '' ? '' : ` (${now.reason})`;
        return `healing is paused until ${now.until} by ${now.by}${why}.`;
      },
      killPoint: config.killPoint,
      finders: [
        findCrashedVms({
          known,
          hands,
          oom,
          delaysMs: restartDelaysSeconds.map((seconds) => seconds * 1000),
          openForMs(vmId) {
            const openedMs = store.case('vm-restart', vmId)?.openedMs ?? null;
            return openedMs === null ? null : time.nowMs() - openedMs;
          },
          wasTried(vmId) {
            const one = store.case('vm-restart', vmId);
            const openedMs = one?.openedMs ?? null;
            return openedMs !== null && (one?.actsMs ?? []).some((atMs) => atMs >= openedMs);
          },
        }),
        findStarvedVms({
          known,
          hands,
          diskErrors: libvirt.domains.diskErrors,
          delaysMs: RESUME_DELAYS_MS,
          log,
        }),
        ...findFullDisks(disks),
        findIdlePools(known, hands),
        findSilencedNics({ known, hands, clock, isLinkOff, mayChangeLinks }),
        findFailedServices({
          units,
          listed: config.healing.services,
          hands,
          clock,
          log,
          isAnyVmBusy: () => known.vms().some(({ operationId }) => operationId !== null) || figures.libvirtJobs() > 0,
        }),
        ...findInGuests({
          known,
          hands,
          figure,
          isOnBattery() {
            const state = figure('ups_state', null);
            return state !== null && state !== isOnline;
          },
          nowMs: time.nowMs,
          wantsTrimSinceMs(vmId) {
            const own = store.vmMode('guest-trim', vmId);
            return own === null || store.effective('guest-trim', vmId) === 'off' ? null : own.sinceMs;
          },
          lastTrimMs: (vmId) => store.lastActMs('guest-trim', vmId),
        }),
      ],
    });

    const endings: (() => void)[] = [];
    let work: Promise<void> = Promise.resolve();
    const { wake, wait } = createWaker(clock);

    const run = async (signal: AbortSignal) => {
      let keptMs = 0;
      while (!signal.aborted) {
        let waitMs: number | null = null;
        try {
          await oom.look();
          if (await pause.tidy()) pauseEnded('its time is over');
          waitMs = await planner.round();
          if (time.nowMs() - keptMs >= KEEP_TIME_MS) {
            await db.transaction((tx) => time.keep(tx, oom.kills));
            keptMs = time.nowMs();
          }
        } catch (error) {
          log.warn({ err: error }, `healing could not look at everything: ${messageOf(error)}`);
        }
        if (signal.aborted) return;
        await wait(Math.max(REST_MS, Math.min(ROUND_MS, waitMs ?? ROUND_MS)), signal);
      }
    };
    const pauseEnded = (why: string) => {
      log.info({}, `healing goes on: ${why}`);
      events.emit('healing.changed', { what: 'pause' });
      wake();
    };
    /** A pool whose folder is there was stopped by somebody; one whose folder went away broke. */
    const poolStopped = async (poolId: string) => {
      const pool = known.pools().find(({ id }) => id === poolId);
      if (!pool?.autostart || !(await isReachable(pool))) return;
      // Only a pool that is seen inactive has a case that could be ended.
      await known.refreshPools();
      if (known.pools().some(({ id, state }) => id === poolId && state === 'inactive'))
        planner.takenOver('pool-start', poolId, `The storage pool ${pool.name} was stopped by somebody.`);
    };

    return {
      api: null,
      handlers: createHealingRoutes({
        db,
        store,
        known,
        nowMs: time.nowMs,
        perHour,
        pause,
        async changed(action) {
          if (action === 'disk-pause' && store.mode(action) !== 'act') await disks.liftAll();
          events.emit('healing.changed', { what: 'mode' });
          wake();
        },
        pauseChanged(now) {
          if (now === null) return pauseEnded('somebody ended the pause');
          log.info({ until: now.until, by: now.by }, 'healing is paused');
          events.emit('healing.changed', { what: 'pause' });
        },
      }),
      async start() {
        await time.load();
        await store.load();
        await pause.load();
        await disks.load();
      },
      async resume(signal) {
        endings.push(
          events.on('operation.changed', planner.heardOf),
          events.on('vm.changed', ({ state }) => {
            if (state === 'crashed' || state === 'paused') wake();
          }),
          events.on('pool.changed', wake),
          libvirt.onEvent((event) => {
            if (event.type !== 'pool-lifecycle' || event.event !== 'stopped') return;
            poolStopped(event.pool.uuid).catch((error: unknown) =>
              log.warn({ err: error }, `why a pool stopped is not known: ${messageOf(error)}`),
            );
          }),
        );
        await planner.resume();
        work = run(signal);
      },
      async stop() {
        for (const end of endings.splice(0)) end();
        await work;
        await planner.settled();
      },
    };
  },
});
