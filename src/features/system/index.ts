/** System: what runs here, the first page in one answer, and the demonstration guest.
 *  Tables: none. Events: none of its own. Permissions: host.read, vm.create. Guide: docs/guides/preflight.md */

import { join } from 'node:path';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import { vmCreateSchema } from '#contract/vms.ts';
import { audit } from '#features/audit/index.ts';
import { exports } from '#features/exports/index.ts';
import { health } from '#features/health/index.ts';
import { hosts } from '#features/hosts/index.ts';
import { images } from '#features/images/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { quotas } from '#features/quotas/index.ts';
import { vms } from '#features/vms/index.ts';
import { defineFeature, type FeatureContext, inNameOf } from '#platform/feature.ts';
import { buildHelloDisk } from '#platform/hello-disk/index.ts';
import { VERSION } from '#platform/version.ts';
import { type DemoParts, demoOperation } from './demo.ts';
import { createSystemRoutes } from './routes.ts';

export const system = defineFeature<Record<string, never>>({
  name: 'system',
  needs: [
    'operations',
    'inventory',
    'health',
    'hosts',
    'images',
    'vms',
    'projects',
    'quotas',
    'audit',
    'metrics',
    'exports',
  ],
  setup(context) {
    const { address, calendar, clock, libvirt, startedAt } = context;
    const journal = context.use(operations);
    const known = context.use(inventory);
    const checks = context.use(health);
    const demo = journal.register(demoOperation(demoParts(context)));
    return {
      api: {},
      handlers: createSystemRoutes({
        host: context.use(hosts).local,
        vms: known.vms,
        trash: context.use(vms).trash,
        leap() {
          const leap = calendar.leap();
          return leap === null ? null : { byMs: leap.byMs, leftMs: leap.untilMs - clock.monotonicMs() };
        },
        ownerlessFiles: context.use(vms).ownerlessFiles,
        quotaRepairs: () =>
          context
            .use(quotas)
            .repairs()
            .map((repair) => ({
              ...repair,
              project: context.use(projects).get(repair.project)?.name ?? repair.project,
            })),
        operations: journal,
        metricsProblems: () => [...context.use(metrics).problems(), ...context.use(exports).problems()],
        auditProblems: context.use(audit).problems,
        preflight: checks.last,
        facts: () => ({ version: VERSION, pid: process.pid, startedAt, libvirtUri: libvirt.uri, ...address() }),
        isCurrent: () => known.staleSince === null,
        startDemo: (request) =>
          journal.start(demo, {}, { ...request, project: DEFAULT_PROJECT, action: 'POST /system/demo' }),
        clock,
      }),
    };
  },
});

function demoParts(context: FeatureContext): DemoParts {
  const { config } = context;
  const journal = context.use(operations);
  const known = context.use(inventory);
  const library = context.use(images);
  const machines = context.use(vms);
  const cacheDir = join(config.state.scratch, 'guest-parts');
  return {
    scratch: config.state.scratch,
    buildDisk: (options) => buildHelloDisk({ ...options, cacheDir }),
    hasVm: (name) => known.vm(name) !== null,
    imageId: (name) => library.find(name, DEFAULT_PROJECT, ({ project }) => project === DEFAULT_PROJECT)?.id ?? null,
    async addImage(path, name) {
      await library.addBuilt({ name, kind: 'disk', path, format: 'qcow2', source: 'built', defaultUser: null });
    },
    accelProven: context.use(health).accelProven,
    createVm: (input, { actor, key }) =>
      machines.create({
        body: vmCreateSchema.parse(input),
        identity: inNameOf(actor),
        project: DEFAULT_PROJECT,
        requestId: `req-${key}`,
        idempotencyKey: key,
        requestHash: key,
        // The right to make a VM was asked for; what this one is made of belongs to the system.
        may: () => true,
      }),
    waitFor: journal.waitFor,
  };
}
