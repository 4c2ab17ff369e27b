/** Two tenants on one host: the projects `shop` and `lab`, each with an administrator of its own who signs in over the network. */

import { join } from 'node:path';
import { type ApiClient, createApiClient } from '#contract/client.ts';
import type { Project } from '#contract/projects.ts';
import { QUOTA_RESOURCES } from '#contract/quota-facts.ts';
import { type BrowserSession, signInByLink } from './browser-session.ts';
import type { TestDaemon } from './daemon.ts';
import type { PrivateLibvirtd } from './libvirtd.ts';
import { startRelay } from './relay.ts';

export interface Tenant {
  readonly project: Project;
  readonly user: string;
  readonly session: BrowserSession;
  /** The API as the project's administrator. */
  readonly api: ApiClient;
}

export interface Tenants extends AsyncDisposable {
  readonly shop: Tenant;
  readonly lab: Tenant;
  /** Signs another user in. */
  signIn(user: string): Promise<{ session: BrowserSession; api: ApiClient }>;
}

const clientOf = (session: BrowserSession): ApiClient =>
  createApiClient(async ({ method, path, body }) => {
    const answer = await session.call(
      method,
      path.slice('/api/v1'.length),
      body === null ? undefined : JSON.parse(body),
    );
    return { status: answer.status, body: JSON.stringify(answer.json) };
  });

/** @param networks of libvirt: one for both, one for each; the first pool is for both */
export async function twoTenants(
  daemon: TestDaemon,
  libvirtd: PrivateLibvirtd,
  networks: { readonly both: string; readonly shop: string; readonly lab: string },
): Promise<Tenants> {
  const socketPath = join(libvirtd.dir, 'https.sock');
  const relay = await startRelay({
    enter: libvirtd.enter,
    socketPath,
    port: Number(new URL(daemon.origin).port),
  });
  const signIn: Tenants['signIn'] = async (user) => {
    const session = await signInByLink(daemon, user, socketPath);
    return { session, api: clientOf(session) };
  };
  const make = async (name: 'shop' | 'lab', user: string): Promise<Tenant> => {
    const { admin } = daemon;
    const { id } = await admin('POST /projects', { body: { name } });
    const project = await admin('PATCH /projects/{id}', {
      params: { id },
      body: {
        resources: [
          { type: 'network', id: networks.both },
          { type: 'network', id: networks[name] },
          { type: 'pool', id: 'hyper' },
        ],
      },
    });
    const limits = Object.fromEntries(QUOTA_RESOURCES.map((resource) => [resource, null]));
    await admin('PATCH /projects/{id}/quotas', { params: { id }, body: { limits } });
    await admin('POST /users', { body: { name: user } });
    await admin('POST /grants', { body: { user, role: 'project-admin', scope: `project:${id}` } });
    return { project, user, ...(await signIn(user)) };
  };
  return {
    shop: await make('shop', 'alice'),
    lab: await make('lab', 'bob'),
    signIn,
    async [Symbol.asyncDispose]() {
      await relay.close();
    },
  };
}
