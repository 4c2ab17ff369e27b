/** Users, groups, roles, grants, tokens and projects as the command line manages them: the real program against a real daemon. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type RunResult, runHv } from '#cli/fake-daemon.ts';
import { MIB } from '#kernel/units.ts';
import { run } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '#test/support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd();
  daemon = await startDaemon({ libvirtd });
});
after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

const hv = (...args: string[]): Promise<RunResult> => runHv(daemon.runtimeDir, args);

/** The result of a command that has to succeed. */
async function resultOf(...args: string[]) {
  const { code, stdout, stderr } = await hv(...args, '--json');
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

/** Exit code and words of a command that has to fail. */
async function refusalOf(...args: string[]): Promise<string> {
  const { code, stderr } = await hv(...args);
  assert.notEqual(code, 0, args.join(' '));
  return `${code} ${stderr}`;
}

/** The status that the API answers to a token. */
async function statusWith(token: string, path: string, method = 'GET'): Promise<number> {
  const ca = join(daemon.stateDir, 'ca', 'ca.pem');
  const args = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', ca, '-X', method];
  const header = `Authorization: Bearer ${token}`;
  const { stdout } = await run(libvirtd.enter(['curl', ...args, '-H', header, `${daemon.origin}/api/v1${path}`]), {
    timeoutMs: 20_000,
  });
  return Number(stdout);
}

async function makeVm(name: string, project: string): Promise<string> {
  const body = {
    name,
    project,
    vcpus: 1,
    memoryBytes: 64 * MIB,
    firmware: 'bios' as const,
    disks: [{ sizeBytes: MIB }],
    start: false,
  };
  return (await daemon.finish(await daemon.admin('POST /vms', { body }))).objectId ?? '';
}

test('a user gets rights through a project, a group and a VM, and each is explained', { skip }, async () => {
  // The first VM brings the pool that disks go to.
  await makeVm('db1', 'default');
  const project = await resultOf('project', 'create', 'shop', '--title', 'Web shop');
  await resultOf('quota', 'set', 'shop', '--vms', '5', '--vcpus', '5', '--memory', '1GiB', '--disk', '1GiB');
  const kinds = project.resources.map(({ type }: { type: string }) => type).sort();
  assert.deepEqual(kinds, ['network', 'pool'], 'what is usual is given unless said otherwise');
  assert.deepEqual((await resultOf('project', 'create', 'lab', '--bare')).resources, []);
  const pool = (await resultOf('pool', 'list'))[0].name;
  assert.equal((await resultOf('project', 'edit', 'lab', '--pool', pool)).resources.length, 1);
  assert.equal((await resultOf('project', 'edit', 'lab', '--drop-pool', pool)).resources.length, 0);
  await makeVm('web1', 'shop');
  await makeVm('web2', 'shop');

  const alice = await resultOf('user', 'create', 'alice', '--title', 'Alice Arbor', '--idle-minutes', '30');
  assert.deepEqual([alice.state, alice.idleMinutes, alice.roles], ['active', 30, []]);
  const may = async (permission: string, ...on: string[]) => {
    const { code, stdout } = await hv('user', 'rights', 'alice', '--can', permission, ...on);
    return `${code} ${stdout.trim()}`;
  };
  assert.equal(await may('vm.power', '--on', 'web1'), '3 alice may not: no grant gives vm.power on web1');

  await resultOf('grant', 'create', '--user', 'alice', '--role', 'vm-operator', '--vm', 'web1');
  assert.equal(
    await may('vm.power', '--on', 'web1'),
    '0 alice may vm.power on web1 because alice is vm-operator on VM web1',
  );
  assert.match(await may('vm.power', '--on', 'web2'), /^3 /);

  await resultOf('group', 'create', 'shop-team');
  await resultOf('grant', 'create', '--group', 'shop-team', '--role', 'project-admin', '--project', 'shop');
  const group = await resultOf('group', 'add-member', 'shop-team', 'alice', 'operator');
  assert.deepEqual(group.members.map(({ name }: { name: string }) => name).sort(), ['alice', 'operator']);
  assert.equal(
    await may('vm.delete', '--on', 'web2'),
    '0 alice may vm.delete on web2 because the group shop-team is project-admin on project shop',
  );
  assert.match(await may('vm.delete', '--on', 'db1'), /^3 /);
  assert.match(await may('project.manage', '--project', 'shop'), /^3 /);

  const { stdout } = await hv('user', 'rights', 'alice');
  assert.match(stdout, /vm\.power +VM web1 +vm-operator/);
  assert.match(stdout, /vm\.delete +project shop +group shop-team is project-admin/);
  const shown = await resultOf('project', 'show', 'shop');
  assert.deepEqual(
    [shown.grants.length, shown.vms.map(({ name }: { name: string }) => name).sort()],
    [1, ['web1', 'web2']],
  );

  await resultOf('group', 'remove-member', 'shop-team', 'alice');
  assert.match(await may('vm.delete', '--on', 'web2'), /^3 /);
  await resultOf('grant', 'delete', '--user', 'alice', '--role', 'vm-operator', '--vm', 'web1');
  assert.match(await may('vm.power', '--on', 'web1'), /^3 /);
  assert.match(await refusalOf('grant', 'delete', '--user', 'alice', '--role', 'vm-operator', '--vm', 'web1'), /^4 /);
});

test('a role of one’s own takes hold at once when it is edited, and stays while it is granted', { skip }, async () => {
  const role = await resultOf('role', 'create', 'power-only', '--permission', 'vm.read,vm.power');
  assert.deepEqual(role.permissions, ['vm.read', 'vm.power']);
  const grant = await resultOf('grant', 'create', '--user', 'alice', '--role', 'power-only', '--all');
  const can = async () => (await hv('user', 'rights', 'alice', '--can', 'vm.screen')).code;
  assert.equal(await can(), 3);
  await resultOf('role', 'edit', 'power-only', '--add', 'vm.screen');
  assert.equal(await can(), 0);
  const gone = ['role', 'delete', 'power-only', '--yes', '--name', 'power-only'];
  assert.match(await refusalOf(...gone), /^5 .*still granted/s);
  await resultOf('grant', 'delete', grant.id);
  await resultOf(...gone);
  assert.match(await refusalOf('role', 'edit', 'admin', '--add', 'vm.read'), /^5 .*built in/s);
  assert.match(await refusalOf('role', 'create', 'x', '--permission', 'vm.pwoer'), /^2 .*did you mean "vm\.power"/s);
});

test('a token may what it names as far as its owner may it now, and its secret is shown once', { skip }, async () => {
  assert.match(
    await refusalOf('token', 'create', 'nightly', '--permission', 'vm.read'),
    /^2 .*a token belongs to a user.*--user NAME/s,
  );
  await resultOf('grant', 'create', '--user', 'alice', '--role', 'vm-operator', '--project', 'shop');
  const { code, stdout, stderr } = await hv(
    ...['token', 'create', 'nightly', '--user', 'alice', '--permission', 'vm.read,vm.power', '--project', 'shop'],
  );
  assert.equal(code, 0, stderr);
  const secret = stdout.trim();
  assert.match(secret, /^hyp_tok-[0-9a-z]+_[\w-]{20,}$/, 'stdout holds the secret and nothing else');
  assert.ok(!stderr.includes(secret));
  const list = await hv('token', 'list', '--json');
  assert.ok(!list.stdout.includes(secret.split('_').at(-1) ?? ''));

  assert.equal(await statusWith(secret, '/vms/web1'), 200);
  assert.equal(await statusWith(secret, '/vms/db1'), 404, 'beyond its scope');
  assert.equal(await statusWith(secret, '/tokens'), 403, 'a token sees no tokens');
  await resultOf('user', 'disable', 'alice');
  assert.equal(await statusWith(secret, '/vms/web1'), 401);
  await resultOf('user', 'enable', 'alice');
  assert.equal(await statusWith(secret, '/vms/web1'), 200);
  await resultOf('token', 'revoke', 'nightly');
  assert.equal(await statusWith(secret, '/vms/web1'), 401);
  assert.match(await refusalOf('token', 'revoke', 'nightly'), /^4 .*no token "nightly"/s);
});

test('refusals say what to do: wrong names, two places, nothing to change, a project that is not empty', {
  skip,
}, async () => {
  assert.match(await refusalOf('user', 'show', 'alcie'), /^4 .*no user "alcie"; did you mean "alice"\?/s);
  assert.match(
    await refusalOf('grant', 'create', '--user', 'alice', '--role', 'vm-operatr', '--all'),
    /^4 .*did you mean "vm-operator"/s,
  );
  assert.match(
    await refusalOf('grant', 'create', '--user', 'alice', '--role', 'operator', '--all', '--project', 'shop'),
    /^2 .*more than one place/s,
  );
  assert.match(
    await refusalOf('grant', 'create', '--user', 'alice', '--role', 'operator'),
    /^2 .*where the role holds/s,
  );
  assert.match(await refusalOf('user', 'edit', 'alice'), /^2 .*nothing to change/s);
  assert.match(await refusalOf('user', 'delete', 'alice'), /^2 .*--yes --name alice/s);
  assert.match(await refusalOf('project', 'delete', 'shop', '--yes', '--name', 'shop'), /^5 .*2 VMs/s);
  assert.match(await refusalOf('project', 'edit', 'lab', '--network', 'nowhere'), /^4 .*no network "nowhere"/s);
  const grants = await resultOf('grant', 'list', '--user', 'admin');
  assert.match(await refusalOf('grant', 'delete', grants[0].id), /^5 .*nobody who can manage access/s);
  await resultOf('project', 'delete', 'lab', '--yes', '--name', 'lab');
  await resultOf('user', 'delete', 'alice', '--yes', '--name', 'alice');
  assert.deepEqual(
    await resultOf('grant', 'list', '--project', 'shop'),
    await resultOf('grant', 'list', '--group', 'shop-team'),
  );
});

test('completion offers users, roles, permissions and projects', { skip }, async () => {
  const words = async (...typed: string[]) => (await hv('completion', 'words', '--', ...typed)).stdout.split('\n');
  assert.ok((await words('user', 'show', 'op')).includes('operator'));
  assert.ok((await words('grant', 'create', '--role', 'vm-')).includes('vm-operator'));
  assert.ok((await words('role', 'create', 'x', '--permission', 'vm.p')).includes('vm.power'));
  assert.ok((await words('project', 'show', 'sh')).includes('shop'));
});

test('a session is listed and ended by name', { skip }, async () => {
  const sessions = await resultOf('session', 'list');
  assert.deepEqual(sessions, []);
  assert.match(await refusalOf('session', 'end', 'ses-none'), /^4 /);
});
