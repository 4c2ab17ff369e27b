import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { applianceParts, GUEST_CACHE, helloDisk } from '../support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const MIB = 2 ** 20;

/** Commands of the docs that cannot run here, with the reason; everything else runs. */
const NOT_RUN: readonly (readonly [RegExp, string])[] = [
  [/^\.\/hv (up|down|test)\b/, 'the launcher has its own tests'],
  [/^hv image catalogue (download|check)/, 'needs the internet'],
  [/…/, 'holds a placeholder'],
  [/^hv vm serial \w+$/, 'needs a terminal; the serial tests use one'],
  [/^hv (login|logout|--host)\b/, 'needs another machine; the tests of sign-in use one'],
  [/^hv channel test /, 'sends to a service outside'],
  [
    /^hv (system (restore|backup|backups|recovery-key)\b|backup restore .* --from )/,
    'disaster-recovery.test.ts runs that page from top to bottom',
  ],
  [/^hv completion .*\|/, 'changes the shell that reads it'],
  [/^hv completion .*>/, 'writes to a folder of the system'],
];

/** Without a terminal a deletion must name its object twice. */
const withConsent = (command: string): string => {
  const target =
    /^hv (?:vm delete|trash purge|image delete|channel remove|repo forget|(?:user|group|role|project) delete) (\S+)$/.exec(
      command,
    )?.[1];
  return target ? `${command} --yes --name ${target}` : command;
};

interface Documented {
  readonly file: string;
  readonly command: string;
}

async function documentedCommands(): Promise<Documented[]> {
  const found: Documented[] = [];
  for await (const file of glob(['README.md', 'CONTRIBUTING.md', 'docs/guides/*.md', 'src/libvirt/README.md'])) {
    const text = await readFile(file, 'utf8');
    for (const [, block = ''] of text.matchAll(/```sh\n([\s\S]*?)```/g)) {
      for (const line of block.split('\n')) {
        const command = line.replace(/\s+#.*$/, '').trim();
        if (/^(\.\/)?hv /.test(command))
          found.push({ file, command: command.replace(/^\.\/hv (?!up|down|test)/, 'hv ') });
      }
    }
  }
  return found;
}

const missing = missingForLibvirtd();
let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;
let folder: string;

before(async () => {
  if (missing) return;
  libvirtd = await startPrivateLibvirtd();
  const hello = await helloDisk();
  const stateDir = join(libvirtd.dir, 'state');
  // The network namespace has no way to the package mirror: the guest's parts are brought along.
  await applianceParts();
  await cp(join(GUEST_CACHE, 'packages'), join(stateDir, 'scratch', 'guest-parts'), { recursive: true });
  daemon = await startDaemon({ libvirtd, stateDir });
  folder = await mkdtemp(join(tmpdir(), 'hv-docs-'));
  await mkdir(join(folder, 'bin'));
  await mkdir(join(folder, '.ssh'));
  await writeFile(join(folder, 'slack-url'), 'https://hooks.slack.com/services/T0/B0/none');
  const node = process.execPath;
  await writeFile(
    join(folder, 'bin', 'hv'),
    `#!/bin/sh\nexec ${node} ${join(process.cwd(), 'src/cli/main.ts')} "$@"\n`,
  );
  await chmod(join(folder, 'bin', 'hv'), 0o755);
  const run = promisify(execFile);
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, '.ssh', 'id_ed25519')]);
  await run('xorriso', ['-as', 'mkisofs', '-quiet', '-o', join(folder, 'nixos-minimal.iso'), join(folder, 'bin')]);
  const imported = { path: hello, name: 'debian-13-cloud' };
  await daemon.finish(await daemon.admin('POST /images/import', { body: imported }));
  await daemon.finish(
    await daemon.admin('POST /images/import', { body: { path: join(folder, 'nixos-minimal.iso'), name: 'debian-13' } }),
  );
});

after(async () => {
  if (missing) return;
  await daemon.close();
  await libvirtd.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const names = async (): Promise<string[]> => (await daemon.admin('GET /vms')).items.map((vm) => vm.name);

/** Removes a VM wholly, so that a documented command can make it. */
async function forget(name: string): Promise<void> {
  const vm = (await daemon.admin('GET /vms')).items.find((item) => item.name === name);
  if (vm?.isProtected)
    await daemon.finish(await daemon.admin('PATCH /vms/{id}', { params: { id: vm.id }, body: { isProtected: false } }));
  if (vm && vm.state !== 'off')
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: vm.id } }));
  if (vm) await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: vm.id } }));
  for (const item of (await daemon.admin('GET /trash')).items.filter((trashed) => trashed.name === name)) {
    await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: item.id } }));
  }
}

