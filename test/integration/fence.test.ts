/** The second fence on a real libvirtd with a real polkitd: people with virsh, and hyperd's calls in a project's name. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { LIBVIRT_ACTIONS } from '#features/fence/libvirt-actions.ts';
import { definitionPath, type FenceHost, RULES, startFenceHost, USERS, UUIDS } from '#test/support/fence-host.ts';
import { missingForPolkit } from '#test/support/libvirtd.ts';

const skip = missingForPolkit() ?? false;

type Person = 'ada' | 'opal' | 'pia' | 'nobody';
const PEOPLE: readonly Person[] = ['ada', 'opal', 'pia', 'nobody'];

interface Command {
  readonly argv: readonly string[];
  readonly state?: readonly [domain: string, state: 'on' | 'off'];
  /** Who gets it done. */
  readonly may: readonly Person[];
  /** What those see. */
  readonly sees?: Partial<Record<Person, RegExp>>;
}

const ALL: readonly Person[] = ['ada', 'opal', 'pia'];
const COMMANDS: readonly Command[] = [
  {
    argv: ['list', '--all', '--name'],
    may: ALL,
    sees: { ada: /p3-web\np4-web/, opal: /p3-web\np4-web/, pia: /^p3-web\s*$/ },
  },
  { argv: ['-r', 'list', '--all', '--name'], may: ALL, sees: { ada: /p4-web/, pia: /^p3-web\s*$/ } },
  { argv: ['nodeinfo'], may: ALL },
  { argv: ['dumpxml', 'p3-web'], may: ALL },
  { argv: ['dumpxml', 'p4-web'], may: ['ada', 'opal'] },
  { argv: ['dumpxml', '--security-info', 'p3-web'], may: [] },
  // Its NIC is filtered: who could plug it into its filter could unplug those of others. pia starts it through hyperd.
  { argv: ['start', 'p3-web'], state: ['p3-web', 'off'], may: ['ada'] },
  { argv: ['reset', 'p3-web'], state: ['p3-web', 'on'], may: ['ada', 'pia'] },
  { argv: ['screenshot', 'p3-web', '/dev/null'], state: ['p3-web', 'on'], may: ['ada', 'pia'] },
  { argv: ['suspend', 'p3-web'], state: ['p3-web', 'on'], may: ['ada', 'pia'] },
  { argv: ['destroy', 'p3-web'], state: ['p3-web', 'on'], may: ['ada', 'pia'] },
  { argv: ['start', 'p4-web'], state: ['p4-web', 'off'], may: ['ada'] },
  { argv: ['destroy', 'p4-web'], state: ['p4-web', 'on'], may: ['ada'] },
  { argv: ['define', definitionPath('p3-web')], may: [] },
  { argv: ['setmem', 'p3-web', '32M', '--config'], may: [] },
  { argv: ['qemu-monitor-command', 'p3-web', '--hmp', 'info version'], state: ['p3-web', 'on'], may: [] },
  { argv: ['undefine', 'p4-web'], state: ['p4-web', 'off'], may: [] },
  { argv: ['net-list', '--all', '--name'], may: ['ada', 'opal'] },
];

describe('people with virsh on a host with a second fence', { skip }, () => {
  let host: FenceHost;
  before(async () => {
    host = await startFenceHost();
  });
  after(() => host?.close());

  const answer = async (who: Person, { argv, state, sees }: Command) => {
    if (state) await host.put(...state);
    const { code, text } = await host.virsh(who, ...argv);
    const seen = sees?.[who];
    if (code === 0 && seen) assert.match(text.trim(), seen, `${who}: ${argv.join(' ')}`);
    return { isDone: code === 0, text };
  };

  test(`${PEOPLE.length} users and ${COMMANDS.length} commands answer as the roles say`, async (t) => {
    let count = 0;
    for (const command of COMMANDS) {
      for (const who of PEOPLE) {
        const { isDone, text } = await answer(who, command);
        assert.equal(isDone, command.may.includes(who), `${who}: ${command.argv.join(' ')}: ${text}`);
        count += 1;
      }
    }
    assert.equal(count, 72);
    t.diagnostic(`count: ${count} answers of virsh as the roles say`);
  });

  test('what is refused is refused by the rules, not for another reason', async () => {
    const { text } = await host.virsh('pia', 'define', definitionPath('p3-web'));
    assert.match(text, /access denied/);
    assert.match((await host.virsh('pia', 'start', 'p4-web')).text, /failed to get domain/);
    assert.match((await host.virsh('nobody', 'list')).text, /access denied by policy/);
    assert.match((await host.virsh('lib', 'list')).text, /access denied by policy/);
  });

  test('with a syntax error in the rules everybody is refused, nobody too', async (t) => {
    await host.libvirtd.writeRules({ '50-hyper-nixos.rules': `${RULES['50-hyper-nixos.rules']}\n}` });
    try {
      let count = 0;
      for (const command of COMMANDS) {
        for (const who of PEOPLE) {
          const { isDone, text } = await answer(who, command);
          assert.ok(!isDone, `${who}: ${command.argv.join(' ')}: ${text}`);
          count += 1;
        }
      }
      t.diagnostic(`count: ${count} answers of virsh refused with a broken rule file`);
    } finally {
      await host.libvirtd.writeRules(RULES);
    }
    assert.equal((await host.virsh('opal', 'list')).code, 0);
  });

  test("the table of libvirt's permissions is that of the libvirt that is installed", {
    skip: !policyOf() && 'no policy file',
  }, () => {
    const known = [...(policyOf() ?? '').matchAll(/<action id="org\.libvirt\.api\.([^"]+)">/g)].map(
      (match) => match[1] ?? '',
    );
    assert.deepEqual([...known].sort(), [...LIBVIRT_ACTIONS].sort());
  });
});

