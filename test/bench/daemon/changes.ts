/** How soon a change that virsh makes is at those who look: at one client, and at 500 of which one never reads. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newUuid } from '#kernel/ids.ts';
import { createLibvirtHost, type LibvirtHost } from '#libvirt/index.ts';
import type { TestDaemon } from '#test/support/daemon.ts';
import type { PrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { tinyGuestXml } from './domains.ts';
import { type EventClient, openLocalEvents, signIn } from './events.ts';
import { quantile } from './figures.ts';

const ROUNDS = 15;
const CLIENTS = 500;
const OF_ONE_USER = 100;
const CLIENT_ROUNDS = 10;
const NAME = 'changing';
const UUID = newUuid();

/** For one client the time begins before virsh is started; for many when libvirt tells a witness, so that it is what hyperd takes. */
export async function measureChanges(daemon: TestDaemon, libvirtd: PrivateLibvirtd): Promise<Measurement[]> {
  const file = join(libvirtd.dir, `${NAME}.xml`);
  await writeFile(file, tinyGuestXml(NAME, { uuid: UUID }));
  await libvirtd.virsh(`define ${file}; start ${NAME}`);
  try {
    const one = await oneClient(daemon, libvirtd, file);
    const many = await manyClients(daemon, libvirtd);
    return [
      row('virsh desc, suspend, resume, define to event: p50', quantile(one, 0.5)),
      row('virsh desc, suspend, resume, define to event: p95', quantile(one, 0.95)),
      row(`libvirt's event to ${CLIENTS} HTTPS clients and a deaf one: p50`, quantile(many, 0.5)),
      row(`libvirt's event to ${CLIENTS} HTTPS clients and a deaf one: p95`, quantile(many, 0.95)),
      row(`libvirt's event to ${CLIENTS} HTTPS clients and a deaf one: slowest`, Math.max(...many)),
    ];
  } finally {
    await libvirtd.virsh(`destroy ${NAME}; undefine ${NAME}`);
  }
}

function row(name: string, ms: number): Measurement {
  return { name, ours: ms, rival: null, ratio: null, bar: name.endsWith('p95') ? '< 300' : '–', unit: 'ms' };
}

async function oneClient(daemon: TestDaemon, libvirtd: PrivateLibvirtd, file: string): Promise<number[]> {
  const client = await openLocalEvents(daemon);
  const samples: number[] = [];
  const measure = async (argv: readonly string[], ...parts: readonly string[]) => {
    const start = performance.now();
    const [at] = await Promise.all([
      client.waitFor('event: vm.changed', `"name":"${NAME}"`, ...parts),
      libvirtd.virsh(...argv),
    ]);
    samples.push(at - start);
  };
  try {
    for (let n = 0; n < ROUNDS; n += 1) {
      await measure(['desc', NAME, '--live', '--config', '--new-desc', `text ${n}`], `"description":"text ${n}"`);
      await measure(['suspend', NAME], '"state":"paused"');
      await measure(['resume', NAME], '"state":"running"');
      await writeFile(file, tinyGuestXml(NAME, { uuid: UUID, title: `title ${n}` }));
      await measure(['define', file], `"next":"title ${n}"`);
    }
  } finally {
    client.close();
  }
  return samples;
}

async function manyClients(daemon: TestDaemon, libvirtd: PrivateLibvirtd): Promise<number[]> {
  const session = await signIn(daemon);
  const closeDeaf = await session.openDeaf();
  const clients: EventClient[] = [];
  for (let n = 0; clients.length < CLIENTS; n += 1) {
    // One user may not have all of them open.
    const name = `watcher-${n}`;
    await daemon.admin('POST /users', { body: { name } });
    await daemon.admin('POST /grants', { body: { user: name, role: 'operator', scope: 'all' } });
    const { open } = await signIn(daemon, name);
    for (let opened = 0; opened < OF_ONE_USER; opened += 20)
      clients.push(...(await Promise.all(Array.from({ length: 20 }, open))));
  }
  const witness = createLibvirtHost({ uri: libvirtd.uri });
  await witness.start(new AbortController().signal);
  const samples: number[] = [];
  try {
    for (let n = 0; n < CLIENT_ROUNDS; n += 1) {
      const told = tellingOf(witness);
      const arrived = Promise.all(clients.map((client) => client.waitFor(`"description":"told ${n}"`)));
      await libvirtd.virsh('desc', NAME, '--live', '--config', '--new-desc', `told ${n}`);
      const start = await told;
      for (const at of await arrived) samples.push(Math.max(0, at - start));
    }
  } finally {
    await witness.stop();
    closeDeaf();
    for (const client of clients) client.close();
  }
  return samples;
}

/** Resolves with the time at which libvirt tells of the next new description. */
function tellingOf(witness: LibvirtHost): Promise<number> {
  return new Promise((resolve) => {
    const stop = witness.onEvent((event) => {
      if (event.type !== 'domain-metadata-changed' || event.domain.name !== NAME) return;
      stop();
      resolve(performance.now());
    });
  });
}
