/** The page for the day on which the host is gone, run from top to bottom: what it says is what a person types then. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MIB } from '#kernel/units.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { hvOn } from '../support/hv.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { missingForSshd, type Sshd, startSshd } from '../support/sshd.ts';

const skip = missingForLibvirtd() ?? missingForSshd() ?? false;
const WAIT_MS = 120_000;

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
  let sshd: Sshd;
  let host: string;

  before(async () => {
    libvirtd = await startPrivateLibvirtd();
    folder = await mkdtemp(join(libvirtd.dir, 'disaster-'));
    sshd = await startSshd({ enter: libvirtd.enter });
    await writeFile(join(folder, 'id_ed25519'), sshd.privateKey, { mode: 0o600 });
    daemon = await startDaemon({ libvirtd, stateDir: join(folder, 'lost') });
  });
  after(async () => {
    await daemon?.close();
    await sshd?.close();
    await libvirtd?.close();
  });

  /** As at a terminal, where the question for the host's name is answered. */
  const type = async (command: string): Promise<string> => {
    const words = command
      .replace('sftp://backup@nas/srv/copies', `sftp://${sshd.user}@127.0.0.1:${sshd.port}${join(folder, 'offsite')}`)
      .replace('id_ed25519', join(folder, 'id_ed25519'))
      .replace('SHA256:…', sshd.hostKey)
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
      const said = await type(command);
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
    host = (await daemon.admin('GET /system/status')).host;
    await until('all is copied', async () => {
      const { state, points, states } = await daemon.admin('GET /repositories/{id}/copy', {
        params: { id: 'offsite' },
      });
      return state === 'current' && points === 1 && states === 1;
    });

    await loseMachine('lost');
    await comeBack('After', 'new');
    assert.equal((await daemon.admin('GET /users/{id}', { params: { id: 'eva' } })).id, id);
    const definitions = await readFile(join(folder, 'new/restored-definitions', await definitionOf('web1')), 'utf8');
    assert.match(definitions, /<name>web1<\/name>/);
  });

  test('brings it back from the copy when the repository is gone too', async () => {
    await loseMachine('new');
    await rm(join(folder, 'shelf'), { recursive: true, maxRetries: 20, retryDelay: 100 });
    await comeBack('From a copy', 'third');
    assert.ok((await daemon.admin('GET /users', { query: {} })).items.some(({ name }) => name === 'eva'));
  });

  const loseMachine = async (stateDir: string) => {
    await daemon.stop();
    await libvirtd.virsh('undefine', 'web1', '--checkpoints-metadata', '--nvram');
    await rm(join(folder, stateDir), { recursive: true, maxRetries: 20, retryDelay: 100 });
  };
  /** On a machine without anything, by what a part of the page says. */
  const comeBack = async (heading: string, stateDir: string) => {
    daemon = await startDaemon({ libvirtd, stateDir: join(folder, stateDir) });
    const commands = await commandsOf(heading);
    assert.ok(commands.length >= 5, heading);
    for (const command of commands) {
      // hyperd reads repositories and copies by itself.
      if (command === 'hv backup list')
        await until('the restore point is listed', async () => (await daemon.admin('GET /restore-points')).total === 1);
      await type(command);
    }
    const [vm] = (await daemon.admin('GET /vms')).items;
    assert.deepEqual([vm?.name, vm?.state], ['web1', 'running']);
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: vm?.id ?? '' } }));
  };
  const until = async (what: string, isSo: () => Promise<boolean>) => {
    const endMs = performance.now() + WAIT_MS;
    while (!(await isSo())) {
      assert.ok(performance.now() < endMs, what);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  const definitionOf = async (name: string): Promise<string> => {
    const names = await readdir(join(folder, 'new/restored-definitions'));
    return names.find((each) => each.startsWith(`vm-${name}-`)) ?? assert.fail(names.join());
  };
});