describe("hyperd's calls in a project's name", { skip }, () => {
  let host: FenceHost;
  before(async () => {
    host = await startFenceHost();
  });
  after(() => host?.close());

  const own = UUIDS['p3-web'];
  const other = UUIDS['p4-web'];
  const brief = (answers: Awaited<ReturnType<FenceHost['client']>>) =>
    answers.map(({ verb, ok, code }) => `${verb} ${ok ? 'done' : code}`);

  for (const caller of ['root', 'hyper'] as const) {
    test(`as ${caller}: own VM runs, another project's does not, nothing is defined`, {
      skip: caller === 'hyper' && unreadable(),
    }, async () => {
      await host.put('p3-web', 'off');
      await host.put('p4-web', 'off');
      const answers = await host.client(caller, {
        project: 3,
        calls: [
          ['create', own],
          ['reset', own],
          ['suspend', own],
          ['resume', own],
          ['screenshot', own],
          ['mayOpenScreen', own],
          ['openConsole', own],
          ['shutdown', own],
          ['destroy', own],
          ['create', other],
          ['mayOpenScreen', other],
          ['screenshot', other],
          ['create', own],
        ],
      });
      assert.deepEqual(answers[0]?.result, { kind: 'account', account: 'hv-p3' });
      assert.deepEqual(brief(answers.slice(1)), [
        'create done',
        'reset done',
        'suspend done',
        'resume done',
        'screenshot done',
        'mayOpenScreen done',
        'openConsole done',
        'shutdown done',
        'destroy done',
        'create libvirt_forbidden',
        'mayOpenScreen libvirt_forbidden',
        'screenshot libvirt_forbidden',
        'create done',
      ]);
      assert.equal(await host.isOn('p4-web'), false);
      assert.equal(await host.isOn('p3-web'), true);
    });
  }

  test('the identity itself may neither define nor see what is not its project’s', async () => {
    const identity = { userName: 'hv-p3', userId: USERS['hv-p3'].uid, groupName: 'hv-p3', groupId: USERS['hv-p3'].uid };
    const answers = await host.client('root', {
      project: null,
      identity,
      calls: [
        ['list', ''],
        ['define', definitionPath('p3-web')],
        ['state', other],
      ],
    });
    assert.deepEqual(answers[0]?.result, ['p3-web']);
    assert.deepEqual(brief(answers.slice(1)), ['define libvirt_forbidden', 'state libvirt_forbidden']);
  });

  test('a project without a user on the host runs plainly and says why', async () => {
    await host.put('p4-web', 'off');
    const answers = await host.client('root', { project: 9, calls: [['create', other]] });
    assert.deepEqual(answers[0]?.result, { kind: 'none', reason: 'no_account' });
    assert.deepEqual(brief(answers.slice(1)), ['create done']);
    const standard = await host.client('root', { project: 0, calls: [['destroy', other]] });
    assert.deepEqual(standard[0]?.result, { kind: 'none', reason: 'default_project' });
  });

  test('polkitd that is killed refuses or comes back, and opens nothing', async () => {
    execFileSync(...hostCommand(host, ['pkill', '-x', 'polkitd']));
    const { code } = await host.virsh('nobody', '-r', 'list', '--all');
    assert.notEqual(code, 0);
    const { code: define } = await host.virsh('pia', 'define', definitionPath('p3-web'));
    assert.notEqual(define, 0);
  });
});

describe('the sockets of a host with a second fence', { skip }, () => {
  test('they refuse who is not in the group before polkit is asked, even without any rules', async () => {
    const host = await startFenceHost({ rules: {}, socketGroup: 'hyper-libvirt' });
    try {
      for (const args of [['list'], ['-r', 'list']])
        assert.match((await host.virsh('nobody', ...args)).text, /Permission denied/);
      const inGroup = await host.as('nobody', ['virsh', '-r', '-c', 'qemu:///system', 'list', '--all'], {
        isInDoor: true,
      });
      assert.equal(inGroup.code, 0, "without rules libvirt's own default lets everybody read");
      await host.libvirtd.writeRules(RULES);
      const refused = await host.as('nobody', ['virsh', '-r', '-c', 'qemu:///system', 'list', '--all'], {
        isInDoor: true,
      });
      assert.match(refused.text, /access denied by policy/);
    } finally {
      await host.close();
    }
  });
});

function policyOf(): string | null {
  try {
    return readFileSync('/usr/share/polkit-1/actions/org.libvirt.api.policy', 'utf8');
  } catch {
    return null; // elsewhere, as on NixOS
  }
}

/** Another user must be able to read the program to run it. */
function unreadable(): string | false {
  try {
    execFileSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'test', '-r', import.meta.filename]);
    execFileSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, '--version']);
    return false;
  } catch {
    return 'the program lies in a folder that other users cannot read';
  }
}

function hostCommand(host: FenceHost, argv: readonly string[]): [string, string[]] {
  const [program, ...args] = host.libvirtd.inside(argv);
  return [program, args];
}