/** The people and projects that a command of the docs names. */
async function prepareAccess(command: string): Promise<void> {
  const { admin } = daemon;
  const words = command.split(' ');
  const [, noun = '', verb = '', name = ''] = words;
  const nameOf = (item: { name: string }) => item.name;
  const [users, groups, roles, projects] = [
    (await admin('GET /users')).items.map(nameOf),
    (await admin('GET /groups')).items.map(nameOf),
    (await admin('GET /roles')).items.map(nameOf),
    (await admin('GET /projects')).items.map(nameOf),
  ];
  const known: Readonly<Record<string, readonly string[]>> = {
    user: users,
    group: groups,
    role: roles,
    project: projects,
  };
  const at = { params: { id: name } };
  if (verb === 'create' && known[noun]?.includes(name)) {
    if (noun === 'user') await admin('DELETE /users/{id}', at);
    if (noun === 'group') await admin('DELETE /groups/{id}', at);
    if (noun === 'role') await admin('DELETE /roles/{id}', at);
    if (noun === 'project') {
      for (const vm of (await admin('GET /vms', { query: { project: name } })).items) await forget(vm.name);
      await admin('DELETE /projects/{id}', at);
    }
  }
  const wants = (what: string) => words.includes(what) && !(verb === 'create' && name === what);
  if (wants('shop') && !projects.includes('shop')) await admin('POST /projects', { body: { name: 'shop' } });
  if (wants('shop')) {
    const limits = { vms: 9, vcpus: 20, memory: 2 ** 36, disk: 2 ** 40 };
    await admin('PATCH /projects/{id}/quotas', { params: { id: 'shop' }, body: { limits } });
    const image = await admin('GET /images/{id}', { params: { id: 'debian-13-cloud' } });
    if (!image.isShared) await admin('PATCH /images/{id}', { params: { id: image.id }, body: { isShared: true } });
  }
  if (wants('alice') && !users.includes('alice')) await admin('POST /users', { body: { name: 'alice' } });
  if (wants('shop-team') && !groups.includes('shop-team')) await admin('POST /groups', { body: { name: 'shop-team' } });
  if (wants('power-only') && !roles.includes('power-only'))
    await admin('POST /roles', { body: { name: 'power-only', permissions: ['vm.read'] } });
  if (noun === 'grant' && verb === 'create')
    for (const { id, subject, role } of (await admin('GET /grants')).items)
      if (words.includes(subject.name) && words.includes(role)) await admin('DELETE /grants/{id}', { params: { id } });
  if (noun === 'user' && verb === 'rights') {
    const { items } = await admin('GET /grants', { query: { user: 'alice', scope: 'all' } });
    if (items.length === 0) await admin('POST /grants', { body: { user: 'alice', role: 'vm-operator', scope: 'all' } });
  }
}

/** What an auditor has kept: an export, the public key, a copy of the database. */
async function prepareAuditCopies(): Promise<void> {
  const { stdout } = await promisify(execFile)(join(folder, 'bin', 'hv'), ['audit', 'export'], {
    env: { ...process.env, HV_RUNTIME_DIR: daemon.runtimeDir },
    maxBuffer: 64 * MIB,
  });
  await writeFile(join(folder, 'audit.jsonl'), stdout);
  const { key }: { key: string } = JSON.parse(stdout.slice(0, stdout.indexOf('\n')));
  await writeFile(join(folder, 'key-kept-from-before.pem'), key);
  await mkdir(join(folder, 'copy'), { recursive: true });
  for (const name of ['state.db', 'state.db-wal'])
    await cp(join(daemon.stateDir, name), join(folder, 'copy', name), { force: true });
}

/** The world that a command of the docs takes for granted. */
async function prepare(command: string): Promise<void> {
  const [, noun = '', verb = ''] = command.split(' ');
  await prepareAccess(command);
  if (noun === 'audit' && verb === 'verify') return prepareAuditCopies();
  if (noun === 'vm' && verb === 'create') return forget(command.split(' ')[3] ?? '');
  // A VM that was lost comes back under its own name.
  const back = /^hv backup restore (\S+) --as \1$/.exec(command)?.[1];
  if (back !== undefined) {
    if (!(await names()).includes(back)) await makeVm(back);
    await daemon.finish(await daemon.admin('POST /vms/{id}/backup', { params: { id: back }, body: {} }));
    return forget(back);
  }
  if (noun === 'image' && verb === 'upload') {
    const name = 'nixos-minimal';
    const known = (await daemon.admin('GET /images')).items.find((image) => image.name === name);
    if (known) await daemon.finish(await daemon.admin('DELETE /images/{id}', { params: { id: known.id } }));
    return;
  }
  const needsTrash = noun === 'trash' && verb !== 'list';
  for (const name of ['hello', 'web1', 'web2', 'web3', 'desk', 'db1'].filter((vm) => command.split(' ').includes(vm))) {
    if (needsTrash) {
      if ((await daemon.admin('GET /trash')).items.some((item) => item.name === name)) continue;
      await forget(name);
    } else if ((await names()).includes(name)) {
      await setPower(name, verb);
      continue;
    }
    await makeVm(name);
    if (needsTrash) await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: name } }));
    else await setPower(name, verb);
  }
}

