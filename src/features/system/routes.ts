/** The routes of the system slice. */

import type { Operation } from '#contract/operations.ts';
import { FINAL_STATES } from '#contract/operations.ts';
import type { Host, Preflight } from '#contract/system.ts';
import type { TrashItem, Vm } from '#contract/vms.ts';
import type { OperationsApi } from '#features/operations/index.ts';
import { vmObject } from '#features/vms/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { type ApiRequest, type Handlers, SYSTEM } from '#platform/feature.ts';
import { DEMO_KIND } from './demo.ts';
import { type OverviewInput, overviewOf, runningCount } from './overview.ts';

export interface SystemRoutesOptions {
  host(): Host;
  vms(): readonly Vm[];
  trash(): readonly TrashItem[];
  leap: () => OverviewInput['leap'];
  ownerlessFiles: () => OverviewInput['ownerlessFiles'];
  quotaRepairs: () => OverviewInput['quotaRepairs'];
  readonly operations: OperationsApi;
  metricsProblems: () => OverviewInput['metrics'];
  auditProblems(): Promise<OverviewInput['audit']>;
  preflight(): Preflight | null;
  facts(): {
    readonly version: string;
    readonly pid: number;
    readonly startedAt: Date;
    readonly libvirtUri: string;
    readonly origin: string;
    readonly fingerprint: string;
  };
  /** Whether what is known of VMs is what libvirt knows. */
  isCurrent(): boolean;
  startDemo(request: ApiRequest<'POST /system/demo'>): Promise<Operation>;
  readonly clock: Clock;
}

/** More than the page shows, so that a failure is not hidden by a burst of small things. */
const LOOKED_AT_OPERATIONS = 100;

/** A daemon that has just started needs a moment to see what libvirt has. */
const SETTLE_MS = 20_000;
const SETTLE_STEP_MS = 100;

export function createSystemRoutes(options: SystemRoutesOptions): Handlers {
  const {
    host,
    vms,
    trash,
    ownerlessFiles,
    quotaRepairs,
    leap,
    operations,
    metricsProblems,
    auditProblems,
    preflight,
    facts,
    isCurrent,
    startDemo,
    clock,
  } = options;

  const waitUntilCurrent = async (signal: AbortSignal): Promise<void> => {
    const endMs = clock.monotonicMs() + SETTLE_MS;
    while (!isCurrent()) {
      if (clock.monotonicMs() > endMs) {
        throw new AppError('unavailable', {
          detail: 'libvirt does not answer, so it is not known whether this machine has VMs.',
        });
      }
      await clock.sleep(SETTLE_STEP_MS, signal);
    }
  };

  const openDemo = async (): Promise<Operation | null> => {
    const newest = await operations.newest(LOOKED_AT_OPERATIONS);
    return newest.find(({ kind, state }) => kind === DEMO_KIND && !FINAL_STATES.includes(state)) ?? null;
  };

  return {
    'GET /system/status'() {
      const { version, pid, startedAt, libvirtUri, origin, fingerprint } = facts();
      const { name, accel, state, since } = host();
      const known = vms();
      return {
        version,
        pid,
        startedAt: startedAt.toISOString(),
        accel,
        host: name,
        libvirt: { state, since, uri: libvirtUri },
        vms: { total: known.length, running: runningCount(known) },
        operations: operations.counts(),
        address: origin,
        certificateFingerprint: fingerprint,
      };
    },
    'GET /system/overview': async ({ may, reach }) => {
      const isHostSeen = may('host.read', SYSTEM);
      return overviewOf({
        host: isHostSeen ? host() : null,
        vms: vms().filter((vm) => may('vm.read', vmObject(vm))),
        trash: isHostSeen ? trash() : [],
        ownerlessFiles: isHostSeen ? ownerlessFiles() : [],
        quotaRepairs: isHostSeen ? quotaRepairs() : [],
        leap: isHostSeen ? leap() : null,
        metrics: isHostSeen ? metricsProblems() : [],
        audit: may('audit.read', SYSTEM) ? await auditProblems() : [],
        operations: await operations.newest(LOOKED_AT_OPERATIONS, reach('operation.read')),
        preflight: isHostSeen ? preflight() : null,
        now: clock.now(),
      });
    },
    async 'POST /system/demo'(request) {
      await waitUntilCurrent(request.signal);
      // Asked again while it works: the same one, whatever of it is there already.
      const open = await openDemo();
      if (open !== null) return open;
      if (vms().length > 0) return null;
      return startDemo(request);
    },
  };
}
