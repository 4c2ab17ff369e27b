/** What is wrong with the audit log, in the words of the overview. Pure. */

import type { AuditStatus } from '#contract/audit.ts';
import type { Overview } from '#contract/system.ts';

type Problem = Overview['problems'][number];

/** @param unanswered changes of the last week whose outcome is not known */
export function auditProblems(status: AuditStatus, unanswered: number): Problem[] {
  const { state, reason, mirrors, verification, settings } = status;
  const problems: Problem[] = [];
  const link = '/audit';
  if (state === 'unavailable')
    problems.push({
      id: 'audit.unavailable',
      severity: 'fail',
      title: 'Nothing can be recorded, so nothing can be changed',
      detail: `${reason ?? 'The audit log cannot be written.'} Reading goes on.`,
      hint: 'Free space on the file system of the state folder and check that it is writable. It goes on by itself.',
      link,
    });
  const first = verification?.findings[0];
  if (first)
    problems.push({
      id: 'audit.changed',
      severity: 'fail',
      title: 'The audit log was changed',
      detail: first.detail,
      hint: 'Keep a copy of the state folder and of every mirror, then run `hv audit verify --mirror FILE`.',
      link,
    });
  for (const mirror of mirrors) {
    if (mirror.state === 'current') continue;
    problems.push({
      id: `audit.mirror:${mirror.name}`,
      severity: settings.requireMirror ? 'fail' : 'warn',
      title: mirror.state === 'failing' ? 'A copy of the audit log is not kept' : 'A copy of the audit log is behind',
      detail: `${mirror.target} lacks ${mirror.behind} records${mirror.error === null ? '' : `: ${mirror.error}`}.`,
      hint: 'Bring the receiver or the disk back; what is missing is sent then.',
      link,
    });
  }
  if (unanswered > 0)
    problems.push({
      id: 'audit.unanswered',
      severity: 'warn',
      title:
        unanswered === 1 ? 'The outcome of a change is not known' : `The outcome of ${unanswered} changes is not known`,
      detail: 'hyperd ended between a change and its record.',
      hint: 'Look at what each of them was about, and whether it took place.',
      link: '/audit?outcome=unknown',
    });
  return problems;
}
