/** What each route of the API must ask for, as it was reviewed, and the smallest request that gets as far as that question.
 *  A route that is not here, or that asks for something else, fails the permission matrix. */

import type { RouteDefinition } from '#contract/define.ts';

export interface Expectation {
  /** PERMISSION at PLACE; the place is the type of the object, `project` (named in the body), `anywhere` (a list) or `system`. */
  readonly asks: string;
  /** A body that the schema takes. */
  readonly body?: Readonly<Record<string, unknown>> | Uint8Array;
  /** A query that the schema takes, where one is needed. */
  readonly query?: string;
}

const PROOF = ', with proof';
/** Has the form of what a sign-in hands out, and is nothing. */
const SECRET = 'x'.repeat(43);
const DIGEST = '0'.repeat(64);
const ASSERTION = {
  ceremonyId: SECRET,
  credentialId: 'AAAA',
  clientDataJson: 'AAAA',
  authenticatorData: 'AAAA',
  signature: 'AAAA',
  userHandle: null,
};
const ATTESTATION = {
  ceremonyId: SECRET,
  name: 'laptop',
  credentialId: 'AAAA',
  clientDataJson: 'AAAA',
  attestationObject: 'AAAA',
  transports: [],
};
const asks = (what: string, body?: Expectation['body'], query?: string): Expectation => ({
  asks: what,
  ...(body === undefined ? {} : { body }),
  ...(query === undefined ? {} : { query }),
});

/** Path parameters that name no object of policy. */
export const PLAIN_PARAMS: Readonly<Record<string, string>> = {
  'GET /roles/{id}': 'admin',
  'GET /health/{id}': 'security.certificate',
  'GET /audit/records/{id}': '1',
  'PATCH /auth/passkeys/{id}': 'none',
  'DELETE /auth/passkeys/{id}': 'none',
  'POST /auth/oidc/{id}/start': 'none',
  'DELETE /auth/oidc/identities/{id}': 'none',
  'POST /images/catalogue/{id}/download': 'debian-13',
  'POST /notices/{id}/retry': 'none',
  'PATCH /healing/actions/{id}': 'vm-restart',
};

