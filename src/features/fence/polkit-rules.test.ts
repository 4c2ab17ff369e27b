import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import fc from 'fast-check';
import { RULE_FILES } from '#contract/fence.ts';
import { usedAccessActions } from '#libvirt/index.ts';
import { generatedDenyRules, generatedRules, ruleLists } from './generated-rules.ts';
import { LIBVIRT_ACTIONS, NEVER_FOR_PEOPLE } from './libvirt-actions.ts';

interface Subject {
  readonly user: string;
  readonly groups: readonly string[];
}
type Rule = (action: unknown, subject: unknown) => string | undefined;

/** polkitd as far as rules see it: files in the order of their names, one that cannot be read is skipped, the first answer counts. */
function polkitd(files: readonly string[]) {
  const rules: Rule[] = [];
  const Result = { YES: 'yes', NO: 'no', NOT_HANDLED: undefined, AUTH_ADMIN_KEEP: 'auth_admin_keep' };
  const context = createContext({ polkit: { Result, addRule: (rule: Rule) => rules.push(rule) } });
  for (const file of files) {
    try {
      runInContext(file, context);
    } catch (error) {
      assert.equal((error as Error).name, 'SyntaxError');
    }
  }
  return (id: string, { user, groups }: Subject, domain?: string): string => {
    const action = { id, lookup: (key: string) => (key === 'domain_name' ? domain : undefined) };
    const subject = { user, groups, isInGroup: (group: string) => groups.includes(group) };
    for (const rule of rules) {
      const answer = rule(action, subject);
      if (answer !== undefined) return answer;
    }
    return 'not handled';
  };
}

const FILES = [generatedRules(), generatedDenyRules()];
const ask = polkitd(FILES);
const api = (action: string) => `org.libvirt.api.${action}`;

const hyper: Subject = { user: 'hyper', groups: ['hyper', 'hyper-libvirt', 'hyper-admin', 'hyper-operator', 'kvm'] };
const admin: Subject = { user: 'ada', groups: ['ada', 'hyper-libvirt', 'hyper-admin'] };
const operator: Subject = { user: 'opal', groups: ['opal', 'hyper-libvirt', 'hyper-operator'] };
const member: Subject = { user: 'pia', groups: ['pia', 'hyper-libvirt', 'hv-p3'] };
const forwarded: Subject = { user: 'hv-p3', groups: ['hv-p3'] };
const nobody: Subject = { user: 'nobody', groups: ['nogroup'] };

const anyGroup = fc.oneof(
  fc.constantFrom(
    'hyper-admin',
    'hyper-operator',
    'hyper-libvirt',
    'libvirt',
    'kvm',
    'sudo',
    'wheel',
    'hyper',
    'hv-p0',
    'hv-p3',
    'hv-p33',
  ),
  fc.string({ maxLength: 12 }),
);
const anyName = fc.oneof(
  fc.constantFrom(
    'nobody',
    'hv-p3',
    'hv-p33',
    'hv-p03',
    'hyper2',
    'Hyper',
    'hyper ',
    'hyper\n',
    'hyper-admin',
    'root2',
  ),
  fc.string({ maxLength: 12 }).filter((name) => name !== 'hyper'),
);
const anybody: fc.Arbitrary<Subject> = fc.record({ user: anyName, groups: fc.array(anyGroup, { maxLength: 5 }) });
const anyDomain = fc.option(
  fc.oneof(
    fc.constantFrom('p3-web', 'p33-web', 'web', 'p3-', 'P3-web', 'p3-we b', 'p3-web\np4-web'),
    fc.string({ maxLength: 20 }),
  ),
  { nil: undefined },
);

test('E12 nobody but hyper ever gets what is as good as root, whatever his name and groups', () => {
  const forbidden = [
    'connect.write',
    'domain.write',
    'domain.save',
    ...LIBVIRT_ACTIONS.filter((action) => action.endsWith('.read-secure')),
  ];
  assert.ok(forbidden.length >= 5);
  for (const action of forbidden) assert.ok(action in NEVER_FOR_PEOPLE, action);
  fc.assert(
    fc.property(anybody, fc.constantFrom(...Object.keys(NEVER_FOR_PEOPLE)), anyDomain, (who, action, domain) => {
      assert.equal(ask(api(action), who, domain), 'no');
    }),
    { numRuns: 3000 },
  );
  assert.equal(ask(api('connect.write'), hyper), 'yes');
});

