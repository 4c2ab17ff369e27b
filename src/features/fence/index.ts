/** The second fence: rules of the host that bind people with virsh, and hyperd's own calls, to roles and projects.
 *  Tables: none. Events: none. Permissions: host.read. The rule files are made here and installed by `hv system access-setup`.
 *  Guide: docs/guides/second-fence.md */

import { userInfo } from 'node:os';
import type { Doctor, ProjectFence } from '#contract/fence.ts';
import { health } from '#features/health/index.ts';
import { projects } from '#features/projects/index.ts';
import { mapLimit } from '#kernel/async.ts';
import { messageOf } from '#kernel/errors.ts';
import type { FenceGap } from '#libvirt/index.ts';
import { defineFeature } from '#platform/feature.ts';

export { generatedDenyRules, generatedRules } from './generated-rules.ts';

const PARALLEL = 4;

const WHY: Readonly<Record<FenceGap, string>> = {
  default_project: 'the names of its VMs carry no prefix that rules could go by',
  remote_host: 'its host is not this machine',
  no_account: 'the host has no such user: `hv system access-setup --projects N`',
  no_access_driver: 'libvirt asks nobody about calls: `hv system access-setup`',
};

const BADNESS = { ok: 0, warn: 1, unknown: 2, fail: 3 } as const;

export const fence = defineFeature<Record<string, never>>({
  name: 'fence',
  needs: ['projects', 'health'],
  setup(context) {
    const registry = context.use(projects);
    const checks = context.use(health);
    const { libvirt, log } = context;

    const fenceOf = async ({ number, name }: { number: number; name: string }): Promise<ProjectFence> => {
      try {
        const found = await libvirt.secondFence(number);
        return found.kind === 'account'
          ? { number, name, account: found.account, why: null }
          : { number, name, account: null, why: WHY[found.reason] };
      } catch (error) {
        log.warn({ project: number, reason: messageOf(error) }, 'the second fence of a project could not be tried');
        return { number, name, account: null, why: `it could not be tried: ${messageOf(error)}` };
      }
    };

    return {
      api: {},
      handlers: {
        async 'GET /doctor'({ signal }): Promise<Doctor> {
          const [found, rows] = await Promise.all([
            checks.runGroup('fence', signal),
            mapLimit(
              registry.all().toSorted((a, b) => a.number - b.number),
              PARALLEL,
              fenceOf,
            ),
          ]);
          const hasGap = rows.some(({ number, account }) => number > 0 && account === null);
          const statuses = [...found.map(({ status }) => status), hasGap ? 'warn' : 'ok'] as const;
          return {
            status: statuses.reduce((worst, status) => (BADNESS[status] > BADNESS[worst] ? status : worst)),
            user: userInfo().username,
            projects: rows,
            checks: [...found],
          };
        },
      },
    };
  },
});
