/** The verbs of a project's VMs that go through the second fence: power, screen and console. What they ask for is judged by the host's
 *  access rules under the project's own user, where the host can do that. */

import type { Connection } from '../connection.ts';
import { askForScreen } from '../identity.ts';
import type { ProjectConnections } from '../project-connections.ts';
import type { Caller, CallOptions } from './caller.ts';
import { createDomainApi } from './domain.ts';

type Domains = ReturnType<typeof createDomainApi>;

const VERBS = [
  'create',
  'destroy',
  'shutdown',
  'reboot',
  'reset',
  'suspend',
  'resume',
  'screenshot',
  'openConsole',
  'sendKey',
] as const;

export interface ProjectDomains extends Pick<Domains, (typeof VERBS)[number]> {
  /** Whether the screen may be opened; its bytes then come from QEMU's own socket. Says nothing about it where there is no second fence.
   *  @throws LibvirtError libvirt_forbidden when it may not */
  mayOpenScreen(uuid: string, options?: CallOptions): Promise<void>;
}

export function createProjectApi(project: number, connections: ProjectConnections, plain: Caller): ProjectDomains {
  const call: Caller['call'] = (procedure, args, options) =>
    connections.use(project, (connection) => (connection ?? plain).call(procedure, args, options));
  const caller: Caller = {
    call,
    callForStats: call,
    callForMonitorStats: call,
    callForGuests: call,
    callLong: call,
    async openStream(procedure, args, options = {}) {
      const connection = await connections.open(project, options.signal);
      if (connection === null) return plain.openStream(procedure, args, options);
      return closing(connection, async () => {
        const opened = await connection.openStream(procedure, args, options);
        opened.stream.once('close', () => void connection.close());
        return opened;
      });
    },
  };
  const domains = createDomainApi(caller);
  const plainDomains = createDomainApi(plain);

  /** libvirt asks for `domain.write` when the guest's agent is to do it, which no project may have: there the fence is that the
   *  project's user sees the VM at all. */
  const byAgent = async (uuid: string, options: CallOptions, act: () => Promise<void>) => {
    await domains.state(uuid, options);
    await act();
  };

  return {
    ...pick(domains),
    shutdown: (uuid, options = {}) =>
      options.by === 'agent'
        ? byAgent(uuid, options, () => plainDomains.shutdown(uuid, options))
        : domains.shutdown(uuid, options),
    reboot: (uuid, options = {}) =>
      options.by === 'agent'
        ? byAgent(uuid, options, () => plainDomains.reboot(uuid, options))
        : domains.reboot(uuid, options),
    async mayOpenScreen(uuid, options = {}) {
      const connection = await connections.open(project, options.signal);
      if (connection === null) return;
      try {
        await askForScreen(connection, uuid, options);
      } finally {
        connection.destroy();
      }
    },
  };
}

function pick(domains: Domains): Pick<Domains, (typeof VERBS)[number]> {
  const { create, destroy, shutdown, reboot, reset, suspend, resume, screenshot, openConsole, sendKey } = domains;
  return { create, destroy, shutdown, reboot, reset, suspend, resume, screenshot, openConsole, sendKey };
}

async function closing<Result>(connection: Connection, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    await connection.close();
    throw error;
  }
}
