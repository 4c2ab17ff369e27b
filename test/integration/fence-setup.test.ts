/** `hv system access-setup` and the launcher on a machine of their own: mount, network and process namespaces with a copy of /etc. The
 *  whole way: set up, mend a half-made one, run hyperd as hyper, let people in, break the rules, take it back. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, rm, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { helloDisk } from '#test/support/guest.ts';
import { HV, missingForOwnMachine, type OwnMachine, startOwnMachine } from '#test/support/own-machine.ts';

const RECORD = '/etc/hyper-nixos/access-setup.json';

describe('a machine that is set up for the second fence', { skip: missingForOwnMachine() ?? false }, () => {
  let machine: OwnMachine;
  let confBefore: string;

  before(async () => {
    machine = await startOwnMachine();
    await machine.run('useradd', 'olga');
    await machine.run('useradd', 'pia');
    confBefore = readFileSync(inside('etc/libvirt/libvirtd.conf'), 'utf8');
  });
  after(async () => {
    await machine?.close();
  });

  const run = (...argv: readonly string[]) => machine.run(...argv);
  const inside = (path: string) => machine.inside(path);
  const hv = (...args: readonly string[]) => machine.hv(...args);
  const done = (...args: readonly string[]) => machine.done(...args);
  const setUp = (...more: readonly string[]) => done('system', 'access-setup', '--projects', '2', ...more);
  const asUser = (name: string, ...argv: readonly string[]) =>
    run('setpriv', `--reuid=${name}`, `--regid=${name}`, '--init-groups', '--', ...argv);

  test('a plan shows everything and changes nothing', async () => {
    const { stdout } = await setUp('--dry-run', '--json');
    const plan: { plan: { step: string; changes: string[] }[]; changed: boolean } = JSON.parse(stdout);
    assert.equal(plan.changed, false);
    assert.equal(plan.plan.length, 7);
    assert.notEqual((await run('getent', 'passwd', 'hyper')).code, 0);
    assert.ok(!existsSync(inside(RECORD)));
    const unasked = await hv('system', 'access-setup');
    assert.equal(unasked.code, 2, 'without a terminal it has to be said');
    assert.notEqual((await run('getent', 'passwd', 'hyper')).code, 0);
  });

  test('an account of somebody else is not taken over', async () => {
    await run('useradd', '--shell', '/bin/bash', 'hyper');
    const refused = await hv('system', 'access-setup', '--yes');
    assert.equal(refused.code, 5);
    assert.match(refused.text, /not made here: hyper/);
    await run('userdel', 'hyper');
  });

  test('it makes users, groups, rules and settings; doing it again changes nothing', async () => {
    await setUp('--yes');
    assert.match((await run('id', 'hyper')).stdout, /libvirt-qemu|qemu|kvm/);
    assert.match((await run('getent', 'passwd', 'hv-p2')).stdout, /\/nonexistent:.*nologin/);
    assert.notEqual((await run('getent', 'passwd', 'hv-p3')).code, 0);
    const again: { changed: boolean } = JSON.parse((await setUp('--yes', '--json')).stdout);
    assert.equal(again.changed, false);
  });

  test('one that was cut off half-way is mended by running it again', async () => {
    await run('rm', '/etc/polkit-1/rules.d/99-hyper-nixos-deny.rules');
    await run('userdel', 'hv-p2');
    await run('gpasswd', '--delete', 'hyper', 'hyper-operator');
    await writeFile(inside('etc/libvirt/libvirtd.conf'), confBefore);
    await writeFile(inside(RECORD), '{"version": 1, "isComp');
    await setUp('--yes');
    assert.ok(existsSync(inside('etc/polkit-1/rules.d/99-hyper-nixos-deny.rules')));
    assert.match((await run('id', 'hyper')).stdout, /hyper-operator/);
    assert.equal((await run('getent', 'passwd', 'hv-p2')).code, 0);
    assert.match(readFileSync(inside('etc/libvirt/libvirtd.conf'), 'utf8'), /^access_drivers = \[ "polkit" \]$/m);
    assert.match(readFileSync(inside(RECORD), 'utf8'), /"isComplete": true/);
  });

  test('hv up starts hyperd as hyper, without any right of root, and gives its doors to the groups', async () => {
    const { stdout } = await done('up', '--detach', '--no-demo', '--json');
    const { pid }: { pid: number } = JSON.parse(stdout);
    const status = (await run('cat', `/proc/${pid}/status`)).stdout;
    const uid = (await run('id', '-u', 'hyper')).stdout.trim();
    assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'));
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(status, /^CapBnd:\t0+$/m);
    const modes = (await run('stat', '-c', '%a %U:%G', '/run/hyper-nixos/admin.sock', '/run/hyper-nixos/operator.sock'))
      .stdout;
    assert.equal(modes, '660 hyper:hyper-admin\n660 hyper:hyper-operator\n');
  });

  test('hv doctor says that the fence stands, and which project is behind it', async () => {
    const ran = await done('doctor', '--json');
    const doctor: { user: string; projects: { account: string | null }[]; checks: { status: string }[] } = JSON.parse(
      ran.stdout,
    );
    assert.equal(doctor.user, 'hyper');
    assert.deepEqual(
      doctor.checks.map(({ status }) => status),
      ['ok', 'ok', 'ok'],
    );
    assert.deepEqual(
      doctor.projects.map(({ account }) => account),
      [null],
    );
  });

  const api = (method: string, path: string, body: unknown) => machine.api(method, path, body);
  const finish = (operation: { id?: string }) => machine.finish(operation);

  test('a VM of a project lives its whole life under a hyperd that is not root', async () => {
    await copyFile(await helloDisk(), inside('var/lib/hyper-nixos/hello.qcow2'));
    await api('POST', '/projects', { name: 'shop', resources: [{ type: 'pool', id: 'hyper' }] });
    const limits = { vms: 2, vcpus: 4, memory: 2 ** 31, disk: 2 ** 34, images: 2 ** 31 };
    await api('PATCH', '/projects/shop/quotas', { limits });
    await finish(
      await api('POST', '/images/import', {
        project: 'shop',
        path: '/var/lib/hyper-nixos/hello.qcow2',
        name: 'hello',
      }),
    );
    await rm(inside('var/lib/hyper-nixos/hello.qcow2'));
    const spec = {
      project: 'shop',
      firmware: 'uefi',
      accel: 'tcg',
      memoryBytes: 268_435_456,
      vcpus: 1,
      disks: [{ imageId: 'hello' }],
      nics: [],
    };
    await finish(await api('POST', '/vms', { ...spec, name: 'web' }));
    assert.match((await run('virsh', 'list', '--name')).stdout, /p1-web/);
    const png = await run(HV, 'vm', 'screenshot', 'web', '--out', '/run/web.png');
    assert.equal(png.code, 0, png.text);
    for (let turn = 0; turn < 60; turn += 1) {
      const log = await done('vm', 'serial', 'web', '--log');
      if (log.stdout.length > 100) break;
      assert.ok(turn < 59, 'the guest says something on its serial port');
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    for (const verb of ['reset', 'stop', 'start', 'stop']) await done('vm', verb, 'web');
    await done('vm', 'edit', 'web', '--memory', '300MiB');
    await done('vm', 'delete', 'web', '--yes', '--name', 'web');
    await done('trash', 'restore', 'web');
    await done('vm', 'start', 'web');
    const doctor = JSON.parse((await done('doctor', '--json')).stdout);
    assert.deepEqual(doctor.projects[1], { number: 1, name: 'shop', account: 'hv-p1', why: null });
  });

  test('a project beyond the users has none, which is a warning', async () => {
    await api('POST', '/projects', { name: 'second' });
    await api('POST', '/projects', { name: 'third' });
    const { code, stdout } = await hv('doctor');
    assert.equal(code, 7);
    assert.match(stdout, /project second: second fence: hv-p2/);
    assert.match(stdout, /project third: second fence: none \(the host has no such user/);
  });

  test('people are let in by role and put out again', async () => {
    const list = (name: string) => asUser(name, 'virsh', '-q', '-c', 'qemu:///system', 'list', '--all', '--name');
    assert.match((await list('olga')).text, /Permission denied/);
    await done('system', 'fence', 'add', 'olga', '--as', 'operator');
    await done('system', 'fence', 'add', 'pia', '--as', 'p2');
    assert.match((await list('olga')).stdout, /p1-web/);
    assert.equal((await list('pia')).stdout.trim(), '');
    assert.equal((await list('pia')).code, 0);
    const people = JSON.parse((await done('system', 'fence', 'list', '--json')).stdout);
    assert.deepEqual(people, [
      { user: 'olga', as: 'operator', isInDoor: true },
      { user: 'pia', as: 'p2', isInDoor: true },
    ]);
    assert.equal((await asUser('olga', HV, 'vm', 'list')).code, 0, 'and into hyperd as operator');
    await done('system', 'fence', 'remove', 'olga', '--as', 'operator');
    assert.notEqual((await list('olga')).code, 0);
    assert.equal((await hv('system', 'fence', 'add', 'olga', '--as', 'p77')).code, 4);
    assert.equal((await hv('system', 'fence', 'add', 'nosuch', '--as', 'operator')).code, 4);
    assert.equal((await hv('system', 'fence', 'add', 'olga', '--as', 'root')).code, 2);
  });

  test('rules that are gone and sockets that are open make the doctor red, and setting up again mends the rules', async () => {
    await run('rm', '/etc/polkit-1/rules.d/99-hyper-nixos-deny.rules');
    // hyper keeps what it needs, and everybody gets libvirt's own default: what a careless hand could write.
    const careless = 'polkit.addRule(function (a, s) { if (s.user === "hyper") return polkit.Result.YES; });';
    await writeFile(inside('etc/polkit-1/rules.d/50-hyper-nixos.rules'), careless);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const red = await hv('doctor');
    assert.equal(red.code, 1);
    assert.match(red.stdout, /fail.*Nobody is refused/);
    await setUp('--yes');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.equal((await hv('doctor')).code, 7);
    await run('chmod', '777', '/run/libvirt/libvirt-sock-ro');
    assert.match((await hv('doctor')).stdout, /fail.*sockets/);
    await run('chmod', '770', '/run/libvirt/libvirt-sock-ro');
  });

  test('taken back, all is as before, and hyperd runs as root again', async () => {
    assert.equal((await hv('system', 'access-setup', '--undo', '--yes')).code, 5, 'not while hyperd runs');
    await done('vm', 'stop', 'web');
    await done('down');
    await done('system', 'access-setup', '--undo', '--yes');
    assert.equal(readFileSync(inside('etc/libvirt/libvirtd.conf'), 'utf8'), confBefore);
    assert.ok(!existsSync(inside(RECORD)));
    assert.ok(!existsSync(inside('etc/polkit-1/rules.d/50-hyper-nixos.rules')));
    assert.ok(!existsSync(inside('etc/libvirt/libvirtd.conf.before-hyper-nixos')));
    for (const name of ['hyper', 'hv-p1', 'hv-p2'])
      assert.notEqual((await run('getent', 'passwd', name)).code, 0, name);
    for (const name of ['hyper-libvirt', 'hyper-admin', 'hyper-operator', 'hv-p1'])
      assert.notEqual((await run('getent', 'group', name)).code, 0, name);
    const { stdout } = await run('find', '/var/lib/hyper-nixos', '-nouser');
    assert.equal(stdout, '');
    await done('up', '--detach', '--no-demo', '--json');
    assert.equal(JSON.parse((await hv('doctor', '--json')).stdout).user, 'root');
    await done('vm', 'start', 'web');
    await done('down');
  });
});
