/** Tells refused sign-ins from other records of the audit log. */

import type { AuditRecord } from '#contract/audit.ts';

/** Routes by which strangers prove who they are; step-ups of who is signed in already begin with these too. */
const SIGN_IN = /^POST \/auth\/(link|oidc\/|passkey|ssh|device|step-up)/;

export function isRefusedSignIn({ phase, outcome, action }: AuditRecord): boolean {
  return phase === 'outcome' && (outcome === 'denied' || outcome === 'failed') && SIGN_IN.test(action);
}
