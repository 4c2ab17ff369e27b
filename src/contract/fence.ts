/** The second fence: users and groups of the host that polkit's rules go by, and what `hv doctor` tells of it. */

import { z } from 'zod';
import { checkStatusSchema } from './common.ts';
import { defineRoutes } from './define.ts';
import { checkSchema } from './system.ts';

/** The user that hyperd runs as once `hv system access-setup` was run. */
export const HYPER_USER = 'hyper';

/** Groups of people on the host. Who is in `door` may knock at libvirt's sockets; what is opened to him the other groups say. */
export const HOST_GROUPS = { door: 'hyper-libvirt', admin: 'hyper-admin', operator: 'hyper-operator' } as const;

/** How many projects get a user of the host, unless said otherwise. */
export const DEFAULT_PROJECT_ACCOUNTS = 64;
export const MAX_PROJECT_ACCOUNTS = 500;

/** The user, and the group of people, of project `number` on the host. */
export const projectAccount = (number: number): string => `hv-p${number}`;

/** Written by `hv system access-setup`; readable for everybody, holds no secrets. */
export const ACCESS_RECORD = '/etc/hyper-nixos/access-setup.json';

export const RULE_FILES = {
  rules: { name: '50-hyper-nixos.rules', source: 'host/polkit/50-hyper-nixos.rules' },
  deny: { name: '99-hyper-nixos-deny.rules', source: 'host/polkit/99-hyper-nixos-deny.rules' },
} as const;

export const projectFenceSchema = z.object({
  number: z.int().describe('k of the project: its domains are named p<k>-NAME in libvirt; 0 = the default project'),
  name: z.string(),
  account: z.string().nullable().describe('the user that libvirt judges the calls by, as hv-p3; null = none'),
  why: z.string().nullable().describe('why there is none'),
});
export type ProjectFence = z.infer<typeof projectFenceSchema>;

export const doctorSchema = z.object({
  status: checkStatusSchema.describe('the worst of all checks; a project without a second fence makes it warn'),
  user: z.string().describe('that hyperd runs as'),
  projects: z.array(projectFenceSchema),
  checks: z.array(checkSchema),
});
export type Doctor = z.infer<typeof doctorSchema>;

export const fenceRoutes = defineRoutes({
  'GET /doctor': {
    summary: 'Whether the second fence stands: tried now, and per project',
    permission: 'host.read',
    response: doctorSchema,
  },
});
