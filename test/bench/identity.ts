/** What the second fence costs: calls in a project's name beside plain ones, on a libvirtd that asks a polkitd about every call. */

import { fileURLToPath } from 'node:url';
import { startFenceHost, UUIDS } from '#test/support/fence-host.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import type { IdentityFigures } from './identity/worker.ts';

const WORKER = fileURLToPath(new URL('identity/worker.ts', import.meta.url));

/** Takes about half a minute. */
export async function run(): Promise<Measurement[]> {
  await using open = new AsyncDisposableStack();
  const host = open.adopt(await startFenceHost(), (each) => each.close());
  const { code, text } = await host.as('root', [process.execPath, WORKER, UUIDS['p3-web']]);
  if (code !== 0) throw new Error(text);
  const { plain, forwarded, opening }: IdentityFigures = JSON.parse(
    text.split('\n').find((line) => line.startsWith('{')) ?? '',
  );
  const beside = (name: string, ours: number, rival: number): Measurement => ({
    name,
    ours,
    rival,
    ratio: ours / rival,
    bar: '–',
    unit: 'ms',
  });
  return [
    beside('identity forwarding: pause and resume, to the plain calls', forwarded.pause, plain.pause),
    beside('identity forwarding: start and stop, to the plain calls', forwarded.power, plain.power),
    {
      name: 'identity forwarding: first call of a project',
      ours: opening,
      rival: null,
      ratio: null,
      bar: '–',
      unit: 'ms',
    },
  ];
}