async function makeVm(name: string): Promise<void> {
  const body = {
    name,
    vcpus: 1,
    memoryBytes: 256 * MIB,
    firmware: 'bios' as const,
    disks: [{ imageId: 'debian-13-cloud' }],
    start: false,
  };
  await daemon.finish(await daemon.admin('POST /vms', { body }));
}

const NEEDS_OFF = ['start', 'delete', 'rename'];
const NEEDS_RUNNING = ['shutdown', 'stop', 'screenshot', 'key', 'wait', 'reboot', 'reset', 'pause'];

async function setPower(name: string, verb: string): Promise<void> {
  const { state } = await daemon.admin('GET /vms/{id}', { params: { id: name } });
  const at = { params: { id: name } };
  if (NEEDS_OFF.includes(verb) && state !== 'off') await daemon.finish(await daemon.admin('POST /vms/{id}/stop', at));
  if (!NEEDS_RUNNING.includes(verb)) return;
  if (state === 'off') await daemon.finish(await daemon.admin('POST /vms/{id}/start', at));
  if (verb !== 'shutdown') return;
  const deadline = Date.now() + 120_000;
  while ((await daemon.admin('GET /vms/{id}', at)).agent !== 'connected') {
    assert.ok(Date.now() < deadline, `${name} should have its agent within two minutes`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

test('every command in the docs runs', { skip: missing ?? false, timeout: 600_000 }, async (context) => {
  const commands = await documentedCommands();
  assert.ok(commands.length > 30, 'the docs hold commands');
  let ran = 0;
  const done = new Set<string>();
  for (const { file, command } of commands) {
    const reason = NOT_RUN.find(([pattern]) => pattern.test(command))?.[1];
    if (reason || done.has(command)) continue;
    done.add(command);
    await context.test(`${basename(file)}: ${command}`, { timeout: 180_000 }, async () => {
      await prepare(command);
      const line = withConsent(
        command
          .replace('/srv/iso/tool.iso', join(folder, 'nixos-minimal.iso'))
          .replace('./debian-13.qcow2', './nixos-minimal.iso')
          .replace('/mnt/backup', join(libvirtd.dir, 'backup'))
          .replace('/mnt/other/audit.jsonl', join(folder, 'audit.jsonl'))
          .replace('audit show 4711', 'audit show 1'),
      );
      const env = {
        ...process.env,
        PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
        HOME: folder,
        HV_RUNTIME_DIR: daemon.runtimeDir,
      };
      const result = await promisify(execFile)('sh', ['-c', line], { cwd: folder, env, timeout: 170_000 }).then(
        () => ({ code: 0, stderr: '' }),
        (error: { code: number; stderr: string; stdout: string }) => ({
          code: error.code,
          stderr: `${error.stdout}${error.stderr}`,
        }),
      );
      // What a command made runs under emulation and would slow those that follow.
      const made = /^hv vm create (\S+)/.exec(command)?.[1];
      if (made) await forget(made);
      // 7 = finished with warnings, as the preflight of a machine without KVM.
      // Health of a machine that is busy with tests may be bad; then the checks are what is printed, and not why they could not be asked for.
      const isBadHealth = result.code === 1 && command.startsWith('hv health') && !/^hv: /m.test(result.stderr);
      assert.ok(result.code === 0 || result.code === 7 || isBadHealth, `exit ${result.code}: ${result.stderr}`);
    });
    ran += 1;
  }
  context.diagnostic(`count: docs ${ran} of ${new Set(commands.map(({ command }) => command)).size} commands ran`);
  for (const [pattern, reason] of NOT_RUN) {
    const skipped = commands.filter(({ command }) => pattern.test(command)).length;
    if (skipped > 0) context.diagnostic(`not run: ${skipped} commands, ${reason}`);
  }
});