test('whoever is in none of our groups is refused everything of libvirt, reads that it gives to everybody too', () => {
  const stranger = fc.record({
    user: fc.string({ maxLength: 12 }).filter((name) => !/^(hyper|hv-p[1-9][0-9]{0,3})$/.test(name)),
    groups: fc.array(
      anyGroup.filter((group) => !/^(hyper-admin|hyper-operator|hv-p[1-9].*)$/.test(group)),
      { maxLength: 5 },
    ),
  });
  const id = fc.oneof(
    fc.constantFrom(...LIBVIRT_ACTIONS.map(api), 'org.libvirt.unix.manage', 'org.libvirt.unix.monitor'),
    fc.string().map((text) => `org.libvirt.${text}`),
  );
  fc.assert(
    fc.property(stranger, id, anyDomain, (who, action, domain) => assert.equal(ask(action, who, domain), 'no')),
  );
});

test('what is not about libvirt is left to the other rules of the machine', () => {
  fc.assert(
    fc.property(
      anybody,
      fc.string().filter((text) => !text.startsWith('org.libvirt.')),
      (who, action) => assert.equal(ask(action, who), 'not handled'),
    ),
  );
});

test('a project sees and runs its own VMs and no others, by its exact prefix', () => {
  for (const who of [member, forwarded]) {
    for (const action of [
      'domain.getattr',
      'domain.start',
      'domain.stop',
      'domain.open-graphics',
      'domain.screenshot',
    ]) {
      assert.equal(ask(api(action), who, 'p3-web'), 'yes', action);
      for (const domain of [
        'p33-web',
        'p4-web',
        'web',
        'p3',
        'p3web',
        'p3-web\n',
        'P3-web',
        'p3-web/../p4-web',
        '',
        undefined,
      ])
        assert.equal(ask(api(action), who, domain), 'no', `${action} of ${domain}`);
    }
    assert.equal(ask(api('network.stop'), who), 'no');
    assert.equal(ask('org.libvirt.unix.manage', who), 'yes');
  }
  assert.equal(ask(api('nwfilter-binding.delete'), member), 'no');
  assert.equal(ask(api('nwfilter-binding.delete'), forwarded), 'yes');
  assert.equal(ask(api('domain.start'), { user: 'x', groups: ['hv-p3', 'hv-p4'] }, 'p4-web'), 'yes');
});

test('an operator reads everything but a list that can stop libvirtd, and changes nothing; an administrator runs everything', () => {
  for (const action of LIBVIRT_ACTIONS) {
    const isRead =
      /\.(getattr|read|search-.*)$/.test(action) &&
      !action.startsWith('secret.') &&
      !['connect.search-secrets', 'connect.search-nwfilters'].includes(action);
    assert.equal(ask(api(action), operator, 'p3-web'), isRead ? 'yes' : 'no', action);
  }
  for (const action of ['domain.start', 'domain.stop', 'network.start', 'storage-pool.refresh'])
    assert.equal(ask(api(action), admin, 'anything at all'), 'yes', action);
  assert.equal(ask(api('connect.search-nwfilters'), admin), 'no');
});

test('hyper gets exactly what the calls of the libvirt client need, and every one of them exists', () => {
  const allowed = LIBVIRT_ACTIONS.filter((action) => ask(api(action), hyper, 'p3-web') === 'yes');
  // He is in the groups of people too, for the doors of hyperd.
  const own = new Set([...usedAccessActions(), ...ruleLists().admin]);
  assert.deepEqual(allowed.toSorted(), [...own].toSorted());
  for (const list of Object.values(ruleLists()))
    for (const action of list) assert.ok(LIBVIRT_ACTIONS.includes(action), action);
  assert.equal(ask(api('secret.read-secure'), hyper), 'no');
});

test('E11 a syntax error in the file of the rules refuses nobody, and everybody else', () => {
  const broken = polkitd([`${FILES[0]}\n}`, FILES[1] ?? '']);
  for (const who of [nobody, operator, member, admin, hyper])
    for (const action of ['org.libvirt.unix.monitor', 'org.libvirt.unix.manage', ...LIBVIRT_ACTIONS.map(api)])
      assert.equal(broken(action, who, 'p3-web'), 'no', `${who.user} ${action}`);
});

test('the files that are installed are these', () => {
  const installed = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
  assert.equal(installed(RULE_FILES.rules.source), FILES[0]);
  assert.equal(installed(RULE_FILES.deny.source), FILES[1]);
});
