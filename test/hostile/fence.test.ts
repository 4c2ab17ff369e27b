/** Rows E11 and E12 of the hostile inputs: a rule file that polkitd cannot read, and a user with `connect.write`. Real polkitd and libvirtd. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { definitionPath, type FenceHost, RULES, startFenceHost, UUIDS } from '#test/support/fence-host.ts';
import { missingForPolkit } from '#test/support/libvirtd.ts';

const skip = missingForPolkit() ?? false;
const BROKEN = `${RULES['50-hyper-nixos.rules']}\npolkit.addRule(function (`;

describe('rules that polkitd cannot read', { skip }, () => {
  let host: FenceHost;
  before(async () => {
    host = await startFenceHost();
  });
  after(() => host?.close());

  test('E11 a syntax error: nobody is refused all the same, and so are the people', async () => {
    await host.libvirtd.writeRules({ ...RULES, '50-hyper-nixos.rules': BROKEN });
    for (const user of ['nobody', 'mallory', 'opal', 'pia', 'ada'] as const) {
      for (const args of [
        ['list', '--all'],
        ['-r', 'list', '--all'],
        ['-r', 'dumpxml', 'p3-web'],
      ]) {
        const { code, text } = await host.virsh(user, ...args);
        assert.notEqual(code, 0, `${user} ${args.join(' ')}`);
        assert.match(text, /access denied by policy/);
      }
    }
  });

  test('E11 without the file that refuses the rest, the same error opens the host: this is why it is there', async () => {
    await host.libvirtd.writeRules({ '50-hyper-nixos.rules': BROKEN, '99-hyper-nixos-deny.rules': '' });
    const { code, text } = await host.virsh('nobody', '-r', 'list', '--all', '--name');
    assert.equal(code, 0);
    assert.match(text, /p3-web/);
  });

  test('E11 a rule that throws refuses', async () => {
    const throws =
      'polkit.addRule(function (action) { if (action.id.indexOf("org.libvirt.") === 0) throw new Error("x"); });\n';
    await host.libvirtd.writeRules({ ...RULES, '00-throws.rules': throws });
    assert.notEqual((await host.virsh('nobody', '-r', 'list')).code, 0);
    assert.notEqual((await host.virsh('ada', '-r', 'list')).code, 0);
    await host.libvirtd.writeRules({ '00-throws.rules': '' });
  });
});

describe('connect.write', { skip }, () => {
  let host: FenceHost;
  before(async () => {
    host = await startFenceHost();
  });
  after(() => host?.close());

  const asRoot = { userName: 'root', userId: 0, groupName: 'root', groupId: 0 };
  const attack = {
    project: null,
    identity: asRoot,
    calls: [
      ['list', ''],
      ['define', definitionPath('p3-web')],
      ['state', UUIDS['p4-web']],
    ],
  } as const;

  test('E12 whoever holds it becomes root in libvirt: he lists, reads and defines everything', async () => {
    const mallorys = `polkit.addRule(function (action, subject) {
      if (subject.user !== "mallory") return polkit.Result.NOT_HANDLED;
      return /unix\\.manage$|connect\\.(getattr|write|search-[a-z-]*)$/.test(action.id) ? polkit.Result.YES : polkit.Result.NO;
    });`;
    await host.libvirtd.writeRules({ '10-mallory.rules': mallorys });
    assert.notEqual((await host.virsh('mallory', 'define', definitionPath('p3-web'))).code, 0);
    const answers = await host.client('mallory', attack);
    assert.deepEqual(
      answers.map(({ ok }) => ok),
      [true, true, true],
    );
    await host.libvirtd.writeRules({ '10-mallory.rules': '' });
  });

  test('E12 nobody but hyper has it: every attempt to become root, hyper or another project is refused', async (t) => {
    let count = 0;
    for (const user of ['ada', 'opal', 'pia', 'hv-p3'] as const) {
      for (const [userName, userId] of [
        ['root', 0],
        ['hyper', 5001],
        ['hv-p4', 5104],
      ] as const) {
        const identity = { userName, userId, groupName: userName, groupId: userId };
        const answers = await host.client(user, { ...attack, identity });
        for (const { verb, ok, code } of answers) {
          assert.equal(ok, false, `${user} as ${userName}: ${verb}`);
          assert.equal(code, 'libvirt_forbidden');
          count += 1;
        }
      }
    }
    for (const user of ['nobody', 'lib', 'mallory'] as const)
      for (const { ok } of await host.client(user, attack)) assert.equal(ok, false, user);
    t.diagnostic(`count: ${count} calls under a stolen identity refused`);
  });
});
