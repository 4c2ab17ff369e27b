/** Certificate, audit log, sign-ins. */

import {
  DAY_MS,
  type Finding,
  fail,
  type HealthCheck,
  type HealthContext,
  HOUR_MS,
  levelOf,
  MINUTE_MS,
  ok,
  warn,
} from '../check.ts';
import { levelCheck } from '../level-check.ts';
import { days } from '../text.ts';

function certificate({ facts, limit, nowMs }: HealthContext): Finding {
  const left = (facts.certificateEndsAt().getTime() - nowMs) / DAY_MS;
  const status = levelOf(left, limit('security.certificate'));
  const evidence =
    left < 0
      ? `The certificate of the dashboard ended ${days(-left)} ago.`
      : `The certificate of the dashboard is good for ${days(left)}.`;
  return status === 'ok'
    ? ok(evidence)
    : {
        status,
        evidence,
        hint: 'Put a new one where `tls.certificateFile` points. Our own and those of an ACME authority are renewed by hyperd: its log says why it was not.',
        items: [],
      };
}

async function audit({ facts }: HealthContext): Promise<Finding> {
  const problems = await facts.auditProblems();
  const worst = problems.find(({ severity }) => severity === 'fail') ?? problems[0];
  if (worst === undefined) return ok('Every change is recorded, the chain is whole, and all copies are current.');
  const evidence = `${worst.title}: ${worst.detail}`;
  const finding = worst.severity === 'fail' ? fail(evidence, worst.hint) : warn(evidence, worst.hint);
  return {
    ...finding,
    items: problems.map(({ title, severity, detail }) => ({ name: title, status: severity, detail })),
  };
}

export const securityChecks: readonly HealthCheck[] = [
  {
    id: 'security.certificate',
    number: 39,
    title: 'Certificate',
    meaning: 'How long the certificate of the dashboard is good for.',
    limits: ['security.certificate'],
    everyMs: HOUR_MS,
    run: certificate,
  },
  {
    id: 'security.audit',
    number: 41,
    title: 'Audit log',
    meaning: 'Whether changes are recorded, the chain is whole, and its copies are current.',
    warnsWhen: 'a copy is behind, or the outcome of a change is not known',
    failsWhen: 'nothing can be recorded, the chain was changed, or a copy that must be kept is not',
    limits: [],
    everyMs: MINUTE_MS,
    isAnnounced: true,
    run: audit,
  },
  levelCheck({
    id: 'security.sign-ins',
    number: 42,
    title: 'Refused sign-ins',
    meaning: 'How many sign-ins were refused in ten minutes.',
    metric: 'auth_failures_total',
    kind: 'host',
    limit: 'security.sign-ins',
    measure: ({ figures }, figure) => figures.growth(figure, 10 * MINUTE_MS),
    show: String,
    what: 'sign-ins were refused in the last ten minutes',
    hint: 'See who tries: `hv audit list --outcome denied`. Block the address at the firewall; end what may have leaked: `hv token list`, `hv session list`.',
    isExpected: true,
  }),
];
