/** Records what libvirt's own client says to a real libvirtd and hears from it, one example of each message, into
 *  `src/libvirt/golden.json`. Run by hand when a procedure is added: `node test/support/libvirt-golden/record.ts`.
 *  Needs what `startPrivateLibvirtd` needs, python3-libvirt and qemu-img. */

import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type FrameHeader, FrameSplitter, MESSAGE_TYPES, STATUS } from '#libvirt/frame.ts';
import { P, PROGRAMS } from '#libvirt/table.ts';
import { runChecked } from '#platform/process.ts';
import { startPrivateLibvirtd } from '../libvirtd.ts';

const LONGEST_BYTES = 6_000;

const messages: Record<string, string> = {};
const names = new Map(Object.values(P).map(({ program, number, name }) => [`${PROGRAMS[program]} ${number}`, name]));

function keep(header: FrameHeader, payload: Buffer): void {
  const name = names.get(`${header.program} ${header.procedure}`);
  const isEvent = header.type === MESSAGE_TYPES.event && header.program === PROGRAMS.remote;
  const key =
    (isEvent && `event ${header.procedure}`) ||
    (name && header.type === MESSAGE_TYPES.call && `${name} call`) ||
    (name && header.type === MESSAGE_TYPES.reply && header.status === STATUS.ok && `${name} reply`) ||
    (header.type === MESSAGE_TYPES.reply && header.status === STATUS.error && 'error') ||
    null;
  if (key === null || payload.length > LONGEST_BYTES) return;
  // The longest example says most: empty lists hide the shape of their elements.
  const known = messages[key];
  if (known === undefined || known.length < payload.length * 2) messages[key] = payload.toString('hex');
}

const recorder = () => new FrameSplitter({ onFrame: keep, onStreamData: () => undefined });

await using daemon = Object.assign(await startPrivateLibvirtd(), {
  async [Symbol.asyncDispose](this: { close(): Promise<void> }) {
    await this.close();
  },
});
const proxyPath = join(daemon.dir, 'proxy.sock');
const proxy = createServer((client) => {
  const host = connect(daemon.socketPath);
  const [up, down] = [recorder(), recorder()];
  client.on('data', (chunk: Buffer) => up.push(chunk));
  host.on('data', (chunk: Buffer) => down.push(chunk));
  client.on('error', () => host.destroy());
  host.on('error', () => client.destroy());
  client.pipe(host).pipe(client);
});
await new Promise<void>((resolve) => proxy.listen(proxyPath, resolve));
for (const driver of ['qemu', 'test']) {
  const folder = join(daemon.dir, driver);
  await mkdir(folder);
  for (const disk of ['a', 'b'])
    await runChecked(['qemu-img', 'create', '-f', 'qcow2', join(folder, `${disk}.qcow2`), '8M'], { timeoutMs: 20_000 });
  const uri =
    driver === 'qemu' ? `qemu+unix:///system?socket=${proxyPath}` : `test+unix:///default?socket=${proxyPath}`;
  const script = join(import.meta.dirname, 'exercise.py');
  const { stderr } = await runChecked(['/usr/bin/python3', script, uri, folder, driver], { timeoutMs: 180_000 });
  process.stderr.write(stderr);
}
proxy.close();
const sorted = Object.fromEntries(Object.entries(messages).sort(([a], [b]) => (a < b ? -1 : 1)));
await writeFile(join(import.meta.dirname, '../../../src/libvirt/golden.json'), `${JSON.stringify(sorted, null, 1)}\n`);
const missing = [...names.values()].filter((name) => !(`${name} call` in messages));
process.stdout.write(`${Object.keys(sorted).length} messages; never called: ${missing.join(', ') || 'none'}\n`);
process.exit(0);
