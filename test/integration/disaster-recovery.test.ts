/** The page for the day on which the host is gone, run from top to bottom: what it says is what a person types then. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MIB } from '#kernel/units.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { hvOn } from '../support/hv.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

/** The commands of a part of the page, in their order. */
async function commandsOf(heading: string): Promise<string[]> {
  const page = await readFile('docs/guides/disaster-recovery.md', 'utf8');
  const part = page.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? '';
  return [...part.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.trim().split('\n'));
}

describe('the page on disaster recovery', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let folder: string;
  let daemon: TestDaemon;

  before(async () => {
    libvirtd = await startPrivateLibvirtd();
    folder = await mkdtemp(join(libvirtd.dir, 'disaster-'));
    daemon = await startDaemon({ libvirtd, stateDir: join(folder, 'lost') });
  });
  after(async () => {
    await daemon?.close();
    await libvirtd?.close();
  });

  /** As at a terminal, where the question for the host's name is answered. */
  const type = async (command: string, host: string): Promise<string> => {
    const words = command
      .replace('/mnt/backup/shelf', join(folder, 'shelf'))
      .replace('recovery-key.txt', join(folder, 'recovery-key.txt'))
      .split(' ')
      .slice(1);
    const consent = words[1] === 'restore' && words[0] === 'system' && !words.includes('--plan');
    const { code, stdout, stderr } = await hvOn(daemon, [...words, ...(consent ? ['--yes', '--name', host] : [])]);
    assert.equal(code, 0, `${command}\n${stdout}${stderr}`);
    return stdout;
  };

  test('brings a host that is gone back, with its VM', async () => {
    const { id } = await daemon.admin('POST /users', { body: { name: 'eva' } });
    for (const command of await commandsOf('Before')) {
      const said = await type(command, '');
      if (command === 'hv system recovery-key') await writeFile(join(folder, 'recovery-key.txt'), said);
      if (!command.startsWith('hv repo create')) continue;
      const body = {
        ...{ name: 'web1', memoryBytes: 128 * MIB, vcpus: 1, accel: 'tcg' as const, graphics: false, start: false },
        ...{ firmware: 'bios' as const, nics: [], disks: [{ sizeBytes: 8 * MIB }] },
      };
      await daemon.finish(await daemon.admin('POST /vms', { body }));
    }
    // Made after the state: only reading the repository finds it.
    const backUp = { params: { id: 'web1' }, body: { repository: 'shelf' } };
    await daemon.finish(await daemon.admin('POST /vms/{id}/backup', backUp));
    const { host } = await daemon.admin('GET /system/status');

    await daemon.stop();
    await libvirtd.virsh('undefine', 'web1', '--checkpoints-metadata', '--nvram');
    await rm(join(folder, 'lost'), { recursive: true, maxRetries: 20, retryDelay: 100 });
    daemon = await startDaemon({ libvirtd, stateDir: join(folder, 'new') });

    for (const command of await commandsOf('After')) {
      if (command === 'hv backup list') await pointIsListed();
      await type(command, host);
    }
    assert.equal((await daemon.admin('GET /users/{id}', { params: { id: 'eva' } })).id, id);
    const [vm] = (await daemon.admin('GET /vms')).items;
    assert.equal(vm?.name, 'web1');
    assert.equal(vm?.state, 'running');
    const definitions = await readFile(join(folder, 'new/restored-definitions', await definitionOf('web1')), 'utf8');
    assert.match(definitions, /<name>web1<\/name>/);
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: vm?.id ?? '' } }));
  });

  /** hyperd reads the repository by itself. */
  const pointIsListed = async () => {
    const endMs = performance.now() + 60_000;
    for (;;) {
      const operations = (await daemon.admin('GET /operations', { query: {} })).items;
      const scan = operations.find(({ kind }) => kind === 'repository.scan');
      if (scan) {
        await daemon.finish(scan);
        return;
      }
      assert.ok(performance.now() < endMs, 'the repository is not read');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  const definitionOf = async (name: string): Promise<string> => {
    const names = await readdir(join(folder, 'new/restored-definitions'));
    return names.find((each) => each.startsWith(`vm-${name}-`)) ?? assert.fail(names.join());
  };
});
