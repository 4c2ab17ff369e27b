/** Runs inside the namespaces, next to libvirtd: the same calls plainly and in a project's name, turn about. Prints medians in milliseconds. */

import { createLibvirtHost, type ProjectDomains } from '#libvirt/index.ts';
import { findAccount } from '#platform/accounts.ts';
import { quantile } from '../libvirt/rounds.ts';

export interface IdentityFigures {
  readonly plain: { readonly pause: number; readonly power: number };
  readonly forwarded: { readonly pause: number; readonly power: number };
  /** The first call of a project: look-up of the user, connection, identity, proof that it binds. */
  readonly opening: number;
}

const [uuid = '', project = '3'] = process.argv.slice(2);
const host = createLibvirtHost({ uri: 'qemu:///system', findAccount });
await host.start();

async function median(rounds: number, work: () => Promise<unknown>): Promise<number> {
  const laps: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now();
    await work();
    laps.push(performance.now() - begin);
  }
  return quantile(laps, 0.5);
}

type Power = Pick<ProjectDomains, 'create' | 'destroy' | 'suspend' | 'resume'>;
const ways: Record<'plain' | 'forwarded', Power> = { plain: host.domains, forwarded: host.asProject(Number(project)) };
const laps = {
  plain: { pause: [] as number[], power: [] as number[] },
  forwarded: { pause: [] as number[], power: [] as number[] },
};

const opening = await median(1, () => host.secondFence(Number(project)));
for (let round = 0; round < 5; round += 1) {
  for (const way of ['plain', 'forwarded'] as const) {
    const domains = ways[way];
    const begin = performance.now();
    await domains.create(uuid);
    const started = performance.now();
    laps[way].pause.push(
      await median(20, async () => {
        await domains.suspend(uuid);
        await domains.resume(uuid);
      }),
    );
    const paused = performance.now();
    await domains.destroy(uuid);
    laps[way].power.push(started - begin + performance.now() - paused);
  }
}
const of = ({ pause, power }: { pause: number[]; power: number[] }) => ({
  pause: quantile(pause, 0.5),
  power: quantile(power, 0.5),
});
const figures: IdentityFigures = { plain: of(laps.plain), forwarded: of(laps.forwarded), opening };
process.stdout.write(`${JSON.stringify(figures)}\n`);
await host.stop();
