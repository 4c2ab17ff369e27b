/** Our libvirt client as a program, for tests that need it in other namespaces or as another user.
 *  Argument: JSON `{ project, calls: [[verb, uuid], …] }`; prints one JSON line per call and one for the fence. `project: null` = plainly;
 *  `identity` = takes that one first, as an attacker with connect.write would. */

import { readFileSync } from 'node:fs';
import { AppError } from '#kernel/errors.ts';
import { createLibvirtHost, type LibvirtIdentity, type ProjectDomains } from '#libvirt/index.ts';
import { findAccount } from '#platform/accounts.ts';

export interface FenceClientInput {
  readonly project: number | null;
  readonly identity?: LibvirtIdentity;
  readonly calls: readonly (readonly [
    verb: Exclude<keyof ProjectDomains, 'sendKey'> | 'define' | 'list' | 'state',
    argument: string,
  ])[];
  readonly isReadOnly?: boolean;
}
export interface FenceClientAnswer {
  readonly verb: string;
  readonly ok: boolean;
  readonly code: string | null;
  readonly result?: unknown;
}

const input: FenceClientInput = JSON.parse(process.argv[2] ?? '{}');
const print = (answer: unknown) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const host = createLibvirtHost({ uri: 'qemu:///system', findAccount, isReadOnly: input.isReadOnly ?? false });

async function answer(verb: string, work: () => Promise<unknown>): Promise<void> {
  try {
    const result = await work();
    print({ verb, ok: true, code: null, result: verb === 'list' || verb === 'fence' ? result : null });
  } catch (error) {
    print({ verb, ok: false, code: error instanceof AppError ? error.code : String(error) });
  }
}

await host.start();
const { project, identity, calls } = input;
if (project !== null) await answer('fence', () => host.secondFence(project));
for (const [verb, argument] of calls) {
  await answer(verb, async () => {
    if (verb === 'define' || verb === 'list' || verb === 'state') {
      const work = (domains: Pick<typeof host.domains, 'define' | 'list' | 'state'>): Promise<unknown> => {
        if (verb === 'list') return domains.list().then((list) => list.map(({ name }) => name).sort());
        return verb === 'state' ? domains.state(argument) : domains.define(readFileSync(argument, 'utf8'));
      };
      return identity ? host.asIdentity(identity, work) : work(host.domains);
    }
    const domains = host.asProject(project ?? 0);
    return domains[verb](argument);
  });
}
await host.stop();
// A console that a test opened may still be there.
process.exit(0);
