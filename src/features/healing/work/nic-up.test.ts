import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { nicUp } from './nic-up.ts';

/** @param off devices that are off; those that are switched on are taken out */
async function perform(off: Set<string>, { rules = '', ip = 0 }: { rules?: string; ip?: number } = {}) {
  const did: string[] = [];
  const { steps } = nicUp({
    silencedOf: async () => [...off],
    async renewRules() {
      did.push('rules');
      if (rules !== '') throw new Error(rules);
    },
    async run(argv) {
      did.push(argv.join(' '));
      if (ip === 0) off.delete(argv[4] ?? '');
      return { code: ip, stdout: '', stderr: ip === 0 ? '' : 'RTNETLINK answers: Operation not permitted\n' };
    },
  });
  let failure: unknown = null;
  try {
    for (const step of steps({ vmId: 'x', name: 'web1' })) {
      // Nothing else of the context is used.
      const context = { signal: new AbortController().signal } as Parameters<typeof step.act>[0];
      if (!(await step.check?.(context))) await step.act(context);
    }
  } catch (error) {
    failure = error;
  }
  return { did, failure };
}

test('the rules come first, then what is off is switched on, and nothing else', async () => {
  const { did, failure } = await perform(new Set(['vnet1']));
  assert.deepEqual(did, ['rules', 'ip link set dev vnet1 up']);
  assert.equal(failure, null);
  assert.deepEqual((await perform(new Set())).did, [], 'somebody was faster: no guest’s rules are touched');
});

test('without rules nothing is switched on; without the right to, the error says what root has to type', async () => {
  const without = await perform(new Set(['vnet1']), { rules: 'RULE_DELETE failed' });
  assert.deepEqual(without.did, ['rules']);
  assert.match(String(without.failure), /RULE_DELETE/);
  const { failure } = await perform(new Set(['vnet1']), { ip: 2 });
  assert.ok(failure instanceof AppError);
  assert.match(failure.message, /vnet1 cannot be switched on by hyperd: RTNETLINK answers/);
  assert.match(failure.hint, /`ip link set dev vnet1 up`/);
});
