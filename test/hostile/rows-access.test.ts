/** Row E9 and the step-up part of D11 through the real doors: a project's administrator, who proves with his key that it is he, and yet
 *  makes neither himself nor anybody else more than he is. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PERMISSIONS } from '#contract/permissions.ts';
import { ed25519Key } from '#features/access/ssh/fake-signer.ts';
import { type Question, type Reply, signIn, type Visitor, withToken } from '../support/asker.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';

const key = ed25519Key();

let daemon: TestDaemon;
let boss: Visitor;
let project: string;
before(async () => {
  daemon = await startDaemon({ waitFor: 'doors' });
  const { admin } = daemon;
  project = (await admin('POST /projects', { body: { name: 'shop' } })).id;
  await admin('POST /projects', { body: { name: 'bank' } });
  for (const name of ['boss', 'friend']) await admin('POST /users', { body: { name } });
  await admin('POST /grants', { body: { user: 'boss', role: 'project-admin', scope: `project:${project}` } });
  await admin('POST /users/{id}/keys', { params: { id: 'boss' }, body: { key: key.line } });
  boss = await signIn(daemon, 'boss');
});
after(async () => {
  boss?.close();
  await daemon?.close();
});

/** Proves for the request that was refused, and changes nothing else. */
async function prove(refusal: Reply): Promise<void> {
  assert.equal(refusal.json['code'], 'step_up_required', refusal.text);
  const { digest } = refusal.json['params'] as { digest: string };
  const challenge = await boss.ask({ method: 'POST', path: '/auth/step-up/challenge', body: { digest } });
  assert.equal(challenge.status, 200, challenge.text);
  const { nonce, text } = challenge.json as { nonce: string; text: string };
  const proof = await boss.ask({
    method: 'POST',
    path: '/auth/step-up/ssh',
    body: { nonce, signature: key.sign(text) },
  });
  assert.equal(proof.status, 204, proof.text);
}

/** Asks, proves where a proof is wanted, and asks again. */
async function askWithProof(question: Question): Promise<Reply> {
  const first = await boss.ask(question);
  if (first.json['code'] !== 'step_up_required') return first;
  await prove(first);
  return boss.ask(question);
}

const grant = (user: string, role: string, scope: string): Question => ({
  method: 'POST',
  path: '/grants',
  body: { user, role, scope },
});

test('E9: with a fresh proof of who he is, nobody gets further than his own rights', async () => {
  const own = `project:${project}`;
  const tries: [Question, number, string][] = [
    [grant('boss', 'admin', 'all'), 403, 'forbidden'],
    [grant('friend', 'operator', 'all'), 403, 'forbidden'],
    [grant('boss', 'admin', own), 403, 'beyond_own_rights'],
    [grant('friend', 'auditor', own), 403, 'beyond_own_rights'],
    [grant('friend', 'vm-operator', 'project:bank'), 404, 'not_found'],
    [{ method: 'POST', path: '/users', body: { name: 'invited' } }, 403, 'forbidden'],
    [{ method: 'POST', path: '/roles', body: { name: 'mine', permissions: ['host.power'] } }, 403, 'forbidden'],
    [{ method: 'PATCH', path: '/roles/admin', body: { title: 'mine' } }, 403, 'forbidden'],
    [{ method: 'POST', path: '/auth/links', body: { user: 'admin' } }, 403, 'forbidden'],
    [{ method: 'PATCH', path: '/users/admin', body: { state: 'disabled' } }, 404, 'not_found'],
    [{ method: 'POST', path: '/users/admin/keys', body: { key: key.line } }, 404, 'not_found'],
    [{ method: 'PATCH', path: '/users/boss', body: { title: 'x' } }, 403, 'forbidden'],
    [{ method: 'DELETE', path: '/grants/grant-admin' }, 404, 'not_found'],
  ];
  const before = await daemon.admin('GET /grants');
  for (const [question, status, code] of tries) {
    const reply = await askWithProof(question);
    assert.deepEqual([reply.status, reply.json['code']], [status, code], `${JSON.stringify(question)}: ${reply.text}`);
  }
  assert.deepEqual(await daemon.admin('GET /grants'), before);
  assert.equal((await askWithProof(grant('friend', 'vm-operator', own))).status, 201, 'what he holds he may give');
  console.log(`# count: ${tries.length} ways to more rights refused to one who had proven who he is`);
});

test('E9: who grants on a project that he may not see learns neither that it is there nor what it is called', async () => {
  const hidden = await daemon.admin('GET /projects/{id}', { params: { id: 'bank' } });
  const answer = async (id: string) => {
    const { status, json } = await askWithProof(grant('friend', 'vm-operator', `project:${id}`));
    return { status, code: json['code'], detail: String(json['detail']).replace(id, 'ID') };
  };
  assert.deepEqual(await answer(hidden.id), await answer('prj-00000000000000000000000000'));
});

test('E9: a token as wide as can be asked for holds no more than its owner', async () => {
  const reply = await askWithProof({
    method: 'POST',
    path: '/tokens',
    body: { name: 'wide', permissions: PERMISSIONS, scope: 'all', days: 1 },
  });
  assert.equal(reply.status, 201, reply.text);
  const token = withToken(daemon, String(reply.json['secret']));
  try {
    for (const path of ['/audit', '/system/status', '/hosts', '/preflight'])
      assert.equal((await token.ask({ path })).status, 403, path);
    const seen = await token.ask({ path: '/projects' });
    assert.deepEqual(
      (seen.json['items'] as { name: string }[]).map(({ name }) => name),
      ['shop'],
    );
    assert.equal((await token.ask(grant('friend', 'vm-operator', `project:${project}`))).json['code'], 'token_cannot');
  } finally {
    token.close();
  }
});

test('D11: a proof gives the session another secret, and is good for that one request', async () => {
  const question = grant('friend', 'backup-operator', `project:${project}`);
  const before = boss.secret();
  await prove(await boss.ask(question));
  assert.notEqual(boss.secret(), before);
  const other = await boss.ask(grant('friend', 'project-admin', `project:${project}`));
  assert.equal(other.json['code'], 'step_up_required', 'another request needs another proof');
  const elsewhere = await signIn(daemon, 'boss');
  assert.equal((await elsewhere.ask(question)).json['code'], 'step_up_required', 'so does another session');
  elsewhere.close();
  assert.equal((await boss.ask(question)).status, 201);
});