export const EXPECTATIONS: Readonly<Record<string, Expectation>> = {
  'GET /openapi.json': asks('nothing'),
  'POST /auth/link': asks('nothing', { token: SECRET }),

  'POST /auth/challenge': asks('nothing', { user: 'admin' }),
  'POST /auth/ssh': asks('nothing', { nonce: SECRET, signature: 'none' }),
  'POST /auth/device': asks('nothing', {}),
  'POST /auth/device/poll': asks('nothing', { deviceSecret: SECRET }),
  'POST /auth/device/claim': asks('nothing', { deviceSecret: SECRET }),
  'POST /auth/device/look': asks('nothing', { code: 'BCD-FGH' }),
  'POST /auth/device/approve': asks('nothing', { nonce: SECRET, signature: 'none' }),

  'GET /system/status': asks('host.read at system'),
  'GET /system/overview': asks('vm.read at anywhere'),
  'POST /system/demo': asks('vm.create at system'),
  'GET /hosts': asks('host.read at system'),
  'GET /hosts/{id}': asks('host.read at host'),
  'GET /preflight': asks('host.read at system'),
  'POST /preflight': asks('host.configure at system'),
  'GET /health': asks('host.read at system'),
  'GET /health/{id}': asks('host.read at system'),
  'POST /health/run': asks('host.configure at system'),
  'GET /support/bundle': asks('host.configure at system'),
  'GET /doctor': asks('host.read at system'),
  'GET /audit': asks('audit.read at system'),
  'GET /audit/records/{id}': asks('audit.read at system'),
  'GET /audit/status': asks('audit.read at system'),
  'POST /audit/verify': asks('audit.read at system'),
  'GET /audit/export': asks('audit.export at system'),
  'GET /audit/evidence': asks('audit.read at system'),
  'GET /jobs': asks('vm.read at anywhere'),
  'GET /metrics/catalogue': asks('metrics.read at anywhere'),
  'GET /metrics/latest': asks('metrics.read at anywhere'),
  'GET /metrics/range': asks('metrics.read at anywhere', undefined, 'metric=cpu_usage'),
  'GET /metrics/range.csv': asks('metrics.read at anywhere', undefined, 'metric=cpu_usage'),
  'GET /metrics/overview': asks('metrics.read at anywhere'),
  'GET /metrics/top': asks('metrics.read at anywhere'),
  'GET /metrics/targets': asks('metrics.read at system'),
  'GET /metrics/capacity': asks('metrics.read at anywhere'),
  'GET /events': asks('operation.read at anywhere'),

  'POST /auth/links': asks(`access.manage at system${PROOF}`, { user: 'admin' }),
  'GET /auth/session': asks('self.manage at anywhere'),
  'POST /auth/logout': asks('self.manage at anywhere'),
  'GET /auth/sessions': asks('self.manage at anywhere'),
  'DELETE /auth/sessions/{id}': asks('self.manage at session'),
  'GET /tokens': asks('self.manage at anywhere'),
  'POST /tokens': asks(`self.manage at anywhere${PROOF}`, { name: 'new-token', permissions: ['vm.read'], days: 1 }),
  'DELETE /tokens/{id}': asks('self.manage at token'),

  'GET /auth/passkey': asks('nothing'),
  'POST /auth/passkey/challenge': asks('nothing'),
  'POST /auth/passkey': asks('nothing', ASSERTION),
  'GET /auth/oidc': asks('nothing'),
  'POST /auth/oidc/{id}/start': asks('nothing'),
  'POST /auth/oidc/finish': asks('nothing', { provider: 'none', state: 'none' }),
  'POST /auth/step-up/passkey/challenge': asks('self.manage at anywhere', { digest: DIGEST }),
  'POST /auth/step-up/passkey': asks('self.manage at anywhere', ASSERTION),
  'GET /auth/passkeys': asks('self.manage at anywhere'),
  'POST /auth/passkeys/challenge': asks('self.manage at anywhere'),
  'POST /auth/passkeys': asks(`self.manage at anywhere${PROOF} or a fresh sign-in`, ATTESTATION),
  'PATCH /auth/passkeys/{id}': asks('self.manage at anywhere', { name: 'laptop' }),
  'DELETE /auth/passkeys/{id}': asks(`self.manage at anywhere${PROOF} or a fresh sign-in`),
  'GET /users/{id}/passkeys': asks('access.read at user'),
  'DELETE /users/{id}/passkeys': asks(`access.manage at user${PROOF}`),
  'GET /auth/oidc/identities': asks('access.read at system'),
  'POST /auth/oidc/identities': asks(`access.manage at system${PROOF}`, {
    provider: 'none',
    subject: 'none',
    user: 'nobody',
  }),
  'DELETE /auth/oidc/identities/{id}': asks(`access.manage at system${PROOF}`),

  'POST /auth/device/confirm': asks('self.manage at anywhere', { code: 'BCD-FGH' }),
  'POST /auth/step-up/device': asks('self.manage at anywhere', { digest: DIGEST }),
  'POST /auth/step-up/challenge': asks('self.manage at anywhere', { digest: DIGEST }),
  'POST /auth/step-up/ssh': asks('self.manage at anywhere', { nonce: SECRET, signature: 'none' }),
  'GET /keys': asks('self.manage at anywhere'),
  'POST /keys': asks(`self.manage at anywhere${PROOF} or a fresh sign-in`, { key: 'ssh-ed25519 AAAA' }),
  'DELETE /keys/{id}': asks(`self.manage at key${PROOF}`),

  'GET /users': asks('access.read at anywhere'),
  'GET /users/{id}/keys': asks('access.read at user'),
  'POST /users/{id}/keys': asks(`access.manage at user${PROOF}`, { key: 'ssh-ed25519 AAAA' }),
  'POST /users': asks(`access.manage at system${PROOF}`, { name: 'new-user' }),
  'GET /users/{id}': asks('access.read at user'),
  'PATCH /users/{id}': asks(`access.manage at user${PROOF}`, { title: 'new' }),
  'DELETE /users/{id}': asks(`access.manage at user${PROOF}`),
  'GET /users/{id}/rights': asks('access.read at user'),
  'GET /groups': asks('access.read at anywhere'),
  'POST /groups': asks(`access.manage at system${PROOF}`, { name: 'new-group' }),
  'GET /groups/{id}': asks('access.read at group'),
  'PATCH /groups/{id}': asks(`access.manage at group${PROOF}`, { title: 'new' }),
  'DELETE /groups/{id}': asks(`access.manage at group${PROOF}`),
  'GET /roles': asks('access.read at anywhere'),
  'POST /roles': asks(`access.manage at system${PROOF}`, { name: 'new-role', permissions: ['vm.read'] }),
  'GET /roles/{id}': asks('access.read at anywhere'),
  'PATCH /roles/{id}': asks(`access.manage at role${PROOF}`, { title: 'new' }),
  'DELETE /roles/{id}': asks(`access.manage at role${PROOF}`),
  'GET /grants': asks('access.read at anywhere'),
  'POST /grants': asks(`access.manage at anywhere${PROOF}`, { user: 'nobody', role: 'admin', scope: 'all' }),
  'DELETE /grants/{id}': asks(`access.manage at grant${PROOF}`),

  'GET /projects': asks('project.read at anywhere'),
  'POST /projects': asks('project.manage at system', { name: 'new-project' }),
  'GET /projects/{id}': asks('project.read at project'),
  'PATCH /projects/{id}': asks('project.manage at project', { title: 'new' }),
  'DELETE /projects/{id}': asks(`project.manage at project${PROOF}`),

  'GET /projects/{id}/quotas': asks('project.read at project'),
  'PATCH /projects/{id}/quotas': asks('project.manage at project', { limits: { vms: null } }),
  'GET /projects/{id}/usage': asks('project.read at project'),
  'GET /projects/{id}/usage.csv': asks('project.read at project'),

  'GET /operations': asks('operation.read at anywhere'),
  'GET /operations/{id}': asks('operation.read at operation'),
  'POST /operations/{id}/cancel': asks('operation.cancel at operation'),
  'POST /operations/{id}/retry': asks('operation.cancel at operation'),
  'POST /operations/{id}/dismiss': asks('operation.cancel at operation'),

  'GET /vms': asks('vm.read at anywhere'),
  'POST /vms': asks('vm.create at named project', { name: 'new-vm' }),
  'POST /vms/plan': asks('vm.create at named project', { name: 'new-vm' }),
  'GET /vms/{id}': asks('vm.read at vm'),
  'GET /vms/{id}/xml': asks('vm.read at vm'),
  'PATCH /vms/{id}': asks('vm.configure at vm', { title: 'new' }),
  'POST /vms/{id}/plan': asks('vm.configure at vm', { title: 'new' }),
  'POST /vms/{id}/move': asks('vm.delete at vm', { project: 'default' }),
  'DELETE /vms/{id}': asks('vm.delete at vm'),
  'POST /vms/{id}/start': asks('vm.power at vm'),
  'POST /vms/{id}/shutdown': asks('vm.power at vm', {}),
  'POST /vms/{id}/stop': asks('vm.power at vm'),
  'POST /vms/{id}/reboot': asks('vm.power at vm'),
  'POST /vms/{id}/reset': asks('vm.power at vm'),
  'POST /vms/{id}/pause': asks('vm.power at vm'),
  'POST /vms/{id}/resume': asks('vm.power at vm'),
  'GET /vms/{id}/screenshot': asks('vm.screen at vm'),
  'GET /vms/{id}/serial/log': asks('vm.screen at vm'),
  'POST /vms/{id}/keys': asks('vm.console at vm', { keys: ['ctrl'] }),
  'POST /vms/{id}/tickets': asks('vm.screen at vm', { kind: 'serial', mode: 'view' }),
  'GET /vms/{id}/console': asks('vm.screen at vm', undefined, 'ticket=x'),
  'GET /vms/{id}/serial': asks('vm.screen at vm', undefined, 'ticket=x'),
  'GET /trash': asks('vm.read at anywhere'),
  'POST /trash/{id}/restore': asks('vm.delete at trash'),
  'DELETE /trash/{id}': asks(`vm.delete at trash${PROOF}`),

  'GET /images': asks('image.read at anywhere'),
  'GET /images/{id}': asks('image.read at image'),
  'PATCH /images/{id}': asks('image.share at image', { isShared: true }),
  'DELETE /images/{id}': asks('image.delete at image'),
  'POST /images/download': asks('image.upload at named project', { url: 'https://127.0.0.1/x.iso' }),
  'POST /images/import': asks('host.configure at system', { path: '/dev/null' }),
  'GET /images/catalogue': asks('image.read at anywhere'),
  'POST /images/catalogue/check': asks('image.upload at system', { ids: [] }),
  'POST /images/catalogue/{id}/download': asks('image.upload at named project', {}),
  'POST /images/uploads': asks('image.upload at named project', { name: 'new-upload', sizeBytes: 1 }),
  'GET /images/uploads': asks('image.upload at anywhere'),
  'GET /images/uploads/{id}': asks('image.upload at upload'),
  'PATCH /images/uploads/{id}': asks('image.upload at upload', new Uint8Array(0)),
  'DELETE /images/uploads/{id}': asks('image.upload at upload'),

  'GET /networks': asks('network.read at anywhere'),
  'GET /networks/{id}': asks('network.read at network'),
  'GET /pools': asks('storage.read at anywhere'),
  'GET /pools/{id}': asks('storage.read at pool'),

  'GET /channel-kinds': asks('alert.read at anywhere'),
  'GET /channels': asks('alert.read at anywhere'),
  'POST /channels': asks('alert.configure at anywhere', { name: 'new-channel', kind: 'webhook' }),
  'GET /channels/{id}': asks('alert.read at channel'),
  'PATCH /channels/{id}': asks('alert.configure at channel', { isEnabled: false }),
  'DELETE /channels/{id}': asks('alert.configure at channel'),
  'POST /channels/{id}/test': asks('alert.configure at channel'),
  'GET /notification-routing': asks('alert.configure at system'),
  'PUT /notification-routing': asks('alert.configure at system', {}),
  'GET /healing/actions': asks('vm.read at anywhere'),
  'PATCH /healing/actions/{id}': asks('settings.change at system', { mode: 'observe' }),
  'POST /healing/pause': asks('settings.change at system', { minutes: 60 }),
  'DELETE /healing/pause': asks('settings.change at system'),
  'GET /vms/{id}/healing': asks('vm.read at vm'),
  'PATCH /vms/{id}/healing': asks('vm.configure at vm', { action: 'vm-restart', mode: 'off' }),
  'GET /healing/acts': asks('vm.read at anywhere'),
  'GET /silences': asks('alert.read at anywhere'),
  'POST /silences': asks('alert.ack at anywhere', { match: { rule: '*' }, to: '2099-01-01T00:00:00Z', reason: 'work' }),
  'DELETE /silences/{id}': asks('alert.ack at silence'),
  'GET /notices': asks('alert.read at anywhere'),
  'POST /notices/{id}/retry': asks('alert.configure at anywhere'),
  'GET /alerts': asks('alert.read at anywhere'),
  'GET /alerts/history': asks('alert.read at anywhere'),
  'GET /alerts/{id}': asks('alert.read at alert'),
  'POST /alerts/{id}/acknowledge': asks('alert.ack at alert'),
  'GET /rules': asks('alert.read at anywhere'),
  'POST /rules': asks('alert.configure at system', { name: 'new-rule', condition: 'vm_state == crashed' }),
  'POST /rules/check': asks('alert.configure at anywhere', { condition: 'vm_state == crashed' }),
  'POST /rules/backtest': asks('alert.configure at system', {
    rule: { name: 'new-rule', condition: 'vm_state == crashed' },
  }),
  'GET /rules/{id}': asks('alert.read at rule'),
  'PATCH /rules/{id}': asks('alert.configure at rule', { enabled: false }),
  'DELETE /rules/{id}': asks('alert.configure at rule'),

  'GET /repositories': asks('backup.read at anywhere'),
  'POST /repositories': asks('backup.configure at system', { name: 'new-shelf', folder: '/nowhere/new-shelf' }),
  'GET /repositories/{id}': asks('backup.read at repository'),
  'DELETE /repositories/{id}': asks('backup.configure at repository'),
  'POST /repositories/{id}/confirm': asks('backup.configure at repository', { recoveryKey: 'none' }),
  'POST /repositories/{id}/scan': asks('backup.configure at repository'),
  'POST /repositories/{id}/check': asks('backup.verify at repository', {}),
  'POST /vms/{id}/backup': asks('backup.run at vm', {}),
  'GET /restore-points': asks('backup.read at anywhere'),
  'GET /restore-points/{id}': asks('backup.read at restore-point'),
  'DELETE /restore-points/{id}': asks(`backup.delete at restore-point${PROOF}`),
  'POST /restore-points/{id}/restore': asks('backup.restore at restore-point', { name: 'restored' }),
  'POST /restore-points/{id}/restore/plan': asks('backup.restore at restore-point', { name: 'restored' }),
  'POST /restore-points/{id}/overwrite': asks(`backup.overwrite at restore-point${PROOF}`, { confirm: 'nobody' }),
  'GET /restore-points/{id}/disks/{target}': asks('backup.export at restore-point'),
};

/** The declaration of a route in the words of the table. */
export function askedBy(definition: RouteDefinition): string {
  const { permission, object, project, list, stepUp } = definition;
  if (permission === undefined) return 'nothing';
  const place = object?.type ?? (project === undefined ? (list === true ? 'anywhere' : 'system') : 'named project');
  const proof = { none: '', true: PROOF, or_fresh_sign_in: `${PROOF} or a fresh sign-in` }[`${stepUp ?? 'none'}`];
  return `${permission} at ${place}${proof}`;
}
